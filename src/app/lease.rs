//! The agent among its replicas: it takes part in the election of the one that acts, and the ledger
//! learns of every change before any task does.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::app::polling::Polling;
use crate::app::setup::Setup;
#[cfg(feature = "kubernetes")]
use crate::config::LeaseConfig;
use crate::domain::identity::SourceId;
#[cfg(feature = "kubernetes")]
use crate::domain::lease::LeaseHolder;
use crate::domain::lease::{Leadership, LeadershipNow};
use crate::domain::money::Money;
#[cfg(feature = "kubernetes")]
use crate::domain::ports::LeaseTerms;
use crate::domain::ports::{Clock, Meter, MeterError};
#[cfg(feature = "kubernetes")]
use crate::kubernetes::Cluster;
#[cfg(feature = "kubernetes")]
use crate::kubernetes::lease::keeper::{Candidacy, Keeper, Post};
#[cfg(feature = "kubernetes")]
use crate::kubernetes::lease::ledger_watch;
use crate::runtime::supervisor::{Supervisor, TaskDied};
#[cfg(feature = "kubernetes")]
use crate::store::LedgerError;
use crate::store::LedgerHandle;
#[cfg(feature = "kubernetes")]
use crate::telemetry::self_metrics::SelfMetrics;

/// The agent's part among its replicas; without a Lease there is none, and it costs nothing.
pub struct Replica {
    /// What tasks run for.
    pub duty: Leadership,
    /// What the process may do, as it changes.
    pub leadership: watch::Receiver<Leadership>,
    /// What the process may do at the instant of a call, by its own clock.
    pub now: LeadershipNow,
    identity: String,
    step_down: Box<dyn Fn() + Send + Sync>,
    keeper: Supervisor,
    /// An agent that is alone hears of no change.
    _alone: Option<watch::Sender<Leadership>>,
}

impl Replica {
    /// An agent that always acts.
    pub fn alone() -> Self {
        let (alone, leadership) = watch::channel(Leadership::Alone);
        Self {
            duty: Leadership::Alone,
            leadership,
            now: Arc::new(|| Leadership::Alone),
            identity: String::new(),
            step_down: Box::new(|| ()),
            keeper: Supervisor::new(),
            _alone: Some(alone),
        }
    }

    /// Takes part in the election of the configured Lease, as a follower at first.
    ///
    /// # Errors
    /// When the ledger's thread is gone, or this build has no Kubernetes.
    pub async fn of(setup: &Setup, polling: &Polling) -> anyhow::Result<Self> {
        let Some(lease) = &setup.config.lease else { return Ok(Self::alone()) };
        #[cfg(not(feature = "kubernetes"))]
        anyhow::bail!("`lease` `{}`: this build has no Kubernetes", lease.name);
        #[cfg(feature = "kubernetes")]
        {
            polling.handle.call(|ledger| ledger.follow()).await?;
            Ok(Self::candidate(lease, polling))
        }
    }

    #[cfg(feature = "kubernetes")]
    fn candidate(lease: &LeaseConfig, polling: &Polling) -> Self {
        let random = random();
        let identity = format!("{}_{random:016x}", replica_name(lease));
        let address = lease.address.as_ref().map(ToString::to_string);
        let candidacy = Candidacy {
            cluster: cluster(lease),
            name: lease.name.clone(),
            namespace: lease.namespace.clone(),
            rules: lease.rules,
            own: LeaseHolder { identity: identity.clone(), address },
        };
        let post = Post::default();
        let ledger = polling.handle.clone();
        let terms =
            Arc::new(TermsPort { ledger: ledger.clone(), metrics: polling.metrics.clone() });
        let mut keeper = Supervisor::new();
        let mut shutdown = keeper.shutdown();
        let task = Keeper::new(candidacy, terms.clone(), post.clone(), random);
        keeper.spawn("lease", task.run(async move { shutdown.requested().await }));
        let (mut shutdown, fenced) = (keeper.shutdown(), post.clone());
        keeper.spawn("fence", async move {
            let watched = async {
                loop {
                    ledger.ousted().await;
                    fenced.step_down();
                }
            };
            tokio::select! {
                () = watched => {}
                () = shutdown.requested() => {}
            }
        });
        let (mut shutdown, cut_off) = (keeper.shutdown(), post.clone());
        let watched = ledger_watch::watch(terms, cut_off, lease.rules);
        keeper.spawn("ledger-watch", async move {
            tokio::select! {
                () = watched => {}
                () = shutdown.requested() => {}
            }
        });
        let (now, for_step_down) = (post.clone(), post.clone());
        Self {
            duty: post.now(),
            leadership: post.leadership(),
            now: Arc::new(move || now.now()),
            identity,
            step_down: Box::new(move || for_step_down.step_down()),
            keeper,
            _alone: None,
        }
    }

