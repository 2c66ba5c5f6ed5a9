//! Judgement: what the ledger's rows mean. Pure: rows and an instant in, figures out.

pub mod band;
pub mod gpu_state;
pub mod gpu_time;
pub mod period;
pub mod scope;
pub mod spend;
