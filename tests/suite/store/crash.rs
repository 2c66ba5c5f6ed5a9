//! `kill -9` at random instants. A child process, this test binary started anew, commits and reserves
//! without end and prints what was acknowledged; the parent kills it and looks into the ledger.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use costband::domain::report::SourceReport;
use costband::store::{Ledger, Location};
use rust_decimal::Decimal;

use super::place::{contract, named, written};
use super::{NEXT, Seeded, at, by_region, by_service, decimal, folder, money, november, payer};

const CRASH_LEDGER: &str = "COSTBAND_TEST_CRASH_LEDGER";
/// The term that the child leads in; without it the child is alone.
const CRASH_TERM: &str = "COSTBAND_TEST_CRASH_TERM";
const CRASH_DAYS: i8 = 12;
const CRASH_KEYS: usize = 15;

/// A report in which every amount tells its number.
pub(super) fn numbered(number: u64) -> SourceReport {
    let amount = format!("{number}.25");
    let days: Vec<i8> = (1..=CRASH_DAYS).collect();
    let keys: Vec<String> = (0..CRASH_KEYS).map(|key| format!("key {key}")).collect();
    let rows: Vec<(i8, &str, &str)> = days
        .iter()
        .flat_map(|&number| keys.iter().map(move |key| (number, key.as_str())))
        .map(|(number, key)| (number, key, amount.as_str()))
        .collect();
    let mut report = super::report(&days, &rows, "2026-11-13T00:00:00Z");
    report.cursor = Some(number.to_string());
    report.window.end = super::day(CRASH_DAYS + 1);
    report
}

/// The number of the report that the ledger holds, after a look at every row: a window that is
/// half of one report and half of another fails here.
pub(super) fn held_number(ledger: &Ledger) -> u64 {
    let Some(cursor) = ledger.schedule(&payer()).unwrap().cursor else {
        assert_eq!(ledger.sources().unwrap(), []);
        return 0;
    };
    let wanted = decimal(&format!("{cursor}.25"));
    for breakdown in [by_service(), by_region()] {
        let mut count = 0;
        ledger
            .for_each_row_in_days(&breakdown, &november(), |row| {
                assert_eq!(row.amounts.billed, Some(wanted));
                count += 1;
            })
            .unwrap();
        assert_eq!(count, CRASH_KEYS * usize::try_from(CRASH_DAYS).unwrap());
    }
    let readings = ledger.day_readings(&payer(), &november()).unwrap();
    assert_eq!(readings.len(), usize::try_from(CRASH_DAYS).unwrap());
    for reading in readings {
        assert_eq!(reading.primary.billed, Some(wanted * Decimal::from(CRASH_KEYS)));
    }
    cursor.parse().unwrap()
}

pub(super) fn held_requests(ledger: &Ledger) -> u64 {
    let requests = ledger.requests_total(&payer()).unwrap().get("Query").copied().unwrap_or(0);
    let spent = ledger.spent(&payer(), at(NEXT)).unwrap();
    let amount = spent.first().map_or(Decimal::ZERO, |money| money.amount);
    assert_eq!(amount, Decimal::from(requests) * decimal("0.01"));
    requests
}

/// What the child does; without the variable it is a test that has nothing to do.
#[test]
fn crash_child() {
    let Ok(place) = std::env::var(CRASH_LEDGER) else { return };
    let mut ledger = match std::env::var(CRASH_TERM) {
        Ok(term) => {
            let mut ledger = Ledger::open_shared(named(&place)).unwrap();
            ledger.lead(term.parse().unwrap(), &format!("child {term}"), at(NEXT)).unwrap();
            ledger
        }
        Err(_) => Ledger::open(named(&place)).unwrap(),
    };
    let mut number = held_number(&ledger);
    let mut requests = held_requests(&ledger);
    loop {
        number += 1;
        ledger.commit(&numbered(number), Some(at(NEXT))).unwrap();
        println!("\nacknowledged commit {number}");
        for _ in 0..3 {
            ledger.reserve(&payer(), "Query", money("0.01 USD"), None, at(NEXT)).unwrap();
            requests += 1;
            println!("\nacknowledged reserve {requests}");
        }
    }
}

/// A child with the lines that it has acknowledged so far.
pub(super) struct Crashing {
    child: Child,
    lines: Receiver<String>,
    pub(super) commits: u64,
    pub(super) reserves: u64,
}

impl Crashing {
    fn start(place: &Location) -> Self {
        Self::start_in(place, None)
    }

    pub(super) fn start_in(place: &Location, term: Option<i64>) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::crash::crash_child", "--nocapture", "--test-threads=1"])
            .env(CRASH_LEDGER, written(place))
            .envs(term.map(|term| (CRASH_TERM, term.to_string())))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines, commits: 0, reserves: 0 }
    }

    fn note(&mut self, line: &str) -> bool {
        let number = |text: &str| text.parse().expect("a whole line has a whole number");
        if let Some(text) = line.strip_prefix("acknowledged commit ") {
            self.commits = number(text);
        } else if let Some(text) = line.strip_prefix("acknowledged reserve ") {
            self.reserves = number(text);
        } else {
            return false;
        }
        true
    }

    pub(super) fn wait_for_one(&mut self) {
        loop {
            match self.lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) if self.note(&line) => return,
                Ok(_) => {}
                Err(error) => panic!("the child acknowledged nothing: {error}"),
            }
        }
    }

    /// Kills the child and reads what it had still acknowledged.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => drop(self.note(&line)),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => panic!("the child's output does not end"),
            }
        }
    }
}

impl Drop for Crashing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

contract! {
    forty_kills_lose_nothing_that_was_acknowledged,
}

#[allow(clippy::disallowed_methods, reason = "a kill comes at a random instant")]
fn forty_kills_lose_nothing_that_was_acknowledged(path: &Location) {
    let mut random = Seeded(0x5eed_c057_ba9d);
    let (mut commits, mut reserves) = (0, 0);
    for round in 0..40 {
        let mut crashing = Crashing::start(path);
        (crashing.commits, crashing.reserves) = (commits, reserves);
        if round % 4 == 0 {
            // Also while it starts.
            std::thread::sleep(Duration::from_micros(random.below(60_000)));
        } else {
            crashing.wait_for_one();
            std::thread::sleep(Duration::from_micros(random.below(40_000)));
        }
        if round % 8 == 1 {
            held_number(&Ledger::open_read_only(path).unwrap());
        }
        crashing.kill();

        let ledger = Ledger::open(path).unwrap();
        let number = held_number(&ledger);
        let requests = held_requests(&ledger);
        let (told, paid) = (crashing.commits, crashing.reserves);
        assert!(number == told || number == told + 1, "round {round}: {told} told, {number} held");
        assert!(requests == paid || requests == paid + 1, "round {round}: {paid}, {requests}");
        (commits, reserves) = (number, requests);
        drop(ledger);
    }
    assert!(commits >= 30 && reserves > 0, "{commits} commits and {reserves} reservations");
}

#[test]
fn a_second_process_is_refused_with_the_pid_of_the_first() {
    let (_folder, path) = folder();
    let mut crashing = Crashing::start(&path.as_path().into());
    crashing.wait_for_one();
    let error = Ledger::open(&path).unwrap_err();
    let wanted = format!("process {} holds it", crashing.child.id());
    assert!(error.to_string().contains(&wanted), "{error}");
    held_number(&Ledger::open_read_only(&path).unwrap());
    crashing.kill();
    held_number(&Ledger::open(&path).unwrap());
}
