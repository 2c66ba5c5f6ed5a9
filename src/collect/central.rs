//! The central agent, asked by agents beside GPUs: what their node is and what its GPUs cost.

use std::time::Duration;

use reqwest::StatusCode;
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::collect::http::{body, cause};
use crate::config::address::{Address, cleaned};
use crate::config::secret::{Secret, SecretRef};
use crate::domain::gpu_money::{GpuHourPrice, PriceSource};
use crate::domain::identity::Provider;
use crate::domain::machine::Machine;
use crate::domain::money::Money;
use crate::domain::node::Node;
use crate::domain::price::{CapacityType, PriceNote};
use crate::domain::report::{SourceError, SourceErrorKind};

/// A node's document is a few hundred bytes; more than this is something else.
const LARGEST_ANSWER: usize = 256 << 10;
/// Names become label values.
const LONGEST_NAME: usize = 253;

/// A central agent to ask.
#[derive(Debug, Clone)]
pub struct CentralTarget {
    /// Its page's address, before `/api/v1`.
    pub url: Address,
    /// Its bearer token.
    pub bearer: Option<SecretRef>,
    /// How long it may take.
    pub timeout: Duration,
}

/// What the central agent knows of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node. Its machine type is left out where the central agent only guesses it.
    pub node: Node,
    /// Prices of one GPU for an hour, the one that is used first; each more than zero.
    pub prices: Vec<GpuHourPrice>,
}

/// What is read of `GET /api/v1/nodes/{name}`; the rest of the document is not needed here.
#[derive(Deserialize)]
struct NodeAnswer {
    provider: Option<String>,
    cluster: String,
    instance_type: Option<String>,
    region_id: Option<String>,
    capacity_type: CapacityType,
    instance_type_is_guessed: bool,
    prices: Vec<PriceAnswer>,
}

#[derive(Deserialize)]
struct PriceAnswer {
    price_source: PriceSource,
    price: String,
    currency: String,
    note: String,
}

/// Asks what a node is. `client` must follow no redirect: it would carry the token elsewhere.
///
/// # Errors
/// A [`SourceError`] that names the address as it may be shown and never the token: unreachable,
/// late, refused, a redirect, a node that is not known there (`NotReady`), or no such document.
pub async fn ask(
    client: &reqwest::Client,
    target: &CentralTarget,
    name: &str,
) -> Result<NodeFacts, SourceError> {
    let mut url = target.url.expose().clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["api", "v1", "nodes", name]);
    }
    let mut secrets = target.url.secrets();
    let mut request = client.get(url).timeout(target.timeout);
    if let Some(bearer) = &target.bearer {
        let token = bearer.read().map_err(|error| {
            let message = format!("failed to read `central.bearer_token`: {error}");
            SourceError::new(SourceErrorKind::Auth, message)
        })?;
        request = request.bearer_auth(token.expose());
        secrets.push(token);
    }
    let failed = |kind, reason: &str| {
        let reason = cleaned(reason, &secrets);
        let message = format!("failed to ask the central agent at `{}`: {reason}", target.url);
        SourceError::new(kind, message)
    };
    let broken = |error: reqwest::Error| {
        if error.is_timeout() {
            failed(SourceErrorKind::Timeout, "it does not answer in time")
        } else {
            failed(SourceErrorKind::Unavailable, &cause(error))
        }
    };
    let response = request.send().await.map_err(broken)?;
    if let Some((kind, reason)) = refusal(response.status(), name) {
        return Err(failed(kind, &reason));
    }
    let body = body(response, LARGEST_ANSWER).await.map_err(broken)?;
    let body = body.ok_or_else(|| failed(SourceErrorKind::Malformed, "its answer has no end"))?;
    read(&body, name, &secrets).map_err(|reason| failed(SourceErrorKind::Malformed, &reason))
}

/// Why a status is not an answer.
fn refusal(status: StatusCode, name: &str) -> Option<(SourceErrorKind, String)> {
    let refused = |kind, reason: &str| Some((kind, format!("it answers {status}{reason}")));
    match status.as_u16() {
        200 => None,
        300..=399 => refused(SourceErrorKind::Config, ": redirects are not followed"),
        401 => refused(SourceErrorKind::Auth, ": want its token in `central.bearer_token`"),
        403 => refused(SourceErrorKind::Forbidden, ""),
        404 => {
            let reason = format!("it knows no node `{name}`");
            Some((SourceErrorKind::NotReady, reason))
        }
        _ => refused(SourceErrorKind::Unavailable, ""),
    }
}

fn read(body: &[u8], name: &str, secrets: &[Secret]) -> Result<NodeFacts, String> {
    let answer: NodeAnswer = serde_json::from_slice(body)
        .map_err(|error| format!("its answer is not a node's document: {error}"))?;
    let provider = match answer.provider.as_deref() {
        None => None,
        Some(word) => {
            let found = Provider::ALL.into_iter().find(|provider| provider.as_str() == word);
            Some(found.ok_or_else(|| format!("it names the cloud `{word}`"))?)
        }
    };
    let texts = [Some(&answer.cluster), answer.instance_type.as_ref(), answer.region_id.as_ref()];
    if texts.into_iter().flatten().any(|text| text.len() > LONGEST_NAME) {
        return Err("it gives a name that is too long".to_owned());
    }
    let mut prices = Vec::new();
    for told in answer.prices {
        let currency = told.currency.parse();
        let currency =
            currency.map_err(|_| format!("it names the currency `{}`", told.currency))?;
        let price = told.price.parse().unwrap_or(Decimal::ZERO);
        if price <= Decimal::ZERO {
            return Err(format!("its price `{}` is none", told.price));
        }
        prices.push(GpuHourPrice {
            source: told.price_source,
            price: Money::new(price, currency),
            note: PriceNote::Told(cleaned(&told.note, secrets)),
        });
    }
    let instance_type = answer.instance_type.filter(|_| !answer.instance_type_is_guessed);
    let machine = provider.zip(instance_type.as_deref());
    let machine = machine.and_then(|(provider, name)| Machine::of(provider, name));
    Ok(NodeFacts {
        node: Node {
            name: name.to_owned(),
            provider,
            cluster: answer.cluster,
            instance_type,
            region_id: answer.region_id,
            zone: None,
            capacity_type: answer.capacity_type,
            // How many telemetry sees there may be fewer.
            gpus: machine.map(|machine| machine.gpus),
            hourly_cost: None,
        },
        prices,
    })
}
