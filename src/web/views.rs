//! The views of the page, one file each.

use maud::{Markup, html};

use super::reader::Reader;
use crate::domain::band::{BandStatus, PeriodLabel};
use crate::domain::breakdown::Dimension;
use crate::domain::money::Money;
use crate::snapshot::Snapshot;

pub(super) mod alert;
pub(super) mod alerts;
pub(super) mod band;
pub(super) mod bands;
mod cut;
pub(super) mod gpu;
pub(super) mod record;
pub(super) mod source;
pub(super) mod sources;
pub(super) mod spend;
mod stood_out;
mod telemetry;

/// What people call a value of a dimension.
fn name_of(snapshot: &Snapshot, dimension: Dimension, key: &str, reader: &Reader) -> String {
    let known = snapshot.spend.iter().find_map(|of| of.names.get(&(dimension, key.to_owned())));
    known.cloned().unwrap_or_else(|| spend::unnamed(dimension, key, reader))
}

/// A word for a status with a sign of its own, so that nobody has to tell colours apart.
fn status(status: BandStatus, reader: &Reader) -> Markup {
    signed(status, reader.language.status(status))
}

/// Other words for a status, with its sign.
fn signed(status: BandStatus, words: &str) -> Markup {
    let sign = match status {
        BandStatus::Below => "M1 2 H11 L6 11 Z",
        BandStatus::Within => "M6 1 A5 5 0 1 0 6 11 A5 5 0 1 0 6 1 Z",
        BandStatus::Above => "M1 10 H11 L6 1 Z",
        BandStatus::Unknown => "M1 5 H11 V7 H1 Z",
    };
    html! {
        span.status.(status.as_str()) {
            svg viewBox="0 0 12 12" aria-hidden="true" { path d=(sign) {} }
            (words)
        }
    }
}

/// A figure that other faces tell too: what is shown, and exactly what it is.
struct Figure<'a> {
    /// Which figure.
    name: &'static str,
    /// Of what.
    of: &'a str,
    /// In which period.
    period: PeriodLabel,
}

impl Figure<'_> {
    /// An amount in whole units.
    fn money(&self, money: Money, reader: &Reader) -> Markup {
        self.shown(money.amount.normalize(), &reader.money(money))
    }

    fn shown(&self, exact: impl std::fmt::Display, shown: &str) -> Markup {
        html! {
            data value=(exact) data-figure=(self.name) data-of=(self.of)
                data-period=(self.period.as_str())
            { (shown) }
        }
    }
}
