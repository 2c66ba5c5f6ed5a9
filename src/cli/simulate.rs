//! `costband simulate`: only the simulated clouds, for trying a configuration or another client.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::app::demo::{World, mid_month};
use crate::cli::{Failure, print};
use crate::domain::ports::Clock;
use crate::runtime::clock::{ShiftedClock, SystemClock};
use crate::runtime::supervisor::signal;
use crate::simulate::SimulateAddresses;
use crate::simulate::scenario::ScenarioOptions;
use crate::telemetry::log::{self, LogFormat};

#[derive(Debug, clap::Args)]
#[command(
    about = "Run only the simulated clouds and GPU exporters",
    after_help = "Examples:\n  costband simulate --write-config sim\n  costband run -c sim/costband.yaml     in a second terminal\n\nFaults can be ordered from each server, here two throttled answers:\n  curl -X POST http://127.0.0.1:9761/_simulate/faults \\\n    -d '{\"fault\":\"rate_limited\",\"retry_after_seconds\":2,\"times\":2}'"
)]
pub(super) struct Simulate {
    /// The address that every server listens on.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    bind: IpAddr,
    /// The port of Cost Explorer; BigQuery, Azure and dcgm-exporter take the next three. 0 takes
    /// free ones.
    #[arg(long, value_name = "PORT", default_value_t = 9761)]
    port: u16,
    /// Which world: two worlds of one seed are the same.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How many times the GPU machines there are, on the bills and in the clusters: 40 makes
    /// hundreds of nodes.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    gpu_scale: u32,
    /// Lets the world's clock stand in mid-month; by default it is the system's.
    #[arg(long)]
    mid_month: bool,
    /// Writes a configuration that reads this world, with the files of its secrets, into a folder.
    #[arg(long, value_name = "FOLDER")]
    write_config: Option<PathBuf>,
}

impl Simulate {
    pub(super) async fn run(self) -> Result<(), Failure> {
        log::start(LogFormat::Auto, "info");
        let clock: Arc<dyn Clock> = if self.mid_month {
            Arc::new(ShiftedClock::starting_at(mid_month(Timestamp::now())))
        } else {
            Arc::new(SystemClock)
        };
        let options = ScenarioOptions {
            seed: self.seed,
            gpu_scale: self.gpu_scale,
            ..ScenarioOptions::default()
        };
        let world = World::start_with(options, clock, self.addresses()).await?;
        let servers = &world.servers;
        let mut text = format!(
            "aws    {}\ngcp    {}\nazure  {}\ngpu    {}\n",
            servers.aws.url(),
            servers.gcp.url(),
            servers.azure.url(),
            servers.gpu.url()
        );
        if let Some(folder) = &self.write_config {
            world.write_configuration(folder, "127.0.0.1:9750")?;
            let path = folder.join("costband.yaml");
            text.push_str(&format!("config {}\n", path.display()));
        }
        print(&text)?;
        signal().await;
        world.servers.shutdown().await;
        Ok(())
    }

    fn addresses(&self) -> SimulateAddresses {
        let at = |offset: u16| {
            let port = if self.port == 0 { 0 } else { self.port.saturating_add(offset) };
            SocketAddr::new(self.bind, port)
        };
        SimulateAddresses { aws: at(0), gcp: at(1), azure: at(2), gpu: at(3) }
    }
}
