//! Messages out: one receiver for each configured address, and what went wrong with a delivery.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

pub mod webhook;

/// Somebody who is told.
#[async_trait]
pub trait Receiver: Send + Sync {
    /// The configured name.
    fn name(&self) -> &str;

    /// Delivers a message. `id` is the same for every copy of it.
    ///
    /// # Errors
    /// A [`DeliveryError`] that holds no secret and no address.
    async fn deliver(&self, id: &str, payload: &str, now: Timestamp) -> Result<(), DeliveryError>;
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DeliveryError {
    /// What came back; never a secret.
    pub reason: String,
    /// Whether a later attempt may do well.
    pub is_temporary: bool,
    /// How long the receiver asks to wait.
    pub retry_after: Option<Duration>,
}
