//! The document of what stood out, and of what moved since last week.

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use super::forecast::text;
use crate::domain::anomaly::Anomaly;
use crate::domain::breakdown::Dimension;
use crate::domain::change::{Change, ChangeAlong, ChangePart};
use crate::domain::trend::{SourceTrends, Trend};
use crate::snapshot::Snapshot;

/// So many values of a dimension are told of a change: those that moved most.
const MOST_PARTS: usize = 20;

/// `/api/v1/anomalies`: what cost more or less than it should have, and what moved since last week.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Anomalies {
    /// When the snapshot was made, RFC 3339.
    pub as_of: String,
    /// What lasts, and what ended in the last five weeks: of each source and of the services,
    /// sub-accounts and regions that cost most in it, which tell the same money again.
    pub anomalies: Vec<AnomalyView>,
    /// The newest seven complete days against the seven before, of each source and of what each band
    /// holds that holds a part of it only; absent where they are not all complete.
    pub changes: Vec<ChangeView>,
}

/// Days that stood out, or a level that moved.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AnomalyView {
    /// The source.
    pub source: String,
    /// `service_name`, `sub_account_id` or `region_id`; absent for the whole source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimension: Option<String>,
    /// The value; absent for the whole source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `billed` or `effective`.
    pub basis: String,
    /// `spike` or `level_shift`.
    pub kind: String,
    /// Its first day; with source, dimension, key and kind, what identifies it.
    pub first: String,
    /// The newest day that belongs to it.
    pub last: String,
    /// The complete day on which it was found.
    pub found: String,
    /// The complete day on which it ended; absent while it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// The currency of every amount.
    pub currency: String,
    /// What a day cost in the mean.
    pub actual_per_day: String,
    /// What a day should have cost in the mean.
    pub expected_per_day: String,
    /// The difference, negative for a drop: over all its days for a spike, a day for a shift.
    pub excess: String,
    /// The difference in robust sigmas of the series.
    pub sigmas: f64,
    /// What explains most of it; absent where nothing does, and for single values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<CauseView>,
}

/// The value that explains most of an anomaly.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CauseView {
    /// Its dimension.
    pub dimension: String,
    /// The value.
    pub key: String,
    /// Its own difference over the same days, as the anomaly's is told.
    pub excess: String,
    /// Its part of what moved in that direction along its dimension, 0 to 1.
    pub share: f64,
}

/// What moved a source's cost, or that of the part which a band holds.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChangeView {
    /// The source.
    pub source: String,
    /// The band of which it is; absent for the whole source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub band: Option<String>,
    /// The first of the newest seven days.
    pub from: String,
    /// The last of them.
    pub to: String,
    /// The currency of every amount.
    pub currency: String,
    /// What the seven days before cost.
    pub before: String,
    /// What the newest seven cost.
    pub after: String,
    /// The change along each dimension; they tell the same change again and are never added.
    pub along: Vec<ChangeAlongView>,
}

/// A change along one dimension. The four effects sum to it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChangeAlongView {
    /// The dimension.
    pub dimension: String,
    /// By moved unit prices.
    pub price: String,
    /// By more or less use, all values alike.
    pub quantity: String,
    /// By use that moved between values of different price.
    pub mix: String,
    /// Of values without quantities, and of those that are new or ended.
    pub untold: String,
    /// The values that moved most, the largest first.
    pub parts: Vec<ChangePartView>,
}

/// One value's change.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChangePartView {
    /// The value.
    pub key: String,
    /// What it cost in the seven days before.
    pub before: String,
    /// What it cost in the newest seven.
    pub after: String,
    /// The difference.
    pub change: String,
    /// The part that a moved unit price explains; absent without quantities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// The part that a moved quantity explains; absent without quantities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
}

/// What stood out in a snapshot.
pub fn anomalies(snapshot: &Snapshot) -> Anomalies {
    let told = |of: &SourceTrends| {
        let trends = of.trends.iter();
        let told = trends.flat_map(|trend| trend.anomalies.iter().map(move |one| (trend, one)));
        told.map(|(trend, one)| anomaly(of, trend, one)).collect::<Vec<_>>()
    };
    let changes = |of: &SourceTrends| {
        let whole = of.change.iter().map(|moved| change(of, None, moved));
        let bands = of.bands.iter().map(|held| change(of, Some(held.band.as_str()), &held.change));
        whole.chain(bands).collect::<Vec<_>>()
    };
    Anomalies {
        as_of: snapshot.at.to_string(),
        anomalies: snapshot.trends.iter().flat_map(told).collect(),
        changes: snapshot.trends.iter().flat_map(changes).collect(),
    }
}

fn word(dimension: Dimension) -> String {
    dimension.as_str().to_owned()
}

fn anomaly(of: &SourceTrends, trend: &Trend, anomaly: &Anomaly) -> AnomalyView {
    AnomalyView {
        source: of.source.to_string(),
        dimension: trend.of.as_ref().map(|(dimension, _)| word(*dimension)),
        key: trend.of.as_ref().map(|(_, key)| key.clone()),
        basis: trend.basis.as_str().to_owned(),
        kind: anomaly.kind.as_str().to_owned(),
        first: anomaly.first.to_string(),
        last: anomaly.last.to_string(),
        found: anomaly.found.to_string(),
        ended: anomaly.ended.map(|day| day.to_string()),
        currency: anomaly.currency.to_string(),
        actual_per_day: text(anomaly.actual_per_day),
        expected_per_day: text(anomaly.expected_per_day),
        excess: text(anomaly.excess),
        sigmas: anomaly.sigmas,
        cause: anomaly.cause.as_ref().map(|cause| CauseView {
            dimension: word(cause.dimension),
            key: cause.key.clone(),
            excess: text(cause.excess),
            share: cause.share,
        }),
    }
}

fn change(of: &SourceTrends, band: Option<&str>, change: &Change) -> ChangeView {
    let amount = |amount: Option<Decimal>| amount.map(text);
    let part = |part: &ChangePart| ChangePartView {
        key: part.key.clone(),
        before: text(part.before),
        after: text(part.after),
        change: text(part.change),
        price: amount(part.price),
        quantity: amount(part.quantity),
    };
    let along = |along: &ChangeAlong| ChangeAlongView {
        dimension: word(along.dimension),
        price: text(along.effects.price),
        quantity: text(along.effects.quantity),
        mix: text(along.effects.mix),
        untold: text(along.effects.untold),
        parts: along.parts.iter().take(MOST_PARTS).map(part).collect(),
    };
    ChangeView {
        source: of.source.to_string(),
        band: band.map(str::to_owned),
        from: change.from.to_string(),
        to: change.to.to_string(),
        currency: change.currency.to_string(),
        before: text(change.before),
        after: text(change.after),
        along: change.along.iter().map(along).collect(),
    }
}
