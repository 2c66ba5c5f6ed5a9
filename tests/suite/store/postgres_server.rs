//! What only a ledger in PostgreSQL promises: leaders that fight, servers that go away, TLS, and
//! errors that tell no password.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use costband::store::{Encryption, Server};

use super::crash::{Crashing, held_number, held_requests, numbered};
use super::place::{PASSWORD, Place, Postgres, USER};
use super::proxy::{Fate, Proxy};
use super::*;

/// A pause between two attempts, as a caller would make.
const PAUSE: Duration = Duration::from_millis(50);

fn server_of(location: &Location) -> &Arc<Server> {
    match location {
        Location::Postgres(server) => server,
        Location::File(_) | Location::Memory => panic!("{location} is no database"),
    }
}

/// The same database, with something changed.
fn changed(location: &Location, change: impl FnOnce(&mut Server)) -> Location {
    let known = server_of(location);
    let mut server = Server::new(&known.host, known.port, &known.database, &known.user);
    server.encryption = known.encryption;
    server.password = known.password.clone();
    change(&mut server);
    Location::postgres(server)
}

#[test]
fn errors_name_user_host_and_database_and_never_the_password() {
    let Some(place) = Place::database() else { return };
    let wrong = "wr0ng sesame";
    let cases = [
        (
            changed(&place.location, |server| {
                server.password = Some(Arc::new(move || Ok(wrong.to_owned())));
            }),
            "check the user, `store.password`",
        ),
        (changed(&place.location, |server| server.password = None), "password"),
        (
            changed(&place.location, |server| {
                server.password = Some(Arc::new(|| Err("`store.password`: it is gone".to_owned())));
            }),
            "`store.password`: it is gone",
        ),
        (
            changed(&place.location, |server| server.database = "none".to_owned()),
            "make the database",
        ),
        (changed(&place.location, |server| server.port = 1), "refused"),
    ];
    for (location, wanted) in cases {
        for error in [
            Ledger::open(&location).unwrap_err(),
            Ledger::open_shared(&location).unwrap_err(),
            Ledger::open_read_only(&location).unwrap_err(),
        ] {
            let text = format!("{error} {error:?} {location:?}");
            assert!(text.contains(wanted), "{text}");
            let server = server_of(&location);
            let name = format!("postgres://{USER}@127.0.0.1:{}/{}", server.port, server.database);
            assert!(error.to_string().contains(&name), "{text}");
            assert!(!text.contains(wrong) && !text.contains(PASSWORD), "{text}");
        }
    }
    // What is wrong with the server's name is told without waiting for an answer for ever.
    Ledger::open(&place.location).unwrap();
}

#[test]
fn a_newer_schema_and_a_foreign_database_are_refused_untouched() {
    let Some(server) = Postgres::shared() else { return };
    let (ledger, foreign) = (server.new_database(), server.new_database());
    Ledger::open(server.location(&ledger)).unwrap().close().unwrap();
    server.sql(&ledger, "INSERT INTO ledger_schema VALUES (99)");
    let location = server.location(&ledger);
    for error in [
        Ledger::open(&location).unwrap_err(),
        Ledger::open_shared(&location).unwrap_err(),
        Ledger::open_read_only(&location).unwrap_err(),
    ] {
        assert!(matches!(error, LedgerError::NewerSchema { found: 99, .. }), "{error}");
    }
    server.sql(&foreign, "CREATE TABLE theirs (a int)");
    let error = Ledger::open(server.location(&foreign)).unwrap_err();
    assert!(matches!(error, LedgerError::NotALedger { .. }), "{error}");
    let tables = "SELECT string_agg(tablename, ',') FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(server.sql(&foreign, tables), "theirs");

    let latin = "latin";
    server.sql(
        "postgres",
        &format!("CREATE DATABASE {latin} OWNER {USER} ENCODING 'LATIN1' TEMPLATE template0"),
    );
    let error = Ledger::open(server.location(latin)).unwrap_err();
    assert!(matches!(error, LedgerError::Encoding { .. }), "{error}");
}

#[test]
fn ten_processes_that_open_an_empty_database_at_once_make_one_ledger() {
    let Some(place) = Place::database() else { return };
    let opened: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| Ledger::open_shared(&place.location).unwrap().revision()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });
    assert_eq!(opened, [0; 10]);
}

