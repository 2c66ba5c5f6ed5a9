//! Which changes of a band are told: money that goes above a ceiling, and that comes back.
//!
//! Below a floor is a normal state that is explained and not alarmed; unknown keeps what was told
//! last, so that a stale source neither raises nor clears an alarm about money.

use jiff::Timestamp;
use serde_json::json;

use crate::app::spend::SpendReader;
use crate::domain::band::{BandJudgement, BandStatus, BandView, ViewJudgement};
use crate::domain::notice::{BandState, BandStateChange, OutboxEntry};
use crate::store::{Ledger, LedgerError};

/// A pace of fewer complete days is mostly the lumps of a month's first days,
const LEAST_COMPLETE_DAYS: i64 = 5;
/// and so is a forecast that knows less than four weeks.
const LEAST_HISTORY: usize = 28;

/// Compares judgements with what was told last and queues what is to be told, both in one
/// transaction. Returns how many messages were queued.
///
/// # Errors
/// When the ledger cannot be read or written.
pub fn queue(
    ledger: &mut Ledger,
    reader: &SpendReader,
    receivers: &[String],
    judged: &[BandJudgement],
    now: Timestamp,
) -> Result<usize, LedgerError> {
    let mut changes = Vec::new();
    let mut messages = Vec::new();
    for band in judged {
        let told = ledger.band_states(&band.band, band.period)?;
        for view in &band.views {
            let before = told.iter().find(|(known, _)| *known == view.view).map(|(_, state)| state);
            let Some(change) = change(band, view, before, now) else { continue };
            if is_news(&change) {
                let wanted = reader.receiver(&band.band);
                let told = receivers.iter().filter(|name| wanted.is_none_or(|one| one == **name));
                messages.extend(told.map(|receiver| message(band, view, &change, receiver)));
            }
            changes.push(change);
        }
    }
    if changes.is_empty() {
        return Ok(0);
    }
    ledger.change_band_state(&changes, &messages, now)
}

fn change(
    band: &BandJudgement,
    view: &ViewJudgement,
    before: Option<&BandState>,
    now: Timestamp,
) -> Option<BandStateChange> {
    let before = before.map(|state| state.status);
    let is_of_few_days = match (view.view, &band.outlook) {
        (BandView::Actual, _) => false,
        (BandView::Forecast, Some(outlook)) => outlook.forecast.used.days < LEAST_HISTORY,
        (BandView::Pace | BandView::Forecast, _) => true,
    };
    let is_early = is_of_few_days
        && band.spend.is_some_and(|spend| spend.amount <= band.ceiling.amount)
        && band.complete_days < LEAST_COMPLETE_DAYS;
    if view.status == BandStatus::Unknown || before == Some(view.status) || is_early {
        return None;
    }
    Some(BandStateChange {
        band: band.band.clone(),
        period: band.period,
        view: view.view,
        before,
        after: view.status,
        reason: view.reason.clone(),
        at: now,
    })
}

fn is_news(change: &BandStateChange) -> bool {
    (change.after == BandStatus::Above) != (change.before == Some(BandStatus::Above))
}

fn message(
    band: &BandJudgement,
    view: &ViewJudgement,
    change: &BandStateChange,
    receiver: &str,
) -> OutboxEntry {
    let above = change.after == BandStatus::Above;
    let kind = if above { "band.above" } else { "band.not_above" };
    let subject = match view.view {
        BandView::Actual => "spend",
        BandView::Pace => "the pace of spend",
        BandView::Forecast => "the expected month end",
    };
    let summary = format!(
        "{}: {subject} of {} is {} the ceiling of {}",
        band.band,
        band.period,
        if above { "above" } else { "no longer above" },
        band.ceiling.grouped(2)
    );
    let payload = json!({
        "type": kind,
        "timestamp": change.at.to_string(),
        "data": {
            "summary": summary,
            "band": band.band,
            "period": band.period.to_string(),
            "view": view.view.as_str(),
            "status": change.after.as_str(),
            "previous_status": change.before.map(BandStatus::as_str),
            "reason": view.reason,
            "floor": band.floor.amount.normalize().to_string(),
            "ceiling": band.ceiling.amount.normalize().to_string(),
            "spend": band.spend.map(|spend| spend.amount.normalize().to_string()),
            "currency": band.ceiling.currency.to_string(),
            "owner": band.owner,
            "runbook_url": band.runbook_url,
        },
    });
    let at = change.at.as_second();
    let key = format!(
        "{}/{}/{}/{}/{at}/{receiver}",
        band.band,
        band.period,
        view.view.as_str(),
        change.after.as_str()
    );
    OutboxEntry {
        // Standard Webhooks signs `id.timestamp.body`: a full stop in the id would be ambiguous. A
        // name holds no `~`, so two keys stay two.
        dedupe_key: key.replace('.', "~"),
        receiver: receiver.to_owned(),
        payload: payload.to_string(),
    }
}
