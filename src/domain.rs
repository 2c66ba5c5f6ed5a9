//! The words of the field as types: money, periods, breakdowns, bands, GPUs, and the ports through
//! which the rest of the program reaches a clock or a disk. Pure: no clock, no I/O, no runtime.

pub mod alert;
pub mod alert_policy;
pub mod alerting;
pub mod anomaly;
pub mod backtest;
pub mod band;
pub mod breakdown;
pub mod change;
pub mod exchange;
pub mod forecast;
pub mod gpu;
pub mod gpu_family;
pub mod gpu_money;
pub mod gpu_time;
pub mod identity;
pub mod lease;
pub mod machine;
pub mod money;
pub mod node;
pub mod notice;
pub mod period;
pub mod pods;
pub mod ports;
pub mod price;
pub mod reason;
pub mod record;
pub mod report;
pub mod role;
pub mod spend;
pub mod spend_range;
pub mod trend;
