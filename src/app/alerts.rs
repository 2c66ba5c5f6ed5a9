//! Judges alerts: what rules observe is held against what the ledger keeps of them, and what became
//! of them is kept there together with the messages about it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::analyse::alert::state::{AlertStates, Move, fold};
use crate::analyse::alert::tell::{Muting, Telling, Tellings, tell};
use crate::analyse::alert::{Absence, AlertFacts, ReceiverHealth, observe};
use crate::app::setup::Setup;
use crate::app::trends::{GpuWindow, Trends};
use crate::config::file::Language;
use crate::domain::alert::{
    Acknowledgement, AlertEnd, AlertId, AlertKey, AlertPhase, AlertRule, AlertState, Counted,
    Observation, Patience, Silence, Verdict,
};
use crate::domain::alert_policy::AlertPolicies;
use crate::domain::alerting::Alerting;
use crate::domain::band::BandJudgement;
use crate::domain::gpu::GpuSourceStatus;
use crate::domain::gpu_money::GpuPicture;
use crate::domain::notice::{
    AlertChange, AlertEvent, AlertEventKind, AlertNotice, NoticeKind, Recipient,
};
use crate::domain::ports::{AlertLedger, Clock};
use crate::domain::spend::{SourceSpend, SourceStatus};
use crate::notify::text::{self, AlertText};
use crate::notify::{Links, Receiver};
use crate::outbox::alarm::{LedgerAlarm, Trouble};
use crate::store::{Ledger, LedgerError, LedgerHandle};
use crate::telemetry::self_metrics::SelfMetrics;
use crate::web::AlertWords;

/// A receiver that dropped a message and was told nothing since is taken for mended after so long.
const DROPPED_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// What is configured of alerts.
#[derive(Debug, Clone)]
pub struct AlertRoom {
    /// Which rules look at what, and who is told.
    pub policies: Arc<AlertPolicies>,
    /// Whether the agent tells of money.
    pub alerting: Alerting,
    /// Everybody who may be told.
    pub recipients: Arc<Vec<Recipient>>,
    /// How long alerts wait for others.
    pub group_wait: SignedDuration,
}

/// What rules look at, shared with the snapshot that is made of it.
#[derive(Debug, Clone)]
pub struct AlertInput {
    /// Every band against its open and its previous period.
    pub bands: Arc<Vec<BandJudgement>>,
    /// Every billing source that was ever read.
    pub spend: Arc<Vec<SourceSpend>>,
    /// How polling goes.
    pub sources: Arc<Vec<SourceStatus>>,
    /// How the reading of GPU telemetry goes.
    pub gpu_sources: Arc<Vec<Arc<GpuSourceStatus>>>,
    /// GPU time and money.
    pub gpu: Arc<GpuPicture>,
    /// GPU time and money of the newest whole days; none until they were read first.
    pub gpu_window: GpuWindow,
    /// Every source's series; none until they were read first.
    pub trends: Option<Trends>,
}

/// What one evaluation came to.
#[derive(Debug, Clone)]
pub struct JudgedAlerts {
    /// Every alert that is pending or fires, with the newest details.
    pub alerts: Vec<AlertState>,
    /// How many messages were queued.
    pub queued: usize,
    /// Whether alerts wait for others before they are told.
    pub waits: bool,
}

/// Looks at what is known by every rule and keeps what became of alerts.
///
/// # Errors
/// As [`keep`].
pub fn judge(
    ledger: &mut Ledger,
    room: &AlertRoom,
    input: &AlertInput,
    now: Timestamp,
) -> Result<JudgedAlerts, LedgerError> {
    let receivers = health(ledger, &room.recipients, now)?;
    let facts = AlertFacts {
        now,
        bands: &input.bands,
        spend: &input.spend,
        sources: &input.sources,
        gpu_sources: &input.gpu_sources,
        gpu: &input.gpu,
        gpu_window: input.gpu_window.as_deref(),
        trends: input.trends.as_ref().map(|trends| trends.as_slice()),
        receivers: &receivers,
    };
    let absence = Absence::new(&facts, &room.policies);
    let observations = observe(&facts, &room.policies);
    keep(ledger, room, observations, |key| absence.of(key), now)
}

