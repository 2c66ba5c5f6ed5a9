//! What is configured of alerts: which rules look at what, at which thresholds, and who is told.

use jiff::SignedDuration;

use crate::domain::alert::AlertKey;

/// What is configured of every rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertPolicies {}

/// Who is told of an alert, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// Receivers by name; none for every receiver.
    pub receivers: Option<Vec<String>>,
    /// An alert that nobody has taken is told again after so long; zero for never.
    pub repeat_after: SignedDuration,
}

impl AlertPolicies {
    /// Who is told of an alert: the receivers of its rule, else those of its band.
    pub fn routing(&self, _key: &AlertKey) -> Routing {
        Routing { receivers: None, repeat_after: SignedDuration::from_hours(24) }
    }
}
