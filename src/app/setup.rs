//! A valid configuration becomes sources that can be polled and bands that can be answered.

use std::path::Path;
use std::sync::Arc;

use crate::analyse::scope::{self, Answer};
use crate::analyse::spend::{Selection, SourceRules};
use crate::collect::plan::{Plan, plan};
use crate::collect::{Descriptor, SOURCES, Source, SourceKind};
use crate::config::problems::Problems;
use crate::config::{Config, Entry, Kinds, SourceSchema, SslMode, StorePlace, load_and_build};
use crate::domain::band::{Band, Scope};
use crate::domain::identity::SourceId;
use crate::domain::notice::Recipient;
use crate::domain::period::Window;
use crate::notify::{self, RECEIVERS, Receiver};
use crate::store::location::Password;
use crate::store::{Encryption, Ledger, LedgerError, Location, Server};

/// Everything that is known before anything listens, spawns or dials.
#[derive(Clone)]
pub struct Setup {
    /// The configuration.
    pub config: Config,
    /// The billing sources, in configured order.
    pub sources: Vec<Arc<dyn Source>>,
    /// For each source, in the same order, what each band selects of it: the band's index and the
    /// selection.
    pub selections: Vec<Vec<(usize, Selection)>>,
    /// Who is told, in configured order.
    pub receivers: Vec<Arc<dyn Receiver>>,
    /// What each of them is told of, in the same order.
    pub recipients: Vec<Recipient>,
    /// Where the ledger is.
    pub ledger: Location,
}

