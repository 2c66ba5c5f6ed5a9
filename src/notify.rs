//! Messages out: one receiver for each configured address, and what went wrong with a delivery.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::notice::{AlertNotice, Notice};

pub mod webhook;

/// Somebody who is told.
#[async_trait]
pub trait Receiver: Send + Sync {
    /// The configured name.
    fn name(&self) -> &str;

    /// The least time between two messages.
    fn least_interval(&self) -> Duration {
        Duration::ZERO
    }

    /// Delivers a message. `id` is the same for every copy of it.
    ///
    /// # Errors
    /// A [`DeliveryError`] that holds no secret and no address.
    async fn deliver(&self, id: &str, notice: &Notice, now: Timestamp)
    -> Result<(), DeliveryError>;

    /// How often what fires is told again, for receivers that forget; none for those that do not.
    fn refresh_every(&self) -> Option<Duration> {
        None
    }

    /// Tells again what fires.
    ///
    /// # Errors
    /// As [`Receiver::deliver`].
    async fn refresh(&self, _: &[AlertNotice], _: Timestamp) -> Result<(), DeliveryError> {
        Ok(())
    }

    /// Gives a sign of life, which is expected again after `every`.
    ///
    /// # Errors
    /// As [`Receiver::deliver`].
    async fn beat(&self, every: Duration, now: Timestamp) -> Result<(), DeliveryError>;
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DeliveryError {
    /// What came back; never a secret.
    pub reason: String,
    /// Whether a later attempt may do well.
    pub is_temporary: bool,
    /// Whether it may have arrived all the same: the answer was lost, not the message.
    pub may_have_arrived: bool,
    /// How long the receiver asks to wait.
    pub retry_after: Option<Duration>,
}
