//! A webhook signed as the Standard Webhooks specification says: `webhook-id`,
//! `webhook-timestamp` and `webhook-signature: v1,<base64 HMAC-SHA256>` over id, time and body.

use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;

use crate::config::WebhookAddress;
use crate::config::secret::{Secret, SecretRef};
use crate::domain::notice::Notice;
use crate::notify::{DeliveryError, Receiver};

/// A receiver of signed webhooks.
#[derive(Debug)]
pub struct Webhook {
    /// The configured name.
    pub name: String,
    /// Where messages go.
    pub address: WebhookAddress,
    /// The signing key, `whsec_` and base64.
    pub secret: SecretRef,
    /// How long one delivery may take.
    pub timeout: Duration,
    /// The client that carries them.
    pub client: reqwest::Client,
}

#[async_trait]
impl Receiver for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    async fn deliver(
        &self,
        id: &str,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), DeliveryError> {
        let payload = &serde_json::to_string(notice).unwrap_or_default();
        let here = |reason: String| DeliveryError {
            reason,
            is_temporary: true,
            may_have_arrived: false,
            retry_after: None,
        };
        let address = self.address.read().map_err(|error| here(error.to_string()))?;
        let secret = self.secret.read().map_err(|error| here(error.to_string()))?;
        let key = signing_key(&secret).map_err(|reason| here(reason.to_owned()))?;
        let timestamp = now.as_second();
        let response = self
            .client
            .post(address.expose())
            .timeout(self.timeout)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature(&key, id, timestamp, payload))
            .body(payload.clone())
            .send()
            .await
            .map_err(|error| here(format!("failed to deliver: {}", error.without_url())))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        Err(DeliveryError {
            reason: format!("failed to deliver: the receiver answers {status}"),
            is_temporary: is_temporary(status),
            may_have_arrived: false,
            retry_after,
        })
    }

    async fn beat(&self, _: Duration, _: Timestamp) -> Result<(), DeliveryError> {
        Ok(())
    }
}

/// A receiver that is gone or refuses the message will not take the same bytes later; one that
/// refuses the caller may, once somebody has mended the address or the key.
fn is_temporary(status: StatusCode) -> bool {
    !matches!(status.as_u16(), 400 | 410 | 413 | 422)
}

/// Reads a signing key of the form `whsec_<base64>`.
///
/// # Errors
/// What is wrong with it, without showing it.
pub fn signing_key(secret: &Secret) -> Result<hmac::Key, &'static str> {
    let encoded = secret
        .expose()
        .strip_prefix("whsec_")
        .ok_or("the webhook's secret does not begin with `whsec_`")?;
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| "the webhook's secret is not base64 after `whsec_`")?;
    if bytes.len() < 24 {
        return Err("the webhook's secret is shorter than 24 bytes");
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

fn signature(key: &hmac::Key, id: &str, timestamp: i64, payload: &str) -> String {
    let signed = format!("{id}.{timestamp}.{payload}");
    format!("v1,{}", STANDARD.encode(hmac::sign(key, signed.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification's reference libraries.
    #[test]
    fn a_message_is_signed_as_the_specification_says() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let key = signing_key(&secret).expect("well formed");
        let signature = signature(
            &key,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_key_that_cannot_be_read_is_not_shown() {
        for wrong in ["plain", "whsec_###", "whsec_c2hvcnQ="] {
            let reason = signing_key(&Secret::new(wrong)).expect_err("it is wrong");
            assert!(!reason.contains(wrong), "{reason}");
        }
    }
}
