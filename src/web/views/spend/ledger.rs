//! Asks the ledger for what the newest picture does not tell: parts of a source, days, older months.

use std::collections::BTreeSet;

use jiff::ToSpan;

use super::Page;
use super::told::WEEK;
use crate::domain::breakdown::Dimension;
use crate::domain::identity::SourceId;
use crate::domain::period::Window;
use crate::domain::ports::{HistoryError, SpendHistoryError};
use crate::domain::spend_range::{SpendQuestion, SpendRange};

/// What the ledger says.
pub(super) enum Answer {
    /// The money.
    Range(Box<SpendRange>),
    /// The source does not tell it; it tells these dimensions together.
    NotTold(Vec<Vec<Dimension>>),
    /// Others ask now.
    Busy,
    /// The ledger cannot be read.
    Failed,
    /// The ledger knows of no such source.
    NoSource,
}

impl Answer {
    /// The dimensions that can be listed: told together with all that the page is narrowed to.
    pub(super) fn tellable(&self, page: &Page<'_>) -> Vec<Dimension> {
        let told = match self {
            Self::Range(range) => range.tells.as_slice(),
            Self::NotTold(tells) => tells.as_slice(),
            Self::Busy | Self::Failed | Self::NoSource => &[],
        };
        let mut open = page.asked.open();
        open.retain(|of| together(told, page, Some(*of)));
        open
    }
}

/// Whether a list of dimensions holds all that the page is narrowed to, and one more.
fn together(tells: &[Vec<Dimension>], page: &Page<'_>, and: Option<Dimension>) -> bool {
    let wanted: BTreeSet<Dimension> = page.asked.filters.keys().copied().chain(and).collect();
    tells.iter().any(|told| wanted.iter().all(|of| told.contains(of)))
}

/// Asks along the dimension that is wanted, else along the first one that can be told, else for the
/// sums of days.
pub(super) async fn ask(page: &Page<'_>) -> Answer {
    let mut tried = BTreeSet::new();
    let mut by = page.asked.by.or_else(|| page.asked.open().first().copied());
    loop {
        let answer = question(page, by).await;
        let Answer::NotTold(tells) = &answer else { return answer };
        tried.insert(by);
        let next = page.asked.open().into_iter().find(|of| together(tells, page, Some(*of)));
        by = next.filter(|of| !tried.contains(&Some(*of)));
        if tried.contains(&by) {
            return answer;
        }
    }
}

async fn question(page: &Page<'_>, by: Option<Dimension>) -> Answer {
    let window = match page.asked.day {
        Some(day) => Window::new(day.saturating_sub(WEEK.days()), day.saturating_add(1.day())),
        None => Window::new(page.month.previous().first_day(), page.month.end_day()),
    };
    let question = SpendQuestion {
        source: SourceId::new(page.asked.source.as_str()),
        window,
        by,
        filters: page.asked.filters.clone(),
    };
    match page.visit.face.spend_history.spend(question).await {
        Ok(range) => Answer::Range(Box::new(range)),
        Err(SpendHistoryError::NotTold(not_told)) => Answer::NotTold(not_told.tells),
        Err(SpendHistoryError::NoSource { .. }) => Answer::NoSource,
        Err(SpendHistoryError::History(HistoryError::Busy)) => Answer::Busy,
        Err(error @ SpendHistoryError::History(HistoryError::Ledger(_))) => {
            tracing::error!(%error, "failed to read spend of the past");
            Answer::Failed
        }
    }
}