    /// Waits until the process may do something else than what tasks run for; for ever where it is
    /// alone.
    ///
    /// # Errors
    /// The keeper's end, which was not asked for.
    pub async fn changed(&mut self) -> Result<(), TaskDied> {
        let duty = &self.duty;
        let other = |now: &Leadership| match (now, duty) {
            (Leadership::Follower { .. }, Leadership::Follower { .. }) => false,
            (now, duty) => now != duty,
        };
        tokio::select! {
            _ = self.leadership.wait_for(other) => Ok(()),
            died = self.keeper.died() => Err(died),
        }
    }

    /// Goes over to what the process may do now. The tasks of before have ended: what they handed to
    /// the ledger is kept or refused before it changes its mind.
    ///
    /// # Errors
    /// When the ledger's thread is gone.
    pub async fn take_duty(
        &mut self,
        ledger: &LedgerHandle,
        clock: &dyn Clock,
    ) -> anyhow::Result<()> {
        let wanted = self.leadership.borrow_and_update().clone();
        let (identity, at) = (self.identity.clone(), clock.now());
        self.duty = match wanted {
            Leadership::Alone => Leadership::Alone,
            Leadership::Holder { term } => {
                let number = i64::try_from(term).unwrap_or(i64::MAX);
                match ledger.call(move |ledger| ledger.lead(number, &identity, at)).await? {
                    Ok(()) => Leadership::Holder { term },
                    Err(error) => {
                        tracing::error!(term, %error, "failed to lead the ledger; gives the Lease up");
                        return self.give_up(Leadership::Holder { term }, ledger).await;
                    }
                }
            }
            follower @ Leadership::Follower { .. } => {
                ledger.call(|ledger| ledger.follow()).await?;
                follower
            }
        };
        Ok(())
    }

    /// Gives up what the process may do and follows. No task runs for it.
    ///
    /// # Errors
    /// When the ledger's thread is gone.
    pub async fn give_up(&mut self, held: Leadership, ledger: &LedgerHandle) -> anyhow::Result<()> {
        (self.step_down)();
        ledger.call(|ledger| ledger.follow()).await?;
        // A keeper that is gone is told by its supervisor.
        let _ = self.leadership.wait_for(|now| *now != held).await;
        self.duty = Leadership::Follower { holder: None };
        Ok(())
    }

    /// What ends with the present duty.
    pub fn held(&self) -> Held {
        Held { duty: self.duty.clone(), leadership: self.leadership.clone() }
    }

    /// Releases the Lease. Whatever needs it has ended.
    pub async fn end(&mut self) {
        std::mem::take(&mut self.keeper).end().await;
    }
}

/// A term while it lasts.
pub struct Held {
    duty: Leadership,
    leadership: watch::Receiver<Leadership>,
}

impl Held {
    /// Drops a task in the moment in which the duty ends, whatever the rest of the agent is about,
    /// and waits then for its own end: another replica may pay for the same soon.
    pub async fn during(mut self, task: impl Future<Output = ()>) {
        let duty = self.duty;
        tokio::select! {
            biased;
            _ = self.leadership.wait_for(|now| *now != duty) => {}
            () = task => return,
        }
        std::future::pending().await
    }
}

/// How the API with the Lease is reached.
#[cfg(feature = "kubernetes")]
pub fn cluster(lease: &LeaseConfig) -> Cluster {
    Cluster {
        name: lease.context.clone().unwrap_or_else(|| "own".to_owned()),
        kubeconfig: lease.kubeconfig.clone(),
        context: lease.context.clone(),
    }
}

/// The ledger's terms as the election sees them.
#[cfg(feature = "kubernetes")]
struct TermsPort {
    ledger: LedgerHandle,
    metrics: SelfMetrics,
}

