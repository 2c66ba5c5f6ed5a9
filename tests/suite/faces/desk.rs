//! Alerts of the snapshot that is made by hand, and a ledger of them in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use costband::domain::alert::{
    Acknowledgement, AlertCause, AlertDetails, AlertId, AlertKey, AlertPhase, AlertRule,
    AlertState, Counted, Figure, FigureName, Severity, Silence, Subject, Told,
};
use costband::domain::breakdown::Dimension;
use costband::domain::notice::{AlertEvent, AlertEventKind};
use costband::domain::ports::AlertLedger;
use jiff::Timestamp;

use super::world::{HOSTILE, money};

/// What fires, is pending and was taken.
pub(super) fn alerts() -> Vec<AlertState> {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let firing = AlertState {
        key: AlertKey::new(AlertRule::CeilingForecast)
            .of(Subject::Band, "aws")
            .within("2025-10".parse().unwrap()),
        phase: AlertPhase::Firing,
        since: at("2025-10-14T06:00:00Z"),
        fired_at: Some(at("2025-10-15T06:00:00Z")),
        ended_at: None,
        end: None,
        counted: Counted::default(),
        details: AlertDetails::new(Severity::Warning)
            .with(FigureName::MonthEnd, Figure::Money(money("104200.5 USD")))
            .with(FigureName::Probability, Figure::Ratio(0.81)),
        told: BTreeMap::from([(
            "ops".to_owned(),
            Told {
                at: at("2025-10-15T06:00:30Z"),
                times: 1,
                severity: Severity::Warning,
                dropped: false,
            },
        )]),
        acknowledged: None,
    };
    let mut pending = firing.clone();
    pending.key.rule = AlertRule::NewService;
    pending.key.subject.insert(Subject::ServiceName, HOSTILE.to_owned());
    (pending.phase, pending.fired_at) = (AlertPhase::Pending, None);
    pending.told.clear();
    pending.details.severity = Severity::Info;
    pending.details.causes.push(AlertCause {
        dimension: Some(Dimension::ServiceName),
        name: HOSTILE.to_owned(),
        amount: money("310.25 USD"),
        share: Some(1.0),
    });
    vec![pending, firing]
}

/// A ledger of alerts in memory.
#[derive(Default)]
pub(super) struct Desk {
    alerts: Mutex<Vec<AlertState>>,
    silences: Mutex<Vec<Silence>>,
}

#[async_trait::async_trait]
impl AlertLedger for Desk {
    fn now(&self) -> Timestamp {
        "2025-10-16T12:00:00Z".parse().unwrap()
    }

    fn mutes(&self, held: &[AlertState], by: &[Silence]) -> BTreeMap<AlertId, &'static str> {
        let silenced = held.iter().filter(|state| by.iter().any(|one| one.matches(&state.key)));
        silenced.map(|state| (state.key.id(), "silenced")).collect()
    }

    async fn history(&self, of: Option<AlertId>, most: u32) -> Result<Vec<AlertEvent>, String> {
        let alerts = self.alerts.lock().unwrap();
        let asked =
            alerts.iter().filter(|state| of.as_ref().is_none_or(|id| *id == state.key.id()));
        let event = |state: &AlertState| AlertEvent {
            at: self.now(),
            kind: match state.acknowledged {
                Some(_) => AlertEventKind::Acknowledged,
                None => AlertEventKind::Unacknowledged,
            },
            state: state.clone(),
        };
        Ok(asked.rev().map(event).take(usize::try_from(most).unwrap()).collect())
    }

    async fn silences(&self) -> Result<Vec<Silence>, String> {
        Ok(self.silences.lock().unwrap().clone())
    }

    async fn acknowledge(
        &self,
        id: AlertId,
        taken: Option<Acknowledgement>,
    ) -> Result<Option<AlertState>, String> {
        let Some(mut state) = alerts().into_iter().find(|state| state.key.id() == id) else {
            return Ok(None);
        };
        state.acknowledged = taken;
        self.alerts.lock().unwrap().push(state.clone());
        Ok(Some(state))
    }

    async fn add_silence(&self, silence: Silence) -> Result<(), String> {
        self.silences.lock().unwrap().push(silence);
        Ok(())
    }

    async fn end_silence(&self, id: String) -> Result<bool, String> {
        let mut silences = self.silences.lock().unwrap();
        let before = silences.len();
        silences.retain(|silence| silence.id != id);
        Ok(silences.len() < before)
    }
}