impl Setup {
    /// Reads a configuration file and the environment.
    ///
    /// # Errors
    /// Every problem at once, each with its path.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        Self::from_text(&Self::read(path)?, environment())
    }

    /// Reads the text of a configuration file.
    ///
    /// # Errors
    /// The one problem that it cannot be read.
    pub fn read(path: &Path) -> Result<String, Problems> {
        std::fs::read_to_string(path).map_err(|error| {
            let mut problems = Problems::new();
            problems.add(
                "",
                format!(
                    "failed to read the configuration file `{}`: {error}; give its path with `-c` (folder `examples` has some to begin with)",
                    path.display()
                ),
            );
            problems
        })
    }

    /// Reads a configuration from its text.
    ///
    /// # Errors
    /// As [`Setup::load`].
    pub fn from_text(
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Problems> {
        let mut built: Vec<Box<dyn Source>> = Vec::new();
        let (mut receivers, mut recipients) = (Vec::new(), Vec::new());
        let (sources, told) = (schemas(), receiver_schemas());
        let kinds = Kinds { sources: &sources, receivers: &told };
        let config =
            load_and_build(text, environment, kinds, |entry, config, problems| match entry {
                Entry::Source(entry) => {
                    let kind = SOURCES.iter().find(|kind| kind.name == entry.kind);
                    let build =
                        |kind: &SourceKind| (kind.build)(&entry.value, &entry.path, problems);
                    built.extend(kind.and_then(build));
                }
                Entry::Receiver(entry) => {
                    if let Some((receiver, recipient)) = notify::build(entry, config, problems) {
                        receivers.push(receiver);
                        recipients.push(recipient);
                    }
                }
            })?;
        let mut problems = Problems::new();
        notify::check_heartbeat(&config, &mut problems);
        let selections = answer_bands(&config.bands, &mut built, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let sources = built.into_iter().map(Arc::from).collect();
        let ledger = location(&config.store.place);
        Ok(Self { config, sources, selections, receivers, recipients, ledger })
    }

    /// What judging needs to know of each source.
    pub fn rules(&self) -> Vec<SourceRules> {
        self.sources.iter().map(|source| rules(source.descriptor())).collect()
    }

    /// What polling a window of a source will ask and cost.
    pub fn plan(source: &dyn Source, window: &Window) -> Plan {
        plan(source.descriptor(), source.plan(window))
    }

    /// Opens the ledger to write: with a Lease it is shared, and whoever holds that writes.
    ///
    /// # Errors
    /// What the disk or the server refuses.
    pub fn open_ledger(&self) -> Result<Ledger, LedgerError> {
        match self.config.lease {
            Some(_) => Ledger::open_shared(&self.ledger),
            None => Ledger::open(&self.ledger),
        }
    }

    /// Whether other replicas read the same ledger.
    pub fn shares_ledger(&self) -> bool {
        matches!(self.ledger, Location::Postgres(_))
    }

    /// A source by name.
    pub fn source(&self, id: &SourceId) -> Option<&Arc<dyn Source>> {
        self.sources.iter().find(|source| source.descriptor().id == *id)
    }
}

/// Where the ledger is. A password is read at each use.
pub fn location(place: &StorePlace) -> Location {
    let postgres = match place {
        StorePlace::Path(path) => return path.into(),
        StorePlace::Postgres(postgres) => postgres.clone(),
    };
    let mut server = Server::new(&postgres.host, postgres.port, &postgres.database, &postgres.user);
    server.encryption = match postgres.ssl_mode {
        SslMode::Disable => Encryption::Disable,
        SslMode::Prefer => Encryption::Prefer,
        SslMode::Require => Encryption::Require,
        SslMode::VerifyCa => Encryption::VerifyCa,
        SslMode::VerifyFull => Encryption::VerifyFull,
    };
    server.root_certificate = postgres.root_certificate;
    server.password = postgres.password.map(|password| -> Password {
        Arc::new(move || match password.read() {
            Ok(password) => Ok(password.expose().to_owned()),
            Err(error) => Err(format!("`store.password`: {error}")),
        })
    });
    Location::postgres(server)
}

/// The environment's variables, without those that are not text.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The schemas of the kinds of sources in this build.
pub fn schemas() -> Vec<SourceSchema> {
    SOURCES.iter().map(|kind| SourceSchema { name: kind.name, schema: kind.schema }).collect()
}

/// The schemas of the kinds of receivers.
pub fn receiver_schemas() -> Vec<SourceSchema> {
    RECEIVERS.iter().map(|kind| SourceSchema { name: kind.name, schema: kind.schema }).collect()
}

fn rules(descriptor: &Descriptor) -> SourceRules {
    SourceRules {
        id: descriptor.id.clone(),
        provider: descriptor.provider,
        lag: descriptor.lag,
        quiet: descriptor.final_after,
        maximum_age: descriptor.maximum_age,
    }
}

/// Finds, for every band and every source of its scope, the one breakdown that answers it; a scope
/// that no standard breakdown answers becomes a query of its own, or a problem with the reason.
fn answer_bands(
    bands: &[Band],
    sources: &mut [Box<dyn Source>],
    problems: &mut Problems,
) -> Vec<Vec<(usize, Selection)>> {
    let mut selections = vec![Vec::new(); sources.len()];
    for (index, band) in bands.iter().enumerate() {
        let path = format!("bands[{index}].scope");
        let mut answered = false;
        for (source, selections) in sources.iter_mut().zip(&mut selections) {
            let descriptor = source.descriptor();
            if !band.scope.includes(&descriptor.id, descriptor.provider) {
                continue;
            }
            answered = true;
            match select(band, source.as_mut()) {
                Ok(selection) => selections.push((index, selection)),
                Err(reason) => problems.add(
                    path.as_str(),
                    format!("the band `{}` cannot be answered: {reason}", band.name),
                ),
            }
        }
        if !answered {
            problems.add(path, format!("the band `{}` holds no configured source", band.name));
        }
    }
    selections
}

fn select(band: &Band, source: &mut dyn Source) -> Result<Selection, String> {
    let counts = band.counts.clone();
    let Scope { filters, .. } = &band.scope;
    match scope::answer(band, &source.descriptor().breakdowns) {
        Answer::Breakdown { query } => Ok(Selection { query, filters: filters.clone(), counts }),
        Answer::NeedsQuery { filters } => {
            let query = scope::query_name(band);
            source
                .add_filtered(&query, &filters)
                .map_err(|reason| format!("`{}` {reason}", source.descriptor().id))?;
            Ok(Selection { query, filters: Vec::new(), counts })
        }
        Answer::Refused(reason) => Err(reason),
    }
}
