//! `costband check`: validates a configuration and prints what it will ask, how often, for how
//! much. It dials nobody, but with `--online`, which proves identities and permissions.

use std::fmt::Write;

use crate::app::online::{self, Found};
use crate::app::plan::{at_most, price, span, usual_window};
use crate::app::setup::Setup;
use crate::cli::{ConfigFile, Failure, print};
use crate::collect::proof::Outcome;
use crate::domain::alert::Severity;
use crate::domain::alerting::Alerting;
use crate::domain::gpu::Pod;
use crate::domain::period::{BillingPeriod, Window};
use crate::domain::ports::Clock;
use crate::domain::role::Role;
use crate::runtime::clock::SystemClock;

#[derive(Debug, clap::Args)]
#[command(
    about = "Validate a configuration and print the request plan with its price",
    after_help = "Examples:\n  costband check -c costband.yaml\n  costband check -c costband.yaml --online\n\nEvery problem is told at once, each with its path; the exit code is 64 then.\nNothing is asked of anybody without `--online`, which exits with 1 where a permission is missing. It\npays for one request of 0.01 USD for each AWS source, and says so before."
)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Also proves identity and each permission, of every cloud and of every Kubernetes API, one
    /// line for each, with the command that mends it.
    #[arg(long)]
    online: bool,
}

impl Check {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let setup = Setup::load(&self.config.config)?;
        print(&describe(&setup, &SystemClock))?;
        if self.online { online(&setup).await } else { Ok(()) }
    }
}

/// Proves every permission, one line for each; what is paid for it is told before.
async fn online(setup: &Setup) -> Result<(), Failure> {
    print("\npermissions\n")?;
    for (source, operation, price) in online::paid(setup) {
        print(&format!(
            "  `{source}` is asked `{operation}` for {price}, outside of `monthly_cap`\n"
        ))?;
    }
    let mut failed = 0;
    let mut in_all = 0;
    let mut tell = |found: &[Found]| {
        let mut out = String::new();
        for Found { of, proof } in found {
            let mark = match proof.outcome {
                Outcome::Holds => "ok",
                Outcome::Fails => "FAILED",
                Outcome::Noted => "note",
            };
            failed += usize::from(proof.outcome == Outcome::Fails);
            let _ = writeln!(out, "  {mark:<7} {of}: {}", proof.line);
        }
        in_all += found.len();
        print(&out)
    };
    for source in &setup.sources {
        tell(&online::source(setup, &source.descriptor().id, &SystemClock).await)?;
    }
    tell(&online::clusters(setup).await?)?;
    if in_all == 0 {
        print("  there is nothing to prove: neither a bill nor a Kubernetes API is configured\n")?;
    }
    if failed > 0 {
        return Err(anyhow::anyhow!("{failed} of {in_all} permissions do not hold").into());
    }
    Ok(())
}

fn describe(setup: &Setup, clock: &dyn Clock) -> String {
    let mut out = String::from("The configuration is valid.\n");
    describe_role(setup, &mut out);
    for source in &setup.sources {
        let descriptor = source.descriptor();
        let usual = usual_window(descriptor.provider, clock.now());
        let before = BillingPeriod::containing(usual.start).previous();
        let first = Window::new(before.first_day(), usual.end);
        let plan = Setup::plan(source.as_ref(), &usual);
        let _ = writeln!(out, "\n{} ({})", descriptor.id, descriptor.provider.display_name());
        let _ = writeln!(out, "  {:<22} {:>8}  {:>12}  for", "request", "at most", "price each");
        for request in &plan.requests {
            let _ = writeln!(
                out,
                "  {:<22} {:>8}  {:>12}  {}",
                request.operation,
                request.at_most,
                price(request.price),
                request.purpose
            );
        }
        let first = Setup::plan(source.as_ref(), &first);
        let _ = writeln!(
            out,
            "  one reading of two months: {}; the first reads three: {}",
            at_most(plan.price_of_a_poll),
            at_most(first.price_of_a_poll)
        );
        let _ = write!(
            out,
            "  a reading every {}: {} in a month of 31 days",
            span(plan.every),
            at_most(plan.price_of_a_month)
        );
        match descriptor.monthly_cap {
            Some(cap) => {
                let _ = writeln!(out, ", under a cap of {cap}");
            }
            None => out.push('\n'),
        }
        if let Some(wanted) = plan.stretched_from {
            let _ = writeln!(
                out,
                "  the cap stretches the cadence from {} if every reading costs the most",
                span(wanted)
            );
        }
        if plan.is_less_than_daily() {
            out.push_str("  WARNING: that may be less than once a day; raise `monthly_cap`\n");
        }
    }
    if setup.config.role == Role::Central {
        out.push_str("\nbands\n");
    }
    for (index, band) in setup.config.bands.iter().enumerate() {
        for limits in &band.limits {
            let _ = write!(
                out,
                "  {}: {} to {} {} a month ({} cost)",
                band.name,
                limits.floor.normalize(),
                limits.ceiling.normalize(),
                band.currency,
                band.basis.as_str()
            );
            if let Some(from) = limits.effective_from {
                let _ = write!(out, " from {from}");
            }
            out.push('\n');
        }
        for (source, selections) in setup.sources.iter().zip(&setup.selections) {
            for (_, selection) in selections.iter().filter(|(held, _)| *held == index) {
                let id = &source.descriptor().id;
                let _ = writeln!(out, "    from `{id}`, breakdown `{}`", selection.query);
            }
        }
    }
    for gpu in &setup.config.gpu {
        let _ =
            writeln!(out, "\nGPU telemetry `{}`: {} every {}", gpu.name, gpu.from, span(gpu.every));
    }
    for kubernetes in setup.config.kubernetes.iter().filter(|kubernetes| kubernetes.nodes) {
        let _ =
            writeln!(out, "\nnodes of the Kubernetes cluster `{}`: watched", kubernetes.cluster);
    }
    describe_lease(setup, &mut out);
    if setup.config.role == Role::Central {
        out.push_str(match setup.config.alerting {
            Alerting::Agent => "\nalerts are told by the agent, to its receivers\n",
            Alerting::Prometheus => {
                "\nalerts of money are told by Prometheus, by the rules in dashboards/rules; receivers hear of\nthe agent's own health alone\n"
            }
        });
    }
    describe_receivers(setup, &mut out);
    out
}

