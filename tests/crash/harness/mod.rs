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
mod verdict;

pub(crate) use ledger::{Delivery, Ledger};
pub(crate) use process::{Process, Scratch, end_with_parent};
pub(crate) use rounds::Rounds;
pub(crate) use verdict::judge;

/// Runs the cases whose names hold the first argument that is no option, as the usual harness does. The
/// first that fails ends the process.
pub(crate) fn run_cases(cases: &[(&str, fn())]) {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (name, case) in cases.iter().filter(|(name, _)| name.contains(&wanted)) {
        case();
        println!("test {name} ... ok");
    }
}
