//! The snapshot for machines: the metrics page and the JSON of the API.

pub mod api;
pub mod metrics;
pub mod page;
