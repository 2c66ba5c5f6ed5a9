//! Pages of NVIDIA's dcgm-exporter for the GPU nodes of the simulated world.
//!
//! One page of a real exporter holds one node; `/aws/metrics` and its like hold a whole cluster, as
//! a proxy before several exporters would show it. A node whose exporter is dead answers 503 on its
//! own page and is missing from its cluster's; a node that does not run is not found.

mod page;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use self::page::page;
use crate::domain::identity::Provider;
use crate::simulate::charge::World;
use crate::simulate::faults::{Fault, Faults};
use crate::simulate::scenario::{GpuNode, Scenario};
use crate::simulate::spoil::spoil;

struct Exporter {
    world: Arc<Scenario>,
    faults: Arc<Faults>,
}

/// The exporter's routes:
///
/// - `/metrics`: the first AWS node whose exporter answers.
/// - `/{provider}/metrics`: a provider's cluster.
/// - `/{provider}/{index}/metrics`, `/{provider}/node/{name}/metrics`: one node, by its place among
///   the nodes that run, or by its name.
/// - `/health`.
pub fn router(world: Arc<Scenario>, faults: Arc<Faults>) -> Router {
    Router::new()
        .route("/metrics", get(first))
        .route("/health", get(async || "OK"))
        .route("/{provider}/metrics", get(cluster))
        .route("/{provider}/{index}/metrics", get(by_index))
        .route("/{provider}/node/{name}/metrics", get(by_name))
        .with_state(Arc::new(Exporter { world, faults }))
}

/// Which nodes a page is asked for.
enum Asked {
    First,
    Cluster,
    Index(usize),
    Name(String),
}

async fn first(State(exporter): State<Arc<Exporter>>) -> Response {
    exporter.answer(Provider::Aws, Asked::First).await
}

async fn cluster(State(exporter): State<Arc<Exporter>>, Path(provider): Path<String>) -> Response {
    exporter.answer_of(&provider, Asked::Cluster).await
}

async fn by_index(
    State(exporter): State<Arc<Exporter>>,
    Path((provider, index)): Path<(String, usize)>,
) -> Response {
    exporter.answer_of(&provider, Asked::Index(index)).await
}

async fn by_name(
    State(exporter): State<Arc<Exporter>>,
    Path((provider, name)): Path<(String, String)>,
) -> Response {
    exporter.answer_of(&provider, Asked::Name(name)).await
}

impl Exporter {
    async fn answer_of(&self, provider: &str, asked: Asked) -> Response {
        match Provider::ALL.into_iter().find(|one| one.as_str() == provider) {
            Some(provider) => self.answer(provider, asked).await,
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }

    async fn answer(&self, provider: Provider, asked: Asked) -> Response {
        let fault = self.faults.take();
        let status = match &fault {
            Some(Fault::Unauthorized) => StatusCode::UNAUTHORIZED,
            Some(Fault::Forbidden) => StatusCode::FORBIDDEN,
            Some(Fault::RateLimited { .. }) => StatusCode::TOO_MANY_REQUESTS,
            Some(Fault::ServerError) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::OK,
        };
        if status != StatusCode::OK {
            return status.into_response();
        }
        let mut nodes = match self.nodes(provider, &asked) {
            Ok(nodes) => nodes,
            Err(status) => return status.into_response(),
        };
        if fault == Some(Fault::Empty) {
            nodes.clear();
        }
        let mut response = page(&nodes).into_response();
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        match fault {
            Some(fault) => spoil(&fault, response).await,
            None => response,
        }
    }

    /// The nodes of a page, all of them with an exporter that answers.
    fn nodes(&self, provider: Provider, asked: &Asked) -> Result<Vec<GpuNode>, StatusCode> {
        let mut nodes =
            self.world.fleet_of(provider, self.world.clock().now(), |place, name| match asked {
                Asked::First | Asked::Cluster => true,
                Asked::Index(index) => *index == place,
                Asked::Name(wanted) => wanted == name,
            });
        if nodes.is_empty() && !matches!(asked, Asked::Cluster) {
            return Err(StatusCode::NOT_FOUND);
        }
        nodes.retain(|node| node.exporter_is_up);
        if nodes.is_empty() && !matches!(asked, Asked::Cluster) {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        if matches!(asked, Asked::First) {
            nodes.truncate(1);
        }
        Ok(nodes)
    }
}

#[cfg(test)]
mod tests;
