//! The simulated clouds with a configuration that reads them over their real wire protocols.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::domain::identity::Provider;
use crate::domain::node::Node;
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::ports::Clock;
use crate::simulate::aws::AwsOptions;
use crate::simulate::azure::AzureOptions;
use crate::simulate::gcp::GcpOptions;
use crate::simulate::scenario::{Scenario, ScenarioOptions};
use crate::simulate::{SimulateAddresses, Simulated, serve};

/// The day and hour of the month at which a demo's world stands.
const MID_MONTH: (i64, i64) = (16, 12);
/// How long before that the demo reads everything a first time, so that two readings agree on the
/// days that are complete.
pub const FIRST_READING_BEFORE: SignedDuration = SignedDuration::from_hours(8);

/// The middle of the calendar's present month.
pub fn mid_month(now: Timestamp) -> Timestamp {
    let first = BillingPeriod::at(now, BillingZone::Utc).first_day();
    let day = first.saturating_add((MID_MONTH.0 - 1).days());
    BillingZone::Utc
        .start_of(day)
        .saturating_add(SignedDuration::from_hours(MID_MONTH.1))
        .unwrap_or(now)
}

/// The running servers of a seeded world.
pub struct World {
    /// What is true in it.
    pub scenario: Arc<Scenario>,
    /// Its servers.
    pub servers: Simulated,
}

impl World {
    /// Starts the servers.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub async fn start(
        seed: u64,
        clock: Arc<dyn Clock>,
        addresses: SimulateAddresses,
    ) -> anyhow::Result<Self> {
        let options = ScenarioOptions { seed, ..ScenarioOptions::default() };
        Self::start_with(options, clock, addresses).await
    }

    /// Starts the servers of a world with its options.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub async fn start_with(
        options: ScenarioOptions,
        clock: Arc<dyn Clock>,
        addresses: SimulateAddresses,
    ) -> anyhow::Result<Self> {
        let scenario = Arc::new(Scenario::with_options(options, clock));
        let servers = serve(scenario.clone(), addresses)
            .await
            .context("failed to start the simulated clouds")?;
        Ok(Self { scenario, servers })
    }

    /// Writes a configuration that reads this world into a folder, with the files of its secrets,
    /// and gives its text.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_configuration(&self, folder: &Path, listen: &str) -> anyhow::Result<String> {
        fs::create_dir_all(folder)
            .with_context(|| format!("failed to make the folder `{}`", folder.display()))?;
        let azure = AzureOptions::default();
        for (name, secret) in [
            ("aws-secret-access-key", "simulated-secret-access-key"),
            ("azure-client-secret", azure.client_secret.as_str()),
        ] {
            write_private(&folder.join(name), secret)?;
        }
        let text = self.configuration(folder, listen);
        let path = folder.join("costband.yaml");
        fs::write(&path, &text).with_context(|| format!("failed to write `{}`", path.display()))?;
        Ok(text)
    }

    fn configuration(&self, folder: &Path, listen: &str) -> String {
        let servers = &self.servers;
        let (aws, gcp, azure) =
            (AwsOptions::default(), GcpOptions::default(), AzureOptions::default());
        let folder = folder.display();
        let gpu: String = Provider::ALL
            .into_iter()
            .map(|provider| {
                format!(
                    "  - name: gpu-{provider}\n    url: {}/{provider}/metrics\n    provider: {provider}\n    cluster: video-{provider}\n    capacity_type: on_demand\n    every: 15s\n",
                    servers.gpu.url()
                )
            })
            .collect();
        let now = crate::simulate::charge::World::clock(self.scenario.as_ref()).now();
        let nodes: String = Provider::ALL
            .into_iter()
            .flat_map(|provider| self.scenario.nodes(provider, now))
            .map(|node| node_entry(&node))
            .collect();
        format!(
            r#"# Reads the simulated clouds that wrote this file.
listen: {listen}
store:
  path: "{folder}/costband.db"
sources:
  aws:
    - name: aws-main
      account: "{account}"
      credentials:
        static:
          access_key_id: AKIASIMULATED0000000
          secret_access_key:
            file: "{folder}/aws-secret-access-key"
      endpoints:
        cost_explorer: {aws_url}
        sts: {aws_url}
        price_list: {aws_url}
  gcp:
    - name: gcp-main
      billing_account: {billing_account}
      project: {project}
      dataset: {dataset}
      credentials:
        anonymous: true
      endpoints:
        bigquery: {gcp_url}
        billing: {gcp_url}
  azure:
    - name: azure-main
      scope: /providers/Microsoft.Billing/billingAccounts/{azure_account}
      credentials:
        method: client_secret
        tenant_id: {tenant}
        client_id: {client}
        client_secret:
          file: "{folder}/azure-client-secret"
      endpoints:
        resource_manager: {azure_url}
        authority: {azure_url}
        retail_prices: {azure_url}
gpu:
{gpu}nodes:
{nodes}"#,
            account = aws.account_id,
            aws_url = servers.aws.url(),
            billing_account = gcp.billing_account,
            project = gcp.project,
            dataset = gcp.dataset,
            gcp_url = servers.gcp.url(),
            azure_account = azure.billing_account,
            tenant = azure.tenant_id,
            client = azure.client_id,
            azure_url = servers.azure.url(),
        )
    }
}

/// A node of now: Kubernetes would tell it, with those that come later.
fn node_entry(node: &Node) -> String {
    let mut entry = format!("  - name: {}\n    cluster: {}\n", node.name, node.cluster);
    for (key, value) in [
        ("provider", node.provider.map(|provider| provider.to_string())),
        ("instance_type", node.instance_type.clone()),
        ("region_id", node.region_id.clone()),
        ("zone", node.zone.clone()),
        ("capacity_type", Some(node.capacity_type.as_str().to_owned())),
        ("gpus", node.gpus.map(|gpus| gpus.to_string())),
    ] {
        if let Some(value) = value {
            entry.push_str(&format!("    {key}: {value}\n"));
        }
    }
    entry
}

fn write_private(path: &Path, secret: &str) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("failed to write `{}`", path.display()))?;
    file.write_all(secret.as_bytes())
        .with_context(|| format!("failed to write `{}`", path.display()))
}
