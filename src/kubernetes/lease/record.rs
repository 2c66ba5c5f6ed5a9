//! A Lease as the API has it (`coordination.k8s.io/v1`), what is asked of it, and what the answers
//! mean.
//!
//! Facts about the API (Kubernetes documentation, "API concepts" and "Leases"): an update names the
//! `resourceVersion` that it starts from and is refused with `409 Conflict` where that is not the
//! newest; a second creation is refused so too; `MicroTime` has six digits; `leaseTransitions` is a
//! signed integer of 32 bits.

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::lease::LeaseHolder;

/// The annotation with the address of the holder's page.
pub const ADDRESS: &str = "costband/holder-address";

/// Which Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A Lease, with what others have written into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    object: Map<String, Value>,
    /// What it says.
    pub record: Record,
}

/// What a Lease says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; nobody where it was released.
    pub holder: Option<LeaseHolder>,
    /// For how long a record stands, in seconds, where it says so.
    pub duration_seconds: Option<u64>,
    /// How often its holder has changed: the term.
    pub transitions: u64,
    /// When it was taken, by its holder's clock.
    pub acquired_at: Option<Timestamp>,
    /// When it was renewed last, by its holder's clock.
    pub renewed_at: Option<Timestamp>,
}

/// What is asked of the API.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// What does the Lease say?
    Read,
    /// Make it.
    Create(Lease),
    /// Put this in the place of what it was made of.
    Update(Lease),
}

/// What the API answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The Lease as it is now.
    Is(Lease),
    /// There is none.
    Missing,
    /// Somebody else was faster.
    Conflict,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<i64>,
    lease_transitions: Option<i64>,
    acquire_time: Option<Timestamp>,
    renew_time: Option<Timestamp>,
}

impl Lease {
    /// A Lease that does not exist yet.
    pub fn new(record: Record) -> Self {
        Self::changed(Map::new(), record)
    }

    /// The same Lease with another record. What others wrote into it stays.
    #[must_use]
    pub fn with(&self, record: Record) -> Self {
        Self::changed(self.object.clone(), record)
    }

    fn changed(mut object: Map<String, Value>, record: Record) -> Self {
        let time = |at: Option<Timestamp>| at.map(|at| format!("{at:.6}"));
        let holder = record.holder.as_ref();
        let spec = part(&mut object, "spec");
        for (key, value) in [
            ("holderIdentity", holder.map_or("", |holder| &holder.identity).into()),
            ("leaseDurationSeconds", record.duration_seconds.into()),
            ("leaseTransitions", record.transitions.into()),
            ("acquireTime", time(record.acquired_at).into()),
            ("renewTime", time(record.renewed_at).into()),
        ] {
            spec.insert(key.to_owned(), value);
        }
        let annotations = part(part(&mut object, "metadata"), "annotations");
        match holder.and_then(|holder| holder.address.as_deref()) {
            Some(address) => drop(annotations.insert(ADDRESS.to_owned(), address.into())),
            None => drop(annotations.remove(ADDRESS)),
        }
        Self { object, record }
    }

    /// Reads a Lease.
    ///
    /// # Errors
    /// What is not as the API says.
    pub fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        let object: Map<String, Value> = serde_json::from_slice(body)?;
        let spec = object.get("spec").cloned().unwrap_or_else(|| json!({}));
        let spec: Spec = serde_json::from_value(spec)?;
        let metadata = object.get("metadata");
        let address = metadata.and_then(|metadata| metadata.get("annotations")?.get(ADDRESS));
        let address = address.and_then(Value::as_str).map(str::to_owned);
        let identity = spec.holder_identity.filter(|identity| !identity.is_empty());
        let natural = |number: i64| u64::try_from(number).ok();
        let record = Record {
            holder: identity.map(|identity| LeaseHolder { identity, address }),
            duration_seconds: spec.lease_duration_seconds.and_then(natural),
            transitions: spec.lease_transitions.and_then(natural).unwrap_or_default(),
            acquired_at: spec.acquire_time,
            renewed_at: spec.renew_time,
        };
        Ok(Self { object, record })
    }
}

/// A part of an object, which is made where it is not there.
fn part<'a>(object: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = object.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made an object just now")
}

