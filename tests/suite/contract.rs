//! What the agent promises, proved over real sockets: every source against its simulated server,
//! through the real poller and a real ledger, and the real binary.

mod bad_input;
mod breakdowns;
mod caps;
mod demo;
mod empty_days;
mod export_reach;
mod first_days;
mod forecast;
mod gpu_money;
mod gpu_random;
pub mod harness;
mod hostile_names;
mod isolation;
mod list_prices;
mod month_end;
mod new_band;
mod outage;
pub(crate) mod program;
mod restarts;
mod sources;
mod spend_days;
mod trends;
mod truth;
