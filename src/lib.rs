//! costband keeps the cloud spend of a GPU fleet inside its monthly band: it reads what AWS, Google
//! Cloud and Azure have billed and how busy the GPUs are, holds each month against a floor and a
//! ceiling, and tells Prometheus, Grafana and people.
//!
//! Values travel to the right:
//!
//! ```text
//!  config ──> collect ──> store ──> analyse ──> snapshot ──┬─> export ──> web
//!             aws gcp     ledger    spend period           │   metrics     page, JSON, health
//!             azure gpu   (SQLite,  band scope             └─> outbox ──> notify
//!                         Postgres)                            queued      signed webhook
//!  kubernetes: watched nodes say what GPUs' machines are, watched pods where their telemetry is,
//!              a Lease which of several replicas acts
//!  simulate: a seeded world and one faithful server for each protocol that collect speaks
//! ```
//!
//! - [`domain`]: the words of the field as types, and the ports to a clock and a ledger. Pure.
//! - [`config`]: what a user writes becomes what the program uses, or every problem at once.
//! - [`collect`]: one trait, one line for each kind of bill, one loop that polls them; GPU telemetry
//!   from exporters' pages, PromQL and NVIDIA's driver.
//! - [`store`]: the ledger, in a file or in PostgreSQL, by one body of code over either engine. One
//!   writer, one transaction for each poll, nothing lost on `kill -9`; with replicas each write is
//!   fenced by the term of the Lease.
//! - [`analyse`]: what rows and samples mean. Complete days, final periods, bands; what each GPU did,
//!   and what of the bill that was. Pure.
//! - [`snapshot`]: one immutable picture that everyone reads.
//! - [`export`]: the picture for machines: the metrics page and the JSON documents.
//! - [`web`]: the HTTP face: documents, and the page with a file for each view; charts are drawn on the
//!   server, words and numbers are the reader's.
//! - [`outbox`], [`notify`]: messages that were committed with their reason, and who takes them.
//! - [`kubernetes`]: what the Kubernetes API tells of nodes, and of pods that serve GPU telemetry; the
//!   election of the replica that acts.
//! - [`simulate`]: the clouds without a cloud, for `costband demo` and for tests.
//! - [`telemetry`], [`runtime`]: what the agent says of itself; how it lives and ends.
//! - [`app`]: puts the parts together; [`cli`]: one thin file for each command.
//!
//! Parts import [`domain`] and hardly one another (`tests/suite/architecture.rs` lists every arrow
//! and fails on a new one); they meet in [`app`]. A poll travels so: a poller asks its
//! [`collect::Source`] for a window of days, holds the report against itself, and hands it to the
//! ledger, which replaces the days in one transaction and keeps what moved. The publisher reads
//! the ledger, judges, renders the page once, and queues what people must know in the same
//! transaction as the state that it tells of. A scrape copies those bytes and adds the agent's own
//! metrics; it asks no cloud.
//!
//! Two things travel beside that, because they take longer than a scrape may wait for.
//! `app::trends` reads every series of every source from the ledger, at rest most of the time, and
//! tells where each one's month ends, what stood out in it and why.
//!
//! `app::gpu` reads a source of GPU samples, `app::gpu_time` counts the time since the reading before
//! and keeps it once a minute with the marks up to which it is counted, and the publisher prices it
//! with the bill that it has just read. Time is kept, money never is. What a GPU's machine is comes
//! from one inventory of nodes, which `app::nodes` joins of what is configured and what is watched.
//!
//! An agent outlives its configurations and its turns as holder of the Lease: `app::agent` keeps the
//! address, the ledger's thread and the agent's own metrics; `app::tasks` are the tasks of one
//! configuration, or those of a replica that follows. They end and begin anew when `app::reload`
//! found another valid file, or when `app::lease` says that the replica acts or acts no more.

pub mod analyse;
pub mod app;
pub mod cli;
pub mod collect;
pub mod config;
pub mod domain;
pub mod export;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod notify;
pub mod outbox;
pub mod runtime;
#[cfg(feature = "simulate")]
pub mod simulate;
pub mod snapshot;
pub mod store;
pub mod telemetry;
pub mod web;
