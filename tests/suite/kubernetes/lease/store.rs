//! Leases as the API server keeps them (`coordination.k8s.io/v1`): every change has a new
//! resourceVersion, an update must name the newest one and the object's own uid, an update that
//! changes nothing is none, and a spec that the API's validation refuses is refused.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::kubernetes::server::status;

const ALL: &str = "/apis/coordination.k8s.io/v1/namespaces/";

/// The Leases of a cluster.
#[derive(Default)]
pub(crate) struct Leases {
    version: u64,
    objects: BTreeMap<(String, String), Value>,
}

/// The namespace and the name in a path of this API.
pub(crate) fn place(path: &str) -> Option<(String, Option<String>)> {
    let (namespace, rest) = path.strip_prefix(ALL)?.split_once('/')?;
    let name = match rest.strip_prefix("leases")? {
        "" => None,
        rest => Some(rest.strip_prefix('/')?.to_owned()),
    };
    Some((namespace.to_owned(), name))
}

impl Leases {
    /// Answers a request.
    pub(crate) fn answer(
        &mut self,
        method: &Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let refuse = |code, reason, message: &str| (code, status(code, reason, message));
        let missing = || refuse(StatusCode::NOT_FOUND, "NotFound", "leases not found");
        let conflict = |why: &str| refuse(StatusCode::CONFLICT, "Conflict", why);
        let Some((namespace, name)) = place(path) else { return missing() };
        let name = name.or_else(|| Some(body.as_ref()?["metadata"]["name"].as_str()?.to_owned()));
        let Some(name) = name else { return missing() };
        let key = (namespace, name);
        if let Some(body) = &body
            && !is_valid(&body["spec"])
        {
            return refuse(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", "spec: Invalid value");
        }
        let there = self.objects.get(&key);
        match (method.as_str(), there, body) {
            ("GET", Some(there), _) => (StatusCode::OK, there.clone()),
            ("POST", None, Some(body)) => (StatusCode::CREATED, self.keep(key, body, true)),
            ("POST", Some(_), _) => refuse(StatusCode::CONFLICT, "AlreadyExists", "already exists"),
            ("PUT", Some(there), Some(body)) => {
                let told = |field: &str| body["metadata"][field].as_str();
                let newest = there["metadata"]["resourceVersion"].as_str();
                match (told("resourceVersion"), told("uid")) {
                    (None, _) => {
                        let why = "metadata.resourceVersion: must be specified for an update";
                        refuse(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", why)
                    }
                    (version, _) if version != newest => conflict(
                        "the object has been modified; please apply your changes to the latest version and try again",
                    ),
                    (_, Some(uid)) if Some(uid) != there["metadata"]["uid"].as_str() => {
                        conflict("Precondition failed: UID in precondition")
                    }
                    _ if *there == body => (StatusCode::OK, body),
                    _ => (StatusCode::OK, self.keep(key, body, false)),
                }
            }
            _ => missing(),
        }
    }

    fn keep(&mut self, key: (String, String), mut object: Value, is_new: bool) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if is_new {
            object["metadata"]["uid"] =
                format!("00000000-0000-4000-8000-{:012}", self.version).into();
            object["metadata"]["creationTimestamp"] = json!("2026-11-23T10:00:00Z");
        }
        self.objects.insert(key, object.clone());
        object
    }

    /// Somebody else writes into every Lease, as `kubectl annotate` does.
    pub(crate) fn touch(&mut self) {
        for (key, mut object) in self.objects.clone() {
            object["metadata"]["annotations"]["touched"] = self.version.to_string().into();
            self.keep(key, object, false);
        }
    }

    /// Somebody deletes every Lease.
    pub(crate) fn delete(&mut self) {
        self.objects.clear();
    }

    /// The spec of the only Lease.
    pub(crate) fn spec(&self) -> Option<Value> {
        self.objects.values().next().map(|object| object["spec"].clone())
    }
}

fn is_valid(spec: &Value) -> bool {
    let whole = |field: &str, least: i64| {
        let value = &spec[field];
        value.is_null()
            || value.as_i64().is_some_and(|n| (least..=i64::from(i32::MAX)).contains(&n))
    };
    let time = |field: &str| {
        let value = &spec[field];
        let micro = |text: &str| text.len() == 27 && text.ends_with('Z');
        value.is_null() || value.as_str().is_some_and(micro)
    };
    whole("leaseDurationSeconds", 1)
        && whole("leaseTransitions", 0)
        && time("acquireTime")
        && time("renewTime")
}

#[test]
fn leases_are_kept_as_the_api_documents_it() {
    let mut leases = Leases::default();
    let all = "/apis/coordination.k8s.io/v1/namespaces/finops/leases";
    let one = format!("{all}/costband");
    assert_eq!(leases.answer(&Method::GET, &one, None).0, StatusCode::NOT_FOUND);
    let body = json!({"metadata": {"name": "costband"}, "spec": {"leaseDurationSeconds": 15}});
    let (code, made) = leases.answer(&Method::POST, all, Some(body.clone()));
    assert_eq!((code, &made["metadata"]["resourceVersion"]), (StatusCode::CREATED, &json!("1")));
    assert_eq!(leases.answer(&Method::POST, all, Some(body.clone())).0, StatusCode::CONFLICT);
    let put = |leases: &mut Leases, body: &Value| {
        leases.answer(&Method::PUT, &one, Some(body.clone())).0.as_u16()
    };
    assert_eq!(put(&mut leases, &body), 422, "no version");
    let mut next = made.clone();
    next["spec"]["holderIdentity"] = "".into();
    assert_eq!(put(&mut leases, &next), 200);
    assert_eq!(put(&mut leases, &next), 409, "an old version");
    let (_, newest) = leases.answer(&Method::GET, &one, None);
    assert_eq!(put(&mut leases, &newest), 200);
    assert_eq!(leases.answer(&Method::GET, &one, None).1, newest, "nothing was changed");
    let mut wrong = newest.clone();
    wrong["spec"]["leaseDurationSeconds"] = 0.into();
    assert_eq!(put(&mut leases, &wrong), 422);
    leases.delete();
    let (_, again) = leases.answer(&Method::POST, all, Some(body));
    let mut stale = newest;
    stale["metadata"]["resourceVersion"] = again["metadata"]["resourceVersion"].clone();
    assert_eq!(put(&mut leases, &stale), 409, "another object of that name");
}
