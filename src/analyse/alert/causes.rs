//! What moved a cost: the parts of a bill that grew since last week, and the workloads that waste.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::{AlertFacts, ratio};
use crate::domain::alert::AlertCause;
use crate::domain::band::BandJudgement;
use crate::domain::breakdown::Dimension;
use crate::domain::change::{Change, ChangePart};
use crate::domain::gpu_money::WorkloadMoney;
use crate::domain::identity::SourceId;
use crate::domain::money::{Currency, Money};

/// So many are told.
const MOST: usize = 3;
/// Along which dimension, the first that is known.
const ALONG: [Dimension; 3] =
    [Dimension::ServiceName, Dimension::SubAccountId, Dimension::RegionId];

type Names = BTreeMap<(Dimension, String), String>;

/// What moved, by source and by band.
pub(super) struct Causes<'a> {
    sources: BTreeMap<&'a SourceId, &'a Change>,
    bands: BTreeMap<&'a str, Vec<(&'a SourceId, &'a Change)>>,
    names: BTreeMap<&'a SourceId, &'a Names>,
}

impl<'a> Causes<'a> {
    pub(super) fn of(facts: &AlertFacts<'a>) -> Self {
        let mut found = Self {
            sources: BTreeMap::new(),
            bands: BTreeMap::new(),
            names: facts.spend.iter().map(|spend| (&spend.source, &spend.names)).collect(),
        };
        for of in facts.trends.into_iter().flatten() {
            if let Some(change) = &of.change {
                found.sources.insert(&of.source, change);
            }
            for band in &of.bands {
                found.bands.entry(&band.band).or_default().push((&of.source, &band.change));
            }
        }
        found
    }

    /// What moved a band: its own part of its sources, or all of them.
    pub(super) fn of_band(&self, band: &BandJudgement) -> Vec<AlertCause> {
        let changes = match self.bands.get(band.band.as_str()) {
            Some(own) => own.clone(),
            None => band
                .sources
                .iter()
                .filter_map(|source| self.sources.get_key_value(source))
                .map(|(source, change)| (*source, *change))
                .collect(),
        };
        self.of_changes(&changes, band.ceiling.currency)
    }

    /// The parts that grew most. Money of another currency is left out rather than added.
    fn of_changes(&self, changes: &[(&SourceId, &Change)], currency: Currency) -> Vec<AlertCause> {
        let mut grown: Vec<(Dimension, &SourceId, &ChangePart)> = Vec::new();
        for (source, change) in changes.iter().filter(|(_, change)| change.currency == currency) {
            let along = ALONG
                .iter()
                .find_map(|wanted| change.along.iter().find(|along| along.dimension == *wanted));
            let Some(along) = along else { continue };
            let parts = along.parts.iter().filter(|part| part.change > Decimal::ZERO);
            grown.extend(parts.map(|part| (along.dimension, *source, part)));
        }
        let all =
            grown.iter().fold(Decimal::ZERO, |sum, (.., part)| sum.saturating_add(part.change));
        grown.sort_by(|(.., one), (.., other)| {
            other.change.cmp(&one.change).then_with(|| one.key.cmp(&other.key))
        });
        grown
            .into_iter()
            .take(MOST)
            .map(|(dimension, source, part)| AlertCause {
                dimension: Some(dimension),
                name: self.name(source, dimension, &part.key),
                amount: Money::new(part.change, currency),
                share: ratio(part.change, all),
            })
            .collect()
    }

    /// What people call a value.
    pub(super) fn name(&self, source: &SourceId, dimension: Dimension, key: &str) -> String {
        let known =
            self.names.get(source).and_then(|names| names.get(&(dimension, key.to_owned())));
        known.map_or(key, String::as_str).to_owned()
    }
}

/// The workloads that waste most. They are listed so.
pub(super) fn workloads(listed: &[WorkloadMoney], currency: Currency) -> Vec<AlertCause> {
    listed
        .iter()
        .filter(|of| of.currency == currency && of.idle_cost > Decimal::ZERO)
        .take(MOST)
        .map(|of| AlertCause {
            dimension: None,
            name: format!("{}/{}", of.of.namespace, of.of.name),
            amount: Money::new(of.idle_cost, currency),
            share: ratio(of.idle_cost, of.cost),
        })
        .collect()
}