/// Holds what was observed against what the ledger has of alerts, and keeps what became of them with
/// the messages about it in one transaction. `absent` says what is so of an alert that nothing was
/// observed of.
///
/// # Errors
/// When the ledger cannot be read or written; nothing is changed and nothing queued then.
pub fn keep(
    ledger: &mut Ledger,
    room: &AlertRoom,
    observations: Vec<Observation>,
    absent: impl Fn(&AlertKey) -> (Verdict, AlertEnd),
    now: Timestamp,
) -> Result<JudgedAlerts, LedgerError> {
    let mut states: AlertStates =
        ledger.alerts()?.into_iter().map(|state| (state.key.clone(), state)).collect();
    let before: HashMap<AlertKey, Counted> =
        states.iter().map(|(key, state)| (key.clone(), state.counted.clone())).collect();
    let silences = ledger.silences(now)?;
    let moves = fold(&mut states, observations, absent, now);
    let telling = Telling {
        recipients: &room.recipients,
        policies: &room.policies,
        alerting: room.alerting,
        silences: &silences,
        group_wait: room.group_wait,
        now,
    };
    let Tellings { messages, changed, waits } = tell(&mut states, &moves, &telling);
    let changes = changes(&before, &states, &moves, &changed);
    let queued = if changes.is_empty() && messages.is_empty() {
        0
    } else {
        ledger.change_alerts(&changes, &messages, now)?
    };
    let mut alerts: Vec<AlertState> =
        states.into_values().filter(|state| state.ended_at.is_none()).collect();
    alerts.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(JudgedAlerts { alerts, queued, waits })
}

/// Every alert that is pending or fires, as it was kept last.
///
/// # Errors
/// When the ledger cannot be read.
pub fn open(ledger: &Ledger) -> Result<Vec<AlertState>, LedgerError> {
    let mut alerts = ledger.alerts()?;
    alerts.retain(|state| state.ended_at.is_none());
    Ok(alerts)
}

/// How deliveries to each configured receiver go.
fn health(
    ledger: &Ledger,
    recipients: &[Recipient],
    now: Timestamp,
) -> Result<Vec<ReceiverHealth>, LedgerError> {
    let since = now.saturating_sub(DROPPED_WITHIN).unwrap_or(Timestamp::MIN);
    let backlogs = ledger.outbox_backlogs(since)?;
    let of = |name: &str| {
        let backlog = backlogs.iter().find(|backlog| backlog.receiver == name);
        ReceiverHealth {
            name: name.to_owned(),
            failing_since: backlog.and_then(|backlog| backlog.failing_since),
            error: backlog.and_then(|backlog| backlog.last_error.clone()),
            waiting: backlog.map_or(0, |backlog| backlog.waiting),
        }
    };
    Ok(recipients.iter().map(|recipient| of(&recipient.name)).collect())
}

/// What is to be kept: details that moved alone are not.
fn changes(
    before: &HashMap<AlertKey, Counted>,
    after: &AlertStates,
    moves: &BTreeMap<AlertKey, Move>,
    told: &BTreeSet<AlertKey>,
) -> Vec<AlertChange> {
    let passed = moves.iter().filter(|(_, moved)| **moved == Move::Passed);
    let mut changes: Vec<AlertChange> =
        passed.map(|(key, _)| AlertChange::Passed(key.id())).collect();
    let mut kept: Vec<&AlertState> = after
        .values()
        .filter(|state| {
            before.get(&state.key) != Some(&state.counted)
                || moves.contains_key(&state.key)
                || told.contains(&state.key)
        })
        .collect();
    kept.sort_by(|a, b| a.key.cmp(&b.key));
    for state in kept {
        let event = match moves.get(&state.key) {
            Some(Move::Fired) => Some(AlertEventKind::Fired),
            Some(Move::Ended) => Some(AlertEventKind::Ended),
            Some(Move::Began | Move::Passed) | None => None,
        };
        changes.push(AlertChange::Kept { state: Box::new(state.clone()), event });
    }
    changes
}