impl Question {
    /// The request: its method, path and body.
    pub fn request(&self, of: &LeaseName) -> (Method, String, Option<Value>) {
        let LeaseName { namespace, name } = of;
        let all = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
        let one = format!("{all}/{name}");
        let body = |lease: &Lease| {
            let mut object = lease.object.clone();
            object.insert("apiVersion".to_owned(), "coordination.k8s.io/v1".into());
            object.insert("kind".to_owned(), "Lease".into());
            let metadata = part(&mut object, "metadata");
            metadata.insert("namespace".to_owned(), namespace.as_str().into());
            metadata.insert("name".to_owned(), name.as_str().into());
            Some(Value::Object(object))
        };
        match self {
            Self::Read => (Method::GET, one, None),
            Self::Create(lease) => (Method::POST, all, body(lease)),
            Self::Update(lease) => (Method::PUT, one, body(lease)),
        }
    }

    /// Whether it changes something.
    pub fn is_write(&self) -> bool {
        *self != Self::Read
    }
}

impl Answer {
    /// What an answer means; none for a failure, after which nobody knows what was done.
    ///
    /// # Errors
    /// A body that is not as the API says.
    pub fn of(status: StatusCode, body: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        Ok(match status {
            StatusCode::NOT_FOUND => Some(Self::Missing),
            StatusCode::CONFLICT => Some(Self::Conflict),
            status if status.is_success() => Some(Self::Is(Lease::read(body)?)),
            _ => None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const THEIRS: &str = r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease",
        "metadata":{"name":"costband","namespace":"finops","resourceVersion":"7","uid":"u",
            "labels":{"team":"finops"},"annotations":{"note":"theirs","costband/holder-address":"http://10.0.0.7:9750/"}},
        "spec":{"holderIdentity":"a_1","leaseDurationSeconds":15,"leaseTransitions":3,"strategy":"x",
            "acquireTime":"2026-11-23T10:00:00.000000Z","renewTime":"2026-11-23T10:00:04.000250Z"}}"#;

    #[test]
    fn what_others_wrote_into_a_lease_stays_in_it() {
        let lease = Lease::read(THEIRS.as_bytes()).unwrap();
        assert_eq!(lease.record.transitions, 3);
        let holder = lease.record.holder.clone().unwrap();
        assert_eq!(holder.address.as_deref(), Some("http://10.0.0.7:9750/"));
        let record = Record { holder: None, duration_seconds: Some(1), ..lease.record.clone() };
        let question = Question::Update(lease.with(record));
        let name = LeaseName { namespace: "finops".to_owned(), name: "costband".to_owned() };
        let (method, path, body) = question.request(&name);
        assert_eq!(method, Method::PUT);
        assert_eq!(path, "/apis/coordination.k8s.io/v1/namespaces/finops/leases/costband");
        let mut wanted: Value = serde_json::from_str(THEIRS).unwrap();
        wanted["spec"]["holderIdentity"] = "".into();
        wanted["spec"]["leaseDurationSeconds"] = 1.into();
        wanted["metadata"]["annotations"].as_object_mut().unwrap().remove(ADDRESS);
        assert_eq!(body.unwrap(), wanted);
    }

    #[test]
    fn a_lease_without_a_word_is_free_and_one_that_is_none_is_refused() {
        assert_eq!(Lease::read(b"{}").unwrap().record, Record::default());
        for wrong in [&b"[]"[..], b"{\"spec\":{\"renewTime\":\"soon\"}}", b"{\"spec\":{"] {
            assert!(Answer::of(StatusCode::OK, wrong).is_err());
        }
        assert_eq!(Answer::of(StatusCode::BAD_GATEWAY, b"[]").unwrap(), None);
        assert_eq!(Answer::of(StatusCode::CONFLICT, b"").unwrap(), Some(Answer::Conflict));
    }

    #[test]
    fn a_record_is_written_as_it_is_read() {
        let at = "2026-11-23T10:00:04.00025Z".parse().ok();
        let holder = LeaseHolder { identity: "b_2".to_owned(), address: None };
        let record = Record {
            holder: Some(holder),
            duration_seconds: Some(15),
            transitions: 4,
            acquired_at: at,
            renewed_at: at,
        };
        let name = LeaseName { namespace: "finops".to_owned(), name: "costband".to_owned() };
        let (_, _, body) = Question::Create(Lease::new(record.clone())).request(&name);
        let body = body.unwrap();
        assert_eq!(body["spec"]["renewTime"], "2026-11-23T10:00:04.000250Z");
        assert_eq!(Lease::read(body.to_string().as_bytes()).unwrap().record, record);
    }
}