#[cfg(feature = "kubernetes")]
#[async_trait]
impl LeaseTerms for TermsPort {
    async fn newest(&self) -> Result<u64, String> {
        let term: Result<i64, LedgerError> =
            self.ledger.call(|ledger| ledger.term()).await.map_err(|gone| gone.to_string())?;
        let term = term.map_err(|error| {
            self.metrics.ledger_failed(error.operation().as_str());
            error.to_string()
        })?;
        Ok(u64::try_from(term).unwrap_or(0))
    }
}

/// What the replica is called: in a pod the host's name is the pod's.
#[cfg(feature = "kubernetes")]
fn replica_name(lease: &LeaseConfig) -> String {
    let host = || std::env::var("HOSTNAME").ok();
    let kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let found = lease.identity.clone().or_else(host).or_else(kernel);
    let found = found.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    found.unwrap_or_else(|| "costband".to_owned())
}

/// Something that no other process has: a replica that starts anew under its name is another one.
#[cfg(feature = "kubernetes")]
fn random() -> u64 {
    let mut bytes = [0; 8];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        return std::hash::BuildHasher::hash_one(
            &std::hash::RandomState::new(),
            std::process::id(),
        );
    }
    u64::from_le_bytes(bytes)
}

/// Reserves nothing for a process that stood still while its Lease ran out: it would pay for what
/// another replica pays for already.
pub struct HeldMeter {
    /// The meter.
    pub meter: Arc<dyn Meter>,
    /// What the process may do.
    pub now: LeadershipNow,
}

#[async_trait]
impl Meter for HeldMeter {
    async fn reserve(
        &self,
        source: &SourceId,
        operation: &'static str,
        price: Money,
    ) -> Result<(), MeterError> {
        if !(self.now)().acts() {
            return Err(MeterError::Ledger("another replica may hold the Lease".to_owned()));
        }
        self.meter.reserve(source, operation, price).await
    }

    fn quota(&self, source: &SourceId, quota: &'static str, window: &'static str, remaining: f64) {
        self.meter.quota(source, quota, window, remaining);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Purse(Mutex<u32>);

    #[async_trait]
    impl Meter for Purse {
        async fn reserve(&self, _: &SourceId, _: &'static str, _: Money) -> Result<(), MeterError> {
            *self.0.lock().expect("nobody panics") += 1;
            Ok(())
        }

        fn quota(&self, _: &SourceId, _: &'static str, _: &'static str, _: f64) {}
    }

    #[tokio::test]
    async fn a_process_that_holds_no_more_pays_for_nothing() {
        let purse = Arc::new(Purse(Mutex::new(0)));
        let duty = watch::Sender::new(Leadership::Holder { term: 1 });
        let now = duty.subscribe();
        let meter = HeldMeter { meter: purse.clone(), now: Arc::new(move || now.borrow().clone()) };
        let price: Money = "0.01 USD".parse().expect("it is money");
        let source = SourceId::new("aws");
        assert_eq!(meter.reserve(&source, "GetCostAndUsage", price).await, Ok(()));
        duty.send_replace(Leadership::Follower { holder: None });
        let refused = meter.reserve(&source, "GetCostAndUsage", price).await;
        assert!(matches!(refused, Err(MeterError::Ledger(_))), "{refused:?}");
        assert_eq!(*purse.0.lock().expect("nobody panics"), 1);
    }

    #[tokio::test]
    async fn what_is_under_way_is_dropped_in_the_moment_in_which_the_term_ends() {
        for next in [Leadership::Follower { holder: None }, Leadership::Holder { term: 2 }] {
            let leadership = watch::Sender::new(Leadership::Holder { term: 1 });
            let duty = Leadership::Holder { term: 1 };
            let held = Held { duty, leadership: leadership.subscribe() };
            let (paid, gone) = tokio::sync::oneshot::channel::<()>();
            let under_way = tokio::spawn(held.during(async move {
                let _paid = paid;
                std::future::pending().await
            }));
            tokio::task::yield_now().await;
            leadership.send_replace(next);
            assert!(gone.await.is_err(), "the request is dropped");
            assert!(!under_way.is_finished(), "and its task waits for its end");
            under_way.abort();
        }
    }
}