/// What says aloud, past the outbox, that the ledger keeps nothing.
pub fn ledger_alarm(
    setup: &Setup,
    trouble: &watch::Sender<Option<Trouble>>,
    clock: &Arc<dyn Clock>,
    metrics: &SelfMetrics,
) -> LedgerAlarm {
    let key = AlertKey::new(AlertRule::LedgerFailing);
    let policy = setup.config.alerts.ledger_failing.of(&key);
    let routing = setup.config.alerts.routing(&key);
    let after = match policy.fires_after {
        Patience::Time(after) => Duration::try_from(after).unwrap_or_default(),
        Patience::Days(_) => Duration::ZERO,
    };
    let is_told = |recipient: &&Recipient| {
        policy.enabled
            && policy.severity <= recipient.minimum_severity
            && routing.receivers.as_ref().is_none_or(|names| names.contains(&recipient.name))
    };
    let told = setup.recipients.iter().filter(is_told).filter_map(|recipient| {
        let named = |receiver: &&Arc<dyn Receiver>| receiver.name() == recipient.name;
        Some((setup.receivers.iter().find(named)?.clone(), recipient.resolved))
    });
    LedgerAlarm {
        trouble: trouble.subscribe(),
        after,
        every: Duration::from_secs(60),
        severity: policy.severity,
        receivers: told.collect(),
        clock: clock.clone(),
        metrics: metrics.clone(),
    }
}

/// An alert in the words of messages, for the page.
pub fn wording(state: &AlertState, language: Language, now: Timestamp) -> AlertWords {
    let kind = match state.phase {
        AlertPhase::Pending | AlertPhase::Firing => NoticeKind::Firing,
        AlertPhase::Resolved => NoticeKind::Resolved,
    };
    let AlertText { title, summary, lines, .. } =
        text::alert(kind, &AlertNotice::of(state), &Links::default(), language, now);
    AlertWords { title, summary, lines }
}

/// The ledger as the face sees alerts.
pub struct AlertPort {
    /// The ledger.
    pub ledger: LedgerHandle,
    /// The agent's clock.
    pub clock: Arc<dyn Clock>,
    /// Tells the publisher that something was kept.
    pub changed: watch::Sender<u64>,
}

impl AlertPort {
    async fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Ledger, Timestamp) -> Result<R, LedgerError> + Send + 'static,
    ) -> Result<R, String> {
        let now = self.clock.now();
        match self.ledger.call(move |ledger| work(ledger, now)).await {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(gone) => Err(gone.to_string()),
        }
    }

    async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Ledger, Timestamp) -> Result<R, LedgerError> + Send + 'static,
    ) -> Result<R, String> {
        let written = self.call(work).await?;
        self.changed.send_modify(|count| *count += 1);
        Ok(written)
    }
}

#[async_trait]
impl AlertLedger for AlertPort {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn mutes(
        &self,
        alerts: &[AlertState],
        silences: &[Silence],
    ) -> BTreeMap<AlertId, &'static str> {
        let states = alerts.iter().map(|state| (state.key.clone(), state.clone())).collect();
        let muting = Muting::new(&states, silences, self.clock.now());
        let firing = alerts.iter().filter(|state| state.fires());
        firing.filter_map(|state| Some((state.key.id(), muting.why(state)?.as_str()))).collect()
    }

    async fn history(&self, of: Option<AlertId>, most: u32) -> Result<Vec<AlertEvent>, String> {
        self.call(move |ledger, _| ledger.alert_events(of.as_ref(), most)).await
    }

    async fn silences(&self) -> Result<Vec<Silence>, String> {
        self.call(|ledger, now| ledger.silences(now)).await
    }

    async fn acknowledge(
        &self,
        id: AlertId,
        taken: Option<Acknowledgement>,
    ) -> Result<Option<AlertState>, String> {
        let by = taken.as_ref().map(|taken| taken.by.clone());
        let word = id.clone();
        let state = self
            .write(move |ledger, now| ledger.acknowledge_alert(&id, taken.as_ref(), now))
            .await?;
        if state.is_some() {
            tracing::info!(alert = %word, by, "alert acknowledged, or given back where nobody is named");
        }
        Ok(state)
    }

    async fn add_silence(&self, silence: Silence) -> Result<(), String> {
        let (id, by) = (silence.id.clone(), silence.created_by.clone());
        let ends_at = silence.ends_at;
        self.write(move |ledger, _| ledger.add_silence(&silence)).await?;
        tracing::info!(silence = id, by, %ends_at, "alerts silenced");
        Ok(())
    }

    async fn end_silence(&self, id: String) -> Result<bool, String> {
        let word = id.clone();
        let ended = self.write(move |ledger, now| ledger.end_silence(&id, now)).await?;
        if ended {
            tracing::info!(silence = word, "silence ended");
        }
        Ok(ended)
    }
}
