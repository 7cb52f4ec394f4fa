//! Rounds of kills on the embedded store: one process at a time, on one file.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::harness::host::{Bug, Task};
use crate::harness::{Fleet, Ledger, Process, Receiver, Scratch, judge};
use crate::program;

pub(crate) fn nothing_confirmed_is_lost_by_kills() {
    let seed = number("HOOKWIRE_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let rounds = number("HOOKWIRE_ROUNDS").unwrap_or(50);
    println!("{rounds} rounds; again with HOOKWIRE_SEED={seed}");
    let (faults, tally) = run(Bug::None, rounds, seed, Duration::from_secs(60));
    println!("{tally}");
    assert!(faults.is_empty(), "{} faults: {faults:#?}", faults.len());
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Kills so often, lets what is left be delivered within `patience`, and tells what is wrong, and how much
/// happened.
pub(crate) fn run(bug: Bug, rounds: u64, seed: u64, patience: Duration) -> (Vec<String>, String) {
    let (ledger, scratch) = (Arc::new(Ledger::default()), Scratch::new("rounds"));
    let receiver = Receiver::start(&ledger);
    let task = Task { bug, drains: false, process: 0, url: receiver.url() };
    let (file, first, heard) = (scratch.file(), task.clone(), Arc::clone(&ledger));
    let mut fleet =
        Fleet::new(1, seed, &ledger, move |process| start(&file, &Task { process, ..first.clone() }, &heard));
    (1..rounds).for_each(|_| fleet.kill_one());
    fleet.kill_all();
    let last = start(&scratch.file(), &Task { drains: true, process: u32::MAX, ..task }, &ledger);
    if ledger.wait(patience, |book| book.is_drained) {
        last.finish()
    } else {
        last.kill()
    }
    let book = ledger.book();
    (judge(&book), book.tally())
}

fn start(file: &Path, task: &Task, ledger: &Arc<Ledger>) -> Process {
    let (file, ledger) = (file.to_str().expect("UTF-8"), Arc::clone(ledger));
    let arguments = program::arguments(file, task);
    Process::start("host", &arguments, move |line| ledger.note(line.parse().expect("a word of ours")))
}
