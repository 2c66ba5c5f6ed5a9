//! Who tells of money: the agent to its receivers, or a Prometheus by the same rules. Never both.

use crate::domain::alert::AlertRule;

/// Who tells of money. The agent judges and exports every rule either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Alerting {
    /// The agent, to its receivers.
    #[default]
    Agent,
    /// Prometheus, by the rules in `dashboards/rules`; the agent tells of itself alone.
    Prometheus,
}

impl Alerting {
    /// Whether the agent tells its receivers of a rule's alerts.
    pub fn tells(self, rule: AlertRule) -> bool {
        match self {
            Self::Agent => true,
            Self::Prometheus => rule.is_health(),
        }
    }
}

impl AlertRule {
    /// Whether it is about the agent's own work: its sources, what they may cost, its receivers and
    /// its ledger. Late data is not: a provider is late while the agent is well.
    pub fn is_health(self) -> bool {
        match self {
            Self::SourceFailing
            | Self::IdentityWrong
            | Self::CapNearlySpent
            | Self::ReceiverFailing
            | Self::LedgerFailing => true,
            Self::CeilingExceeded
            | Self::CeilingForecast
            | Self::PaceFast
            | Self::PaceSlow
            | Self::FloorForecast
            | Self::SpendAnomaly
            | Self::LevelShift
            | Self::NewService
            | Self::NewRegion
            | Self::GpuIdleMoney
            | Self::GpuUnderFed
            | Self::ClusterBelowTier
            | Self::ReservationNotRunning
            | Self::BillingDataLate
            | Self::Restatement
            | Self::ReconciliationDifference
            | Self::ForecastOff => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_beside_prometheus_tells_of_itself_alone() {
        let told: Vec<_> = AlertRule::ALL
            .iter()
            .filter(|rule| Alerting::Prometheus.tells(**rule))
            .map(|rule| rule.as_str())
            .collect();
        let health = [
            "source_failing",
            "identity_wrong",
            "cap_nearly_spent",
            "receiver_failing",
            "ledger_failing",
        ];
        assert_eq!(told, health);
        assert!(AlertRule::ALL.iter().all(|rule| Alerting::Agent.tells(*rule)));
    }
}
