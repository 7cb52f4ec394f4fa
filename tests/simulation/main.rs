//! Simulated worlds of services on paused time, each drawn from one seed, and the promises that hold in all of them.
//!
//! `HOOKWIRE_SEEDS=20000` runs that many worlds, `HOOKWIRE_SEED=7` that one with its whole trace when it
//! fails.

mod actor;
mod acts;
mod bug;
mod catches;
mod ledger;
mod play;
mod prng;
mod process;
mod receivers;
mod store;
mod verdict;
mod world;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use play::play;

/// Runs the world of a seed. Returns its first violation, and how to replay it.
fn complaint(seed: u64, last: usize) -> Option<String> {
    let Ok(ending) = catch_unwind(AssertUnwindSafe(|| play(seed, None))) else {
        return Some(format!("seed {seed} panicked; {}", command(seed)));
    };
    let first = ending.violations.first()?;
    let trace = &ending.lines[ending.lines.len().saturating_sub(last)..];
    let count = ending.violations.len();
    Some(format!("{}\nseed {seed}, {count} violations: {first}\n{}", trace.join("\n"), command(seed)))
}

fn command(seed: u64) -> String {
    format!("replay: HOOKWIRE_SEED={seed} cargo test --features testing --test simulation every_promise")
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn every_promise_holds_in_every_world() {
    if let Some(seed) = number_from("HOOKWIRE_SEED") {
        let complaint = complaint(seed, usize::MAX);
        return assert!(complaint.is_none(), "{}", complaint.unwrap_or_default());
    }
    let seeds = number_from("HOOKWIRE_SEEDS").unwrap_or(500);
    let next = AtomicU64::new(0);
    let draw = || Some(next.fetch_add(1, Ordering::SeqCst)).filter(|seed| *seed < seeds);
    let work = || std::iter::from_fn(draw).filter_map(|seed| complaint(seed, 0)).collect::<Vec<_>>();
    let workers = thread::available_parallelism().map_or(1, Into::into);
    let complaints: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("panics are caught")).collect()
    });
    assert!(complaints.is_empty(), "{} of {seeds} failed\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        let first = play(seed, None);
        let second = play(seed, None);
        let differs = first.lines.iter().zip(&second.lines).find(|(one, other)| one != other);
        assert_eq!(first.hash, second.hash, "seed {seed} differs at {differs:?}");
    }
}

/// Worlds in which nothing happens would keep every promise.
#[test]
fn whatever_can_happen_does() {
    let mut missing: BTreeSet<&str> = HAPPENINGS.into_iter().collect();
    for seed in 0..200 {
        let ending = play(seed, None);
        missing.retain(|what| !ending.lines.iter().any(|line| line.contains(what)));
        if missing.is_empty() {
            return;
        }
    }
    panic!("these never happen: {missing:?}");
}

/// The texts that must appear in some line of some trace.
const HAPPENINGS: [&str; 31] = [
    " begins",
    "Again(",
    "Ended(Cancelled)",
    "Ended(Delivered)",
    "Ended(Exhausted)",
    "Ended(Expired)",
    "Fenced",
    "MessageIdReused",
    "NotFound",
    "Release",
    "Store",
    "answered 2",
    "answered 302",
    "answered 400",
    "answered 410",
    "answered 429",
    "answered 500",
    "answered 503",
    "broken off",
    "confirmed, false",
    "confirmed, true",
    "connection broke off",
    "could not connect",
    "given up",
    "kill p",
    "publish unrouted",
    "stop the dispatcher of p",
    "timed out",
    "Drop: ok",
    "redeliver 1: ok",
    "patch 1: ok",
];
