//! Proves one by one that the agent's identities may do what the configuration needs of them.

use async_trait::async_trait;

use crate::app::setup::Setup;
use crate::collect::proof::Proof;
use crate::domain::identity::SourceId;
use crate::domain::money::Money;
use crate::domain::ports::{Clock, Meter, MeterError};

#[cfg(feature = "kubernetes")]
mod kubernetes;

/// What was looked at, and what was found of one permission there.
pub struct Found {
    /// `AWS source `aws-main``.
    pub of: String,
    /// What was found.
    pub proof: Proof,
}

/// What the proof of each source asks that is paid for: its name, the operation and the most that
/// all requests cost.
pub fn paid(setup: &Setup) -> Vec<(SourceId, &'static str, Money)> {
    let mut paid = Vec::new();
    for source in &setup.sources {
        for request in source.paid_proof() {
            if let Some(price) = request.price {
                let most = price.amount * rust_decimal::Decimal::from(request.at_most);
                let most = Money::new(most, price.currency);
                paid.push((source.descriptor().id.clone(), request.operation, most));
            }
        }
    }
    paid
}

/// Proves every permission of one source.
pub async fn source(setup: &Setup, id: &SourceId, clock: &dyn Clock) -> Vec<Found> {
    let Some(source) = setup.source(id) else { return Vec::new() };
    let name = source.descriptor().provider.display_name();
    let proofs = source.prove(clock.now(), &OutsideOfTheCap).await;
    let of = format!("{name} source `{id}`");
    proofs.into_iter().map(|proof| Found { of: of.clone(), proof }).collect()
}

/// Proves every permission that is needed of a Kubernetes API.
///
/// # Errors
/// Where one is configured and this build has no Kubernetes.
pub async fn clusters(setup: &Setup) -> anyhow::Result<Vec<Found>> {
    #[cfg(feature = "kubernetes")]
    return Ok(kubernetes::prove(&setup.config).await);
    #[cfg(not(feature = "kubernetes"))]
    {
        let asks_none = setup.config.kubernetes.is_empty() && setup.config.lease.is_none();
        anyhow::ensure!(asks_none, "this build has no Kubernetes");
        Ok(Vec::new())
    }
}

/// A check does not write into the ledger, which a running agent may hold: what a proof costs is
/// told beforehand and stands in no month's sum.
struct OutsideOfTheCap;

#[async_trait]
impl Meter for OutsideOfTheCap {
    async fn reserve(&self, _: &SourceId, _: &'static str, _: Money) -> Result<(), MeterError> {
        Ok(())
    }

    fn quota(&self, _: &SourceId, _: &'static str, _: &'static str, _: f64) {}
}