#[test]
fn one_process_alone_and_replicas_that_share_keep_each_other_out() {
    let Some(place) = Place::database() else { return };
    let alone = Ledger::open(&place.location).unwrap();
    for error in [
        Ledger::open(&place.location).unwrap_err(),
        Ledger::open_shared(&place.location).unwrap_err(),
    ] {
        assert!(
            matches!(&error, LedgerError::InUse { holder: Some(holder), .. }
                if holder.contains("costband")),
            "{error}"
        );
    }
    Ledger::open_read_only(&place.location).unwrap();
    drop(alone);
    let first = Ledger::open_shared(&place.location).unwrap();
    let second = Ledger::open_shared(&place.location).unwrap();
    let error = Ledger::open(&place.location).unwrap_err();
    assert!(matches!(error, LedgerError::InUse { .. }), "{error}");
    drop((first, second));
    Ledger::open(&place.location).unwrap();
}

#[test]
fn an_old_leader_s_late_write_is_refused_and_followers_see_the_new_one_s() {
    let Some(place) = Place::database() else { return };
    let mut old = Ledger::open_shared(&place.location).unwrap();
    let mut new = Ledger::open_shared(&place.location).unwrap();
    let follower = Ledger::open_shared(&place.location).unwrap();
    let error = old.reschedule(&payer(), at(NEXT)).unwrap_err();
    assert!(matches!(error, LedgerError::NotLeader { .. }), "{error}");

    old.lead(1, "old", at(NEXT)).unwrap();
    let before = follower.revision().unwrap();
    commit(&mut old, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T08:00:00Z"));
    assert!(follower.revision().unwrap() > before);
    assert_eq!(rows(&follower, &by_service()), [line(1, "EC2", "10")]);

    new.lead(2, "new", at(NEXT)).unwrap();
    let late = report(&[1], &[(1, "EC2", "99")], "2026-11-02T09:00:00Z");
    let told = follower.revision().unwrap();
    let error = old.commit(&late, None).unwrap_err();
    assert!(
        matches!(&error, LedgerError::Fenced { own: 1, held: 2, holder, .. } if holder == "new"),
        "{error}"
    );
    let error = old.reserve(&payer(), "Query", money("1 USD"), None, at(NEXT)).unwrap_err();
    assert!(error.to_string().contains("term 2"), "{error}");
    assert_eq!(follower.revision().unwrap(), told);
    commit(&mut new, &report(&[1], &[(1, "EC2", "11")], "2026-11-02T10:00:00Z"));
    assert_eq!(rows(&follower, &by_service()), [line(1, "EC2", "11")]);
    assert_eq!(follower.term().unwrap(), 2);
}

#[test]
fn what_is_read_at_one_instant_belongs_together() {
    let Some(place) = Place::database() else { return };
    let mut leader = Ledger::open_shared(&place.location).unwrap();
    leader.lead(1, "leader", at(NEXT)).unwrap();
    commit(&mut leader, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T08:00:00Z"));
    let follower = Ledger::open_shared(&place.location).unwrap();
    follower
        .at_one_instant(|follower| {
            let first = follower.revision()?;
            commit(&mut leader, &report(&[1], &[(1, "EC2", "11")], "2026-11-02T10:00:00Z"));
            assert_eq!(follower.revision()?, first);
            assert_eq!(rows(follower, &by_service()), [line(1, "EC2", "10")]);
            Ok(())
        })
        .unwrap();
    assert_eq!(rows(&follower, &by_service()), [line(1, "EC2", "11")]);
}

/// Leaders in rising terms, each killed at a random instant, often within a transaction.
#[test]
#[allow(clippy::disallowed_methods, reason = "a kill comes at a random instant")]
fn leaders_that_are_killed_lose_nothing_and_cannot_write_after_their_successor() {
    let Some(place) = Place::database() else { return };
    let mut random = Seeded(0x1ea5_ec05_7ba9);
    let mut stale: Option<Ledger> = None;
    let (mut commits, mut reserves) = (0, 0);
    for round in 0_i64..12 {
        let term = round * 2 + 1;
        let mut leader = Crashing::start_in(&place.location, Some(term));
        (leader.commits, leader.reserves) = (commits, reserves);
        leader.wait_for_one();
        if let Some(stale) = &mut stale {
            let error = stale.commit(&numbered(1), None).unwrap_err();
            assert!(matches!(error, LedgerError::Fenced { .. }), "{error}");
        }
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        // Every third leader is not killed before the next one leads, and then writes on in vain.
        let kill_late = round % 3 == 2;
        if !kill_late {
            leader.kill();
        }
        let mut next = Ledger::open_shared(&place.location).unwrap();
        next.lead(term + 1, "parent", at(NEXT)).unwrap();
        let (number, requests) = (held_number(&next), held_requests(&next));
        if kill_late {
            leader.kill();
            assert_eq!((held_number(&next), held_requests(&next)), (number, requests));
        }
        let (told, paid) = (leader.commits, leader.reserves);
        assert!(number == told || number == told + 1, "round {round}: {told} told, {number} held");
        assert!(requests == paid || requests == paid + 1, "round {round}: {paid}, {requests}");
        (commits, reserves) = (number, requests);
        stale = Some(next);
    }
    assert!(commits >= 12, "{commits}");
}

/// Reserves until it is told to stop, again where it failed, counts how often it was told that a
/// reservation is kept, and gives what else it was told.
fn reserve_until(ledger: &mut Ledger, done: &AtomicBool, kept: &AtomicU64) -> BTreeSet<String> {
    let mut errors = BTreeSet::new();
    let count = || {
        kept.fetch_add(1, Ordering::Relaxed);
    };
    while !done.load(Ordering::Relaxed) {
        match ledger.reserve(&payer(), "Query", money("0.01 USD"), None, at(NEXT)) {
            Ok(()) => count(),
            Err(error) => {
                errors.insert(error.to_string());
                std::thread::park_timeout(PAUSE);
            }
        }
    }
    // The last one succeeds, so that the count below is of a ledger that is whole again.
    loop {
        match ledger.reserve(&payer(), "Query", money("0.01 USD"), None, at(NEXT)) {
            Ok(()) => {
                count();
                return errors;
            }
            Err(_) => std::thread::park_timeout(PAUSE),
        }
    }
}

#[test]
fn connections_that_are_cut_at_any_moment_lose_and_double_nothing() {
    let Some(server) = Postgres::shared() else { return };
    let database = server.new_database();
    let location = server.location(&database);
    let mut ledger = Ledger::open_shared(&location).unwrap();
    ledger.lead(1, "leader", at(NEXT)).unwrap();
    let (done, kept) = (AtomicBool::new(false), AtomicU64::new(0));
    let errors = std::thread::scope(|scope| {
        let load = scope.spawn(|| reserve_until(&mut ledger, &done, &kept));
        let mut cuts = 0;
        while cuts < 30 || (kept.load(Ordering::Relaxed) < 20 && cuts < 2_000) {
            cuts += 1;
            server.sql(
                &database,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
        }
        done.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    let kept = kept.into_inner();
    assert_eq!(held_requests(&Ledger::open_read_only(&location).unwrap()), kept, "{errors:?}");
    assert!(kept >= 20 && !errors.is_empty(), "{kept} kept, {errors:?}");
}

#[test]
fn a_server_that_restarts_under_load_loses_and_doubles_nothing() {
    let Some(server) = Postgres::start(&[]) else { return };
    let location = server.location(&server.new_database());
    let mut ledger = Ledger::open(&location).unwrap();
    commit(&mut ledger, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T08:00:00Z"));
    let (done, kept) = (AtomicBool::new(false), AtomicU64::new(0));
    let errors = std::thread::scope(|scope| {
        let load = scope.spawn(|| reserve_until(&mut ledger, &done, &kept));
        // A fast stop, and an end without any stop.
        for signal in ["-INT", "-QUIT", "-QUIT"] {
            server.end(signal);
            server.go();
        }
        done.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    let kept = kept.into_inner();
    assert_eq!(held_requests(&ledger), kept, "{errors:?}");
    assert_eq!(rows(&ledger, &by_service()), [line(1, "EC2", "10")]);
    assert_eq!(held_requests(&Ledger::open_read_only(&location).unwrap()), kept);
    assert!(errors.iter().all(|error| !error.contains(PASSWORD)), "{errors:?}");
}

#[test]
fn readers_share_a_few_connections_and_survive_their_loss() {
    let Some(server) = Postgres::shared() else { return };
    let database = server.new_database();
    let location = server.location(&database);
    let mut writer = Ledger::open(&location).unwrap();
    commit(&mut writer, &report(&[1], &[(1, "EC2", "10")], "2026-11-02T08:00:00Z"));
    let sessions = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND usename = 'costband'";
    let read = || {
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    let reader = Ledger::open_read_only(&location).unwrap();
                    assert_eq!(rows(&reader, &by_service()), [line(1, "EC2", "10")]);
                });
            }
        });
    };
    read();
    let held: u32 = server.sql(&database, sessions).parse().unwrap();
    assert!((2..=5).contains(&held), "{held} sessions: the writer's and at most four readers'");
    server.sql(
        &database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND usename = 'costband'",
    );
    read();
    commit(&mut writer, &report(&[1], &[(1, "EC2", "11")], "2026-11-02T09:00:00Z"));
}

/// A certificate authority, and a certificate of it for `localhost`.
fn certificates(folder: &Path) {
    let authority = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut asked = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        asked.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        asked.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = asked.self_signed(&key).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        rcgen::Issuer::new(asked, key)
    };
    let issuer = authority("authority");
    authority("stranger");
    let key = rcgen::KeyPair::generate().unwrap();
    let asked = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = asked.signed_by(&key, &issuer).unwrap();
    std::fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
    let path = folder.join("server.key");
    std::fs::write(&path, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_server_is_trusted_as_far_as_sslmode_says_and_no_further() {
    // Paths in its settings are relative to the folder of its data.
    let settings = ["ssl=on", "ssl_cert_file=../server.pem", "ssl_key_file=../server.key"];
    let Some(server) = Postgres::start_with(&settings, certificates) else { return };
    let database = server.new_database();
    let location = server.location(&database);
    let open = |host: &str, encryption: Encryption, root: Option<&str>| {
        let location = changed(&location, |known| {
            known.host = host.to_owned();
            known.encryption = encryption;
            known.root_certificate = root.map(|name| server.folder().join(name));
        });
        let opened = Ledger::open(&location);
        let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                         WHERE datname = current_database() AND usename = 'costband' AND ssl";
        opened
            .map(|ledger| {
                let encrypted = server.sql(&database, encrypted) == "1";
                drop(ledger);
                encrypted
            })
            .map_err(|error| error.to_string())
    };
    let (near, named) = ("127.0.0.1", "localhost");
    let (own, other) = (Some("authority.pem"), Some("stranger.pem"));
    assert_eq!(open(named, Encryption::VerifyFull, own), Ok(true));
    assert_eq!(open(near, Encryption::VerifyCa, own), Ok(true));
    assert_eq!(open(near, Encryption::Require, None), Ok(true));
    assert_eq!(open(near, Encryption::Require, own), Ok(true));
    assert_eq!(open(near, Encryption::Prefer, None), Ok(true));
    assert_eq!(open(near, Encryption::Disable, None), Ok(false));
    // As libpq: a socket has no TLS, whatever is asked.
    let socket = server.folder().to_str().unwrap();
    for encryption in [Encryption::Disable, Encryption::Prefer, Encryption::VerifyFull] {
        assert_eq!(open(socket, encryption, None), Ok(false), "{encryption:?}");
    }
    for (host, encryption, root) in [
        (named, Encryption::VerifyFull, other),
        (near, Encryption::VerifyCa, other),
        // As libpq: with a root certificate `require` verifies.
        (near, Encryption::Require, other),
        // The certificate is of another name.
        (near, Encryption::VerifyFull, own),
        (named, Encryption::VerifyFull, Some("nothing.pem")),
        (named, Encryption::VerifyFull, Some("server.key")),
    ] {
        let error = open(host, encryption, root).unwrap_err();
        assert!(error.contains("certificate"), "{encryption:?} {root:?}: {error}");
    }

    let Some(plain) = Postgres::shared() else { return };
    let location = plain.location(&plain.new_database());
    for encryption in [Encryption::Require, Encryption::VerifyCa, Encryption::VerifyFull] {
        let location = changed(&location, |known| {
            known.encryption = encryption;
            known.root_certificate = Some(server.folder().join("authority.pem"));
        });
        let error = Ledger::open(&location).unwrap_err().to_string();
        assert!(error.contains("TLS"), "{error}");
    }
    Ledger::open(changed(&location, |known| known.encryption = Encryption::Prefer)).unwrap();
}

#[test]
fn a_commit_whose_answer_is_lost_is_looked_up() {
    let Some(place) = Place::database() else { return };
    let proxy = Proxy::start(server_of(&place.location).port);
    let through = changed(&place.location, |server| server.port = proxy.port);
    let price = money("0.01 USD");
    let mut kept = 0;
    for shared in [false, true] {
        let mut ledger = if shared {
            let mut ledger = Ledger::open_shared(&through).unwrap();
            ledger.lead(1, "leader", at(NEXT)).unwrap();
            ledger
        } else {
            Ledger::open(&through).unwrap()
        };
        for fate in [Fate::AnswerLost, Fate::Lost, Fate::Arrives, Fate::AnswerLost] {
            proxy.next_commit(fate);
            let told = ledger.reserve(&payer(), "Query", price, None, at(NEXT));
            assert!(proxy.has_struck(), "{fate:?}");
            assert_eq!(told.is_ok(), fate != Fate::Lost, "{fate:?}: {told:?}");
            kept += u64::from(told.is_ok());
            assert_eq!(held_requests(&ledger), kept, "{fate:?}");
        }
    }
}

/// The schedule that came with the report stands, so that it is not polled and paid for again.
#[test]
fn a_report_whose_commit_was_in_doubt_for_long_is_no_failed_poll_where_it_was_kept() {
    let Some(place) = Place::database() else { return };
    let proxy = Proxy::start(server_of(&place.location).port);
    let mut ledger =
        Ledger::open(changed(&place.location, |server| server.port = proxy.port)).unwrap();
    let report = report(&[1], &[(1, "EC2", "10")], "2026-11-02T08:00:00Z");
    let (now, soon, next) = ("2026-11-02T08:00:01Z", "2026-11-02T08:01:01Z", NEXT);
    let fails = |ledger: &mut Ledger, now: &str, soon: &str| {
        let kind = SourceErrorKind::Unavailable;
        while let Err(error) = ledger.record_failure(&payer(), at(now), kind, "lost", at(soon)) {
            assert!(error.to_string().contains("next attempt"), "{error}");
            std::thread::park_timeout(PAUSE);
        }
        let entry = ledger.schedule(&payer()).unwrap();
        (entry.next_poll, entry.failures)
    };
    proxy.next_commit(Fate::Lost);
    ledger.commit(&report, Some(at(next))).unwrap_err();
    assert_eq!(fails(&mut ledger, now, soon), (Some(at(soon)), 1));
    assert_eq!(rows(&ledger, &by_service()), []);

    proxy.next_commit(Fate::AnswerLostForLong);
    let told = ledger.commit(&report, Some(at(next)));
    assert!(matches!(told, Err(LedgerError::InDoubt { .. })), "{told:?}");
    proxy.open();
    assert_eq!(fails(&mut ledger, now, soon), (Some(at(next)), 0));
    assert_eq!(rows(&ledger, &by_service()), [line(1, "EC2", "10")]);
    // Only that one is forgiven.
    assert_eq!(fails(&mut ledger, now, soon), (Some(at(soon)), 1));
}

#[test]
fn a_writer_does_not_settle_on_a_server_that_takes_no_writes() {
    let Some(server) = Postgres::start(&["fsync=off"]) else { return };
    let database = server.new_database();
    let location = server.location(&database);
    let mut ledger = Ledger::open(&location).unwrap();
    let write = |ledger: &mut Ledger| {
        let written = ledger.reschedule(&payer(), at(NEXT));
        written.map_err(|error| error.to_string())
    };
    let until = |ledger: &mut Ledger, wanted: &dyn Fn(&Result<(), String>) -> bool| {
        let mut told = BTreeSet::new();
        for _ in 0..600 {
            let written = write(ledger);
            if wanted(&written) {
                return;
            }
            told.insert(format!("{written:?}"));
            std::thread::park_timeout(PAUSE);
        }
        panic!("{told:?}");
    };
    let refused = |written: &Result<(), String>| {
        written.as_ref().is_err_and(|error| {
            error.contains("does not allow writes") || error.contains("next attempt")
        })
    };
    // As a standby, and as a server that has become one, under a session that stands.
    server.sql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on");
    server.sql("postgres", "SELECT pg_reload_conf()");
    until(&mut ledger, &|written| written.is_err());
    until(&mut ledger, &refused);
    let error = Ledger::open(&location).unwrap_err().to_string();
    assert!(error.contains("give the primary's address"), "{error}");
    Ledger::open_read_only(&location).unwrap();
    server.sql("postgres", "ALTER SYSTEM RESET default_transaction_read_only");
    server.sql("postgres", "SELECT pg_reload_conf()");
    until(&mut ledger, &Result::is_ok);

    // As where a name leads to a standby after a lost connection: what a session begins with, it
    // keeps.
    server.sql(
        "postgres",
        &format!("ALTER DATABASE {database} SET default_transaction_read_only = on"),
    );
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    server.sql(&database, cut);
    until(&mut ledger, &refused);
    server
        .sql("postgres", &format!("ALTER DATABASE {database} RESET default_transaction_read_only"));
    until(&mut ledger, &Result::is_ok);
}

#[test]
fn gpu_time_whose_commit_was_in_doubt_for_long_is_added_once() {
    use costband::domain::gpu_time::{GpuState, GpuTime, StateTime};
    use costband::domain::node::Fleet;

    let Some(place) = Place::database() else { return };
    let proxy = Proxy::start(server_of(&place.location).port);
    let mut ledger =
        Ledger::open(changed(&place.location, |server| server.port = proxy.port)).unwrap();
    let time = |node: &str, milliseconds| {
        let mut time = StateTime::default();
        time.add(GpuState::Busy, milliseconds);
        let fleet = Fleet {
            provider: None,
            cluster: "video".to_owned(),
            instance_type: None,
            region_id: None,
            capacity_type: CapacityType::OnDemand,
            model: "H100".to_owned(),
        };
        GpuTime { day: day(1), fleet, node: node.to_owned(), held_by: None, time }
    };
    let total = |ledger: &Ledger| -> u64 {
        ledger.gpu_totals().unwrap().iter().map(|(_, time)| time.total()).sum()
    };
    // Who asks for the marks begins anew: nothing is handed over again, and nothing taken off.
    proxy.next_commit(Fate::AnswerLostForLong);
    let told = ledger.keep_gpu_time(&[time("n1", 7)], &[], &[]);
    assert!(matches!(told, Err(LedgerError::InDoubt { .. })), "{told:?}");
    proxy.open();
    while let Err(error) = ledger.gpu_marks() {
        assert!(error.to_string().contains("next attempt"), "{error}");
        std::thread::park_timeout(PAUSE);
    }
    ledger.keep_gpu_time(&[time("n1", 20)], &[], &[]).unwrap();
    assert_eq!(total(&ledger), 27);

    for (fate, first, all) in [
        (Fate::AnswerLostForLong, 1_000, 1_627),
        (Fate::Lost, 10, 1_697),
        (Fate::Arrives, 5, 1_762),
    ] {
        proxy.next_commit(fate);
        let told = ledger.keep_gpu_time(&[time("n1", first)], &[], &[]);
        let again = match (&told, fate) {
            (Ok(()), Fate::Arrives) => 0,
            (Err(LedgerError::InDoubt { .. }), Fate::AnswerLostForLong) => first,
            (Err(LedgerError::Database { .. }), Fate::Lost) => first,
            _ => panic!("{fate:?}: {told:?}"),
        };
        proxy.open();
        // As its caller does: the same again, with what came since.
        let more = [time("n1", again + 500), time("n2", 100)];
        let more = if fate == Fate::AnswerLostForLong {
            more
        } else {
            [time("n1", again + 50), time("n2", 10)]
        };
        while let Err(error) = ledger.keep_gpu_time(&more, &[], &[]) {
            assert!(error.to_string().contains("next attempt"), "{error}");
            std::thread::park_timeout(PAUSE);
        }
        assert_eq!(total(&ledger), all, "{fate:?}");
    }
}

/// A leader whose commit is in doubt while another one takes over is not told that it was kept.
#[test]
fn a_commit_that_another_leader_wrote_over_is_an_error() {
    let Some(place) = Place::database() else { return };
    let proxy = Proxy::start(server_of(&place.location).port);
    let mut old =
        Ledger::open_shared(changed(&place.location, |server| server.port = proxy.port)).unwrap();
    old.lead(1, "old", at(NEXT)).unwrap();
    proxy.next_commit(Fate::Lost);
    let mut new = Ledger::open_shared(&place.location).unwrap();
    new.lead(2, "new", at(NEXT)).unwrap();
    old.reschedule(&payer(), at(NEXT)).unwrap_err();
    assert_eq!(new.schedule(&payer()).unwrap().next_poll, None);
}
