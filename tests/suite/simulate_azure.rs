//! The simulated Azure over real sockets: by plain HTTP, by Azure's crates and by its Python SDK.

mod clients;
mod query;
mod token;
mod world;
