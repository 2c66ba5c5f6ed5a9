//! Judgement: what the ledger's rows mean. Pure: rows and an instant in, figures out.

pub mod alert;
pub mod anomaly;
pub mod backtest;
pub mod band;
pub mod change;
pub mod forecast;
pub mod gpu_bill;
pub mod gpu_money;
pub mod gpu_picture;
pub mod gpu_price;
pub mod gpu_state;
pub mod gpu_tier;
pub mod gpu_time;
pub mod nowcast;
pub mod period;
pub mod restated;
pub mod scope;
pub mod spend;
pub mod spend_range;
pub mod trend;
