//! What an alert is about: labels of its identity.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

words! {
    /// What an alert is about: a label of its identity. Values that change from day to day are
    /// figures and no labels.
    Subject {
        /// A band.
        Band = "band",
        /// A billing source, or a source of GPU telemetry.
        Source = "source",
        /// A cloud.
        Provider = "provider",
        /// A cluster.
        Cluster = "cluster",
        /// A GPU model.
        Model = "model",
        /// How capacity was bought.
        CapacityType = "capacity_type",
        /// A machine type.
        Machine = "machine",
        /// A service of a bill.
        ServiceName = "service_name",
        /// A sub-account of a bill.
        SubAccountId = "sub_account_id",
        /// A region of a bill.
        RegionId = "region_id",
        /// The namespace of a workload.
        WorkloadNamespace = "workload_namespace",
        /// The name of a workload.
        WorkloadName = "workload_name",
        /// The currency, where a subject has several.
        Currency = "currency",
        /// The first day of something that has its own days.
        FirstDay = "first_day",
        /// A receiver.
        Receiver = "receiver",
    }
}

/// Labels in their order, each once. Copies share one piece of memory that knows its digest: an
/// evaluation looks every alert up in several maps, and most of its rules are about the same thing.
#[derive(Clone, Default)]
pub struct Subjects(Arc<Labels>);

#[derive(Clone, Default)]
struct Labels {
    /// The sum of the labels' own digests: the same in whichever order they were put in.
    digest: u64,
    labels: Vec<(Subject, String)>,
}

impl Subjects {
    /// Puts a label in, in the place of one of its name.
    pub fn insert(&mut self, subject: Subject, value: String) {
        let Labels { digest, labels } = Arc::make_mut(&mut self.0);
        *digest = digest.wrapping_add(digest_of(subject, &value));
        match labels.iter_mut().find(|(held, _)| *held == subject) {
            Some((_, held)) => {
                *digest = digest.wrapping_sub(digest_of(subject, held));
                *held = value;
            }
            None => {
                let at = labels.partition_point(|(held, _)| *held < subject);
                labels.insert(at, (subject, value));
            }
        }
    }

    /// The value of a label.
    pub fn get(&self, subject: Subject) -> Option<&str> {
        self.iter().find(|(held, _)| *held == subject).map(|(_, value)| value.as_str())
    }

    /// Every label, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Subject, &String)> {
        self.0.labels.iter().map(|(subject, value)| (*subject, value))
    }

    /// Every value, in the order of labels.
    pub fn values(&self) -> impl Iterator<Item = &String> {
        self.iter().map(|(_, value)| value)
    }
}

/// The same in all of a process; never kept.
fn digest_of(subject: Subject, value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (subject, value).hash(&mut hasher);
    hasher.finish()
}

impl PartialEq for Subjects {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.digest == other.0.digest && self.0.labels == other.0.labels)
    }
}

impl Eq for Subjects {}

impl Hash for Subjects {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.digest);
    }
}

impl PartialOrd for Subjects {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Subjects {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.labels.cmp(&other.0.labels)
    }
}

impl fmt::Debug for Subjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Subjects {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Subjects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut subjects = Self::default();
        for (subject, value) in BTreeMap::deserialize(deserializer)? {
            subjects.insert(subject, value);
        }
        Ok(subjects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &[(Subject, &str)]) -> Subjects {
        let mut subjects = Subjects::default();
        for (subject, value) in labels {
            subjects.insert(*subject, (*value).to_owned());
        }
        subjects
    }

    #[test]
    fn labels_are_the_same_in_whichever_order_and_over_whatever_they_were_put_in() {
        let wanted = of(&[(Subject::Source, "aws"), (Subject::Currency, "USD")]);
        let hash = |subjects: &Subjects| {
            let mut hasher = DefaultHasher::new();
            subjects.hash(&mut hasher);
            hasher.finish()
        };
        for same in [
            of(&[(Subject::Currency, "USD"), (Subject::Source, "aws")]),
            of(&[(Subject::Source, "gcp"), (Subject::Currency, "USD"), (Subject::Source, "aws")]),
        ] {
            assert_eq!(same, wanted);
            assert_eq!(hash(&same), hash(&wanted));
            assert_eq!(same.cmp(&wanted), std::cmp::Ordering::Equal);
        }
        let mut copy = wanted.clone();
        copy.insert(Subject::Currency, "EUR".to_owned());
        assert_ne!(copy, wanted);
        assert_eq!(wanted.get(Subject::Currency), Some("USD"), "a copy changes alone");
    }
}
