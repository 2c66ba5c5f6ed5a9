//! What everyone who shows or tells something reads: one immutable picture, replaced as a whole.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::alert::AlertState;
use crate::domain::band::BandJudgement;
use crate::domain::gpu::{GpuReport, GpuSourceStatus};
use crate::domain::gpu_money::GpuPicture;
use crate::domain::record::BandRecord;
use crate::domain::spend::{SourceSpend, SourceStatus};
use crate::domain::trend::SourceTrends;

/// The state of the world at one instant. Parts that did not change are shared with the snapshot
/// before: spend changes in hours, GPUs in seconds.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When it was put together, by the agent's clock.
    pub at: Timestamp,
    /// One entry for each billing source that was ever read, in configured order.
    pub spend: Arc<Vec<SourceSpend>>,
    /// Every band against its open and its previous period.
    pub bands: Arc<Vec<BandJudgement>>,
    /// What was forecast of each band's open and previous month from day to day.
    pub records: Arc<Vec<BandRecord>>,
    /// One entry for each GPU telemetry source that was read lately.
    pub gpus: Arc<Vec<Arc<GpuReport>>>,
    /// One entry for each configured GPU telemetry source.
    pub gpu_sources: Arc<Vec<Arc<GpuSourceStatus>>>,
    /// GPU time and money.
    pub gpu: Arc<GpuPicture>,
    /// What every source that has rows costs from day to day; read beside the bands, a little later.
    pub trends: Arc<Vec<SourceTrends>>,
    /// Every alert that is pending or fires, with what there is to tell of it now.
    pub alerts: Arc<Vec<AlertState>>,
    /// One entry for each configured billing source.
    pub sources: Arc<Vec<SourceStatus>>,
}
