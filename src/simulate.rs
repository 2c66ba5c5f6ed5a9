//! The simulated clouds: one seeded world and a faithful server for each protocol.
//!
//! Servers answer from [`charge::Charge`]s that the scenario made; they know the documented wire
//! and nothing of the collectors. This room imports the domain only.

pub mod aws;
pub mod azure;
pub mod charge;
mod control;
pub mod dcgm;
pub mod faults;
pub mod gcp;
pub mod scenario;
pub mod spoil;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::simulate::charge::World;
use crate::simulate::faults::Faults;
use crate::simulate::scenario::Scenario;

/// Where each server listens; port 0 takes a free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimulateAddresses {
    /// Cost Explorer and STS.
    pub aws: SocketAddr,
    /// BigQuery and Cloud Billing.
    pub gcp: SocketAddr,
    /// Azure Resource Manager and its tokens.
    pub azure: SocketAddr,
    /// dcgm-exporter pages.
    pub gpu: SocketAddr,
}

impl Default for SimulateAddresses {
    /// Free ports of the loopback.
    fn default() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { aws: free, gcp: free, azure: free, gpu: free }
    }
}

/// A server that listens.
#[derive(Debug, Clone)]
pub struct Served {
    /// Where, with the port that it took.
    pub address: SocketAddr,
    /// What goes wrong with its next answers.
    pub faults: Arc<Faults>,
}

impl Served {
    /// The address as a base URL without a slash at its end: `http://127.0.0.1:4712`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The running servers. They end when this is dropped.
#[derive(Debug)]
pub struct Simulated {
    /// Cost Explorer and STS.
    pub aws: Served,
    /// BigQuery and Cloud Billing.
    pub gcp: Served,
    /// Azure Resource Manager and its tokens.
    pub azure: Served,
    /// dcgm-exporter pages.
    pub gpu: Served,
    tasks: JoinSet<io::Result<()>>,
}

impl Simulated {
    /// Ends the servers and waits until they did.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Starts a server for each protocol of a world, with quotas so wide that nobody waits. Every server also takes orders for faults:
/// `POST /_simulate/faults` with `{"fault":"rate_limited","retry_after_seconds":2,"times":3}`, and
/// `DELETE /_simulate/faults` to forget them.
///
/// # Errors
/// When an address cannot be listened on.
pub async fn serve(world: Arc<Scenario>, bind: SimulateAddresses) -> io::Result<Simulated> {
    let clouds: Arc<dyn World> = Arc::clone(&world) as Arc<dyn World>;
    let mut tasks = JoinSet::new();
    Ok(Simulated {
        aws: start(&mut tasks, bind.aws, |faults| {
            aws::router(Arc::clone(&clouds), faults, aws::AwsOptions::default())
        })
        .await?,
        gcp: start(&mut tasks, bind.gcp, |faults| {
            gcp::router(Arc::clone(&clouds), faults, gcp::GcpOptions::default())
        })
        .await?,
        azure: start(&mut tasks, bind.azure, |faults| {
            let throttle = Some(azure::Throttle::wide());
            let options = azure::AzureOptions { throttle, ..azure::AzureOptions::default() };
            azure::router(Arc::clone(&clouds), faults, options)
        })
        .await?,
        gpu: start(&mut tasks, bind.gpu, |faults| dcgm::router(Arc::clone(&world), faults)).await?,
        tasks,
    })
}

async fn start(
    tasks: &mut JoinSet<io::Result<()>>,
    address: SocketAddr,
    router: impl FnOnce(Arc<Faults>) -> Router,
) -> io::Result<Served> {
    let faults = Arc::<Faults>::default();
    let router = router(Arc::clone(&faults)).merge(control::router(Arc::clone(&faults)));
    let listener = TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("failed to listen on `{address}`: {error}"))
    })?;
    let address = listener.local_addr()?;
    tasks.spawn(async move { axum::serve(listener, router).await });
    Ok(Served { address, faults })
}