/// Who is told of what. No address is shown: some hold a secret.
fn describe_receivers(setup: &Setup, out: &mut String) {
    if !setup.recipients.is_empty() {
        out.push_str("\nreceivers\n");
    }
    for recipient in &setup.recipients {
        let entry = setup.config.receivers.iter().find(|entry| entry.name == recipient.name);
        let kind = entry.map_or("", |entry| entry.kind.as_str());
        let of = match recipient.minimum_severity {
            Severity::Critical => "critical alerts",
            Severity::Warning => "alerts from warning on",
            Severity::Info => "every alert",
        };
        let ends = if recipient.resolved { "and when it is over" } else { "not when it is over" };
        let beat = setup.config.heartbeat.as_ref();
        let beat = beat.filter(|beat| beat.receivers.contains(&recipient.name));
        let _ = write!(out, "  {} ({kind}): told of {of}, {ends}", recipient.name);
        if let Some(beat) = beat {
            let _ = write!(out, "; a heartbeat every {}", span(beat.every));
        }
        out.push('\n');
    }
}

/// What several replicas do.
fn describe_lease(setup: &Setup, out: &mut String) {
    let Some(lease) = &setup.config.lease else { return };
    let of = match &lease.namespace {
        Some(namespace) => format!("`{namespace}/{}`", lease.name),
        None => format!("`{}` in the pod's namespace", lease.name),
    };
    let rules = lease.rules;
    let _ = writeln!(
        out,
        "\nLease {of}: of all replicas its holder polls and notifies, the others follow\n  a holder \
         that cannot renew it stops after {}; another one takes over after {}, at once when the \
         holder ends well",
        span(rules.renew_deadline),
        span(rules.duration)
    );
    out.push_str(if setup.shares_ledger() {
        "  replicas share the ledger: a new holder goes on with its schedule and its caps\n"
    } else {
        "  each replica has a ledger of its own: a new holder reads again what its own lacks, and a \
         cap is each replica's; want `store.url`\n"
    });
}

/// What an agent beside its GPUs tells, and whom it asks.
fn describe_role(setup: &Setup, out: &mut String) {
    let config = &setup.config;
    match &config.role {
        Role::Central => {
            if !config.gpu.is_empty() {
                out.push_str("\nGPUs are counted here: no node agent may count them too\n");
            }
            return;
        }
        Role::Node => out.push_str("\na node agent: the GPUs of its own node\n"),
        Role::Sidecar(Pod { namespace, name }) => {
            let _ = writeln!(out, "\na sidecar: the GPUs of the pod `{namespace}/{name}`");
        }
    }
    let _ = match &config.central {
        Some(central) => writeln!(
            out,
            "  the node's machine and prices: asked of {} every {}",
            central.url,
            span(central.every)
        ),
        None => writeln!(out, "  the node's machine and prices: inferred from its GPUs"),
    };
}
