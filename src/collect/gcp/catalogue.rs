//! The Cloud Billing API: what people call the billing account. It tells no spend.

use std::time::Duration;

use google_cloud_auth::credentials::Credentials;
use google_cloud_billing_v1::client::CloudBilling;
use google_cloud_gax::retry_policy::NeverRetry;

use crate::collect::gcp::config::Settings;

/// A name is worth a few seconds of a poll and no more.
const PATIENCE: Duration = Duration::from_secs(15);

/// The display name of the configured billing account; none where the identity may not see it
/// (`billing.accounts.get`, `roles/billing.viewer`) or the API does not answer. Only a name: the
/// poll goes on without it.
pub async fn billing_account_name(settings: &Settings, credentials: Credentials) -> Option<String> {
    match tokio::time::timeout(PATIENCE, ask(settings, credentials)).await {
        Ok(Ok(name)) => Some(name).filter(|name| !name.is_empty()),
        Ok(Err(error)) => {
            tracing::debug!(source = %settings.source, %error, "billing account name not read");
            None
        }
        Err(_) => {
            tracing::debug!(source = %settings.source, "billing account name not read in time");
            None
        }
    }
}

async fn ask(settings: &Settings, credentials: Credentials) -> Result<String, String> {
    let mut builder =
        CloudBilling::builder().with_credentials(credentials).with_retry_policy(NeverRetry);
    if let Some(endpoint) = &settings.endpoints.billing {
        builder = builder.with_endpoint(endpoint);
    }
    let client = builder.build().await.map_err(|error| error.to_string())?;
    let account = client
        .get_billing_account()
        .set_name(format!("billingAccounts/{}", settings.billing_account))
        .send()
        .await
        .map_err(|error| error.to_string())?;
    Ok(account.display_name)
}
