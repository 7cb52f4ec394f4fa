//! A run of the test: rounds of kills, a last process that delivers the rest, and the verdict.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::fleet::Fleet;
use super::host::{Bug, Part, Task};
use super::ledger::Ledger;
use super::receiver::Receiver;
use super::start;
use super::verdict::judge;

/// Kills, and what is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    pub(crate) bug: Bug,
    /// How many processes there are at a time.
    pub(crate) processes: usize,
    pub(crate) kills: u64,
    pub(crate) seed: u64,
    /// How long the last process may take to deliver what is left.
    pub(crate) timeout: Duration,
}

impl Rounds {
    /// As many as the environment asks for, or 50, from its seed, or one of chance, which is printed.
    pub(crate) fn wanted(processes: usize) -> Self {
        let seed = number("HOOKWIRE_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
        let kills = number("HOOKWIRE_ROUNDS").unwrap_or(50);
        println!("{kills} rounds; again with HOOKWIRE_SEED={seed}");
        Self { bug: Bug::None, processes, kills, seed, timeout: Duration::from_secs(60) }
    }

    /// A few, with a host that has this bug. One that sleeps is not waited for as long.
    pub(crate) fn planted(bug: Bug, processes: usize) -> Self {
        let timeout = Duration::from_secs(if bug == Bug::SleepsAtTheEnd { 5 } else { 60 });
        Self { bug, processes, kills: 5, seed: 1, timeout }
    }

    /// Kills so often processes that share the store at `place`, lets what is left be delivered, and tells
    /// what is wrong, and how much happened.
    pub(crate) fn run(self, place: &str) -> (Vec<String>, String) {
        let ledger = Arc::new(Ledger::default());
        let receiver = Receiver::start(&ledger);
        let task = Task { bug: self.bug, part: Part::Registers, process: 0, url: receiver.url() };
        start(place, &task, &ledger).finish();
        let at = place.to_owned();
        let first = task.clone();
        let heard = Arc::clone(&ledger);
        let live = move |process| start(&at, &Task { part: Part::Lives, process, ..first.clone() }, &heard);
        let mut fleet = Fleet::new(self.processes, self.seed, &ledger, live);
        (self.processes as u64..self.kills).for_each(|_| fleet.kill_one());
        fleet.kill_all();
        let last = start(place, &Task { part: Part::Drains, process: u32::MAX, ..task }, &ledger);
        if ledger.wait(self.timeout, |book| book.is_drained) {
            last.finish();
        } else {
            last.kill();
        }
        let book = ledger.book();
        (judge(&book), book.tally())
    }

    /// All promises must be kept.
    pub(crate) fn must_hold(self, place: &str) {
        let (faults, tally) = self.run(place);
        println!("{tally}");
        assert!(faults.is_empty(), "{} faults: {faults:#?}", faults.len());
    }

    /// The planted bug must be complained of in these words.
    pub(crate) fn must_complain(self, place: &str, words: &str) {
        let (faults, tally) = self.run(place);
        let is_seen = faults.iter().any(|fault| fault.contains(words));
        assert!(is_seen, "{:?} went unseen: {faults:?}, {tally}", self.bug);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}
