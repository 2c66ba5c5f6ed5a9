//! Billing in: one trait, one line for each kind of source, one loop that polls them.
//!
//! A source turns a window of days into a [`SourceReport`]: all pages or an error. It keeps no
//! state, sleeps for nobody and decides no cadence; the poller does.

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "azure")]
pub mod azure;
pub mod central;
#[cfg(feature = "gcp")]
pub mod gcp;
pub mod gpu;
pub mod http;
pub mod plan;
pub mod poller;
mod priced;
mod prices;
pub mod proof;
pub mod reconcile;

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::collect::proof::Proof;
use crate::config::problems::Problems;
use crate::config::values::{Amount, Span};
use crate::domain::breakdown::{Breakdown, Dimension};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::Money;
use crate::domain::period::Window;
use crate::domain::ports::Meter;
use crate::domain::price::{InUse, PriceReading};
use crate::domain::report::{SourceError, SourceReport};

/// What the rest of the program needs to know of a source before it is ever polled.
#[derive(Debug, Clone)]
pub struct Descriptor {
    /// Its configured name.
    pub id: SourceId,
    /// Its provider.
    pub provider: Provider,
    /// How long after a day's end its costs may still arrive.
    pub lag: SignedDuration,
    /// How long after a past period's end nothing new must come before the period is final, where
    /// the provider does not say so itself (GCP).
    pub final_after: SignedDuration,
    /// How often it is polled when all is well.
    pub poll_every: Duration,
    /// How long one poll may take in all.
    pub deadline: Duration,
    /// The most that its requests may cost in a calendar month (UTC); none for no paid request.
    pub monthly_cap: Option<Money>,
    /// How old the newest good reading may grow before statuses become unknown.
    pub maximum_age: SignedDuration,
    /// The breakdowns that a report holds, the primary first.
    pub breakdowns: Vec<Breakdown>,
    /// Whether it reads list prices. Where it does not, those that were read before are not used.
    pub list_prices: bool,
}

/// One kind of request of a poll, for the plan that `check` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedRequest {
    /// The provider's operation: `GetCostAndUsage`.
    pub operation: &'static str,
    /// What it is for: `service_name x sub_account_id`.
    pub purpose: String,
    /// How many requests or pages one poll makes at most.
    pub at_most: u32,
    /// What one costs; none where it is free.
    pub price: Option<Money>,
}

/// What a source is asked.
#[derive(Debug, Clone)]
pub struct PollRequest {
    /// The days to look at.
    pub window: Window,
    /// The present instant of the agent's clock.
    pub now: Timestamp,
    /// The cursor of the last committed report; none to read the whole window again.
    pub cursor: Option<String>,
}

/// A provider's bill as something that can be asked for days.
#[async_trait]
pub trait Source: Send + Sync {
    /// What it is.
    fn descriptor(&self) -> &Descriptor;

    /// Adds a filtered breakdown of its own for the scope of a band that no standard breakdown
    /// answers: spend only (usage and purchases), no grouping, `query` as its name.
    ///
    /// # Errors
    /// Why this provider cannot be asked so, for people.
    fn add_filtered(
        &mut self,
        query: &str,
        filters: &[(Dimension, Vec<String>)],
    ) -> Result<(), String>;

    /// What one poll of a window will ask, for the printed plan.
    fn plan(&self, window: &Window) -> Vec<PlannedRequest>;

    /// Reads a window: every page of every breakdown, or an error.
    ///
    /// # Errors
    /// A [`SourceError`] with its kind; nothing was kept.
    async fn poll(
        &self,
        request: &PollRequest,
        meter: &dyn Meter,
    ) -> Result<SourceReport, SourceError>;

    /// Reads what the provider lists for the GPU machines that are in use, before any discount;
    /// none where nothing is asked: nothing is in use, the currency of the bill is not known, or
    /// the configuration does not want it. What was read to its end is told, whatever failed
    /// beside it.
    ///
    /// # Errors
    /// A [`SourceError`] with its kind where nothing was read to its end; prices that were read
    /// before stay true.
    async fn list_prices(
        &self,
        _in_use: &InUse,
        _now: Timestamp,
        _meter: &dyn Meter,
    ) -> Result<Option<PriceReading>, SourceError> {
        Ok(None)
    }

    /// What [`Source::prove`] asks that is paid for.
    fn paid_proof(&self) -> Vec<PlannedRequest> {
        Vec::new()
    }

    /// Proves whose the credentials are and, one by one, that they may do what polls need, with as
    /// few requests as can be.
    async fn prove(&self, now: Timestamp, meter: &dyn Meter) -> Vec<Proof>;
}

/// One kind of billing source: how its configuration is described and how it is made.
pub struct SourceKind {
    /// The key under `sources` in the configuration.
    pub name: &'static str,
    /// What an identity needs, in the provider's own words: what [`Source::prove`] proves.
    pub permissions: &'static [&'static str],
    /// The JSON Schema of one entry.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Makes a source of one entry whose structure was checked against the schema. Notes what is
    /// wrong under `path` (`sources.aws[0]`) and returns none then. Reads no network.
    pub build: fn(
        entry: &serde_json::Value,
        path: &str,
        problems: &mut Problems,
    ) -> Option<Box<dyn Source>>,
}

/// Every kind of billing source in this build.
pub const SOURCES: &[SourceKind] = &[
    #[cfg(feature = "aws")]
    aws::KIND,
    #[cfg(feature = "gcp")]
    gcp::KIND,
    #[cfg(feature = "azure")]
    azure::KIND,
];

/// The settings that every billing source has, flattened into its entry. What is missing is the
/// provider's default.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct Cadence {
    /// How often the bill is read: `8h` by default for AWS, `4h` for Google Cloud, `6h` for Azure.
    #[serde(default)]
    pub poll_every: Option<Span>,
    /// How long one poll may take in all, `10m` by default.
    #[serde(default)]
    pub deadline: Option<Span>,
    /// How long after a day's end its costs may still arrive, `48h` by default.
    #[serde(default)]
    pub lag: Option<Span>,
    /// How long nothing new must come for a past month before it counts as final, where the
    /// provider does not say so itself (Google Cloud); `120h` by default.
    #[serde(default)]
    pub final_after: Option<Span>,
    /// How old the newest good reading may grow before statuses become unknown, `48h` by default.
    #[serde(default)]
    pub maximum_age: Option<Span>,
    /// The most that the requests may cost in a calendar month (UTC): `30 USD` by default for AWS
    /// and Google Cloud. Azure's requests are free.
    #[serde(default)]
    pub monthly_cap: Option<Amount>,
    /// Whether the list prices of the GPU machines in use are read once a day; `true` by default.
    /// Without them the dated table of the program stands.
    #[serde(default)]
    pub list_prices: Option<bool>,
}

impl Cadence {
    /// How long nothing new must come for a past month before it counts as final.
    pub fn final_after(&self) -> SignedDuration {
        self.final_after.unwrap_or(Span::hours(120)).signed()
    }

    /// Whether list prices are read.
    pub fn list_prices(&self) -> bool {
        self.list_prices.unwrap_or(true)
    }
}
