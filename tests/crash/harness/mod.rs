//! What a parent needs to kill processes and to judge what came of it, whatever store they share.
//!
//! A [`fleet::Fleet`] of processes, each a [`host`] on the store that it opened, tells what it knows by lines on
//! standard output ([`Word`]); requests carry their process's number. All of it goes into the [`Ledger`],
//! which [`judge`] reads at the end.

mod fleet;
pub(crate) mod host;
mod ledger;
mod process;
mod receiver;
mod rounds;
#[allow(dead_code, reason = "it needs a store that processes share")]
pub(crate) mod standstill;
mod verdict;
mod watched;

pub(crate) use ledger::{Change, Delivery, Ledger, Word};
pub(crate) use process::{Process, Scratch, end_with_parent};
pub(crate) use rounds::Rounds;
pub(crate) use verdict::judge;

use std::sync::Arc;

/// Starts a host on the store at `place`, which tells the ledger.
fn start(place: &str, task: &host::Task, ledger: &Arc<Ledger>) -> Process {
    let ledger = Arc::clone(ledger);
    Process::start("host", &task.arguments(place), move |line| {
        ledger.note(line.parse().expect("a word of ours"));
    })
}

/// Runs the cases whose names hold the first argument that is no option, as the usual harness does. The
/// first that fails ends the process.
pub(crate) fn run_cases(cases: &[(&str, fn())]) {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (name, case) in cases.iter().filter(|(name, _)| name.contains(&wanted)) {
        case();
        println!("test {name} ... ok");
    }
}
