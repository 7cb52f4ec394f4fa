//! Planted faults: a test that never fails proves nothing.

use std::time::Duration;

use crate::harness::host::Bug;
use crate::harness::{Change, Delivery, Ledger, Rounds, Scratch, Word, judge};

/// A few rounds with a host that has this bug must complain in these words.
fn catches(bug: Bug, words: &str) {
    let scratch = Scratch::new("catches");
    Rounds::planted(bug, 1).must_complain(&scratch.place(), words);
}

pub(crate) fn a_message_that_is_confirmed_too_early() {
    catches(Bug::ConfirmsEarly, "was confirmed, and never arrived");
}

pub(crate) fn a_delivery_that_is_made_again() {
    catches(Bug::DeliversAgain, "again after it was settled");
}

pub(crate) fn a_delivery_that_is_stuck() {
    catches(Bug::SleepsAtTheEnd, "something is stuck");
}

pub(crate) fn a_delivery_that_comes_twice_without_its_kill() {
    for (killed, faults) in [(1, 0), (2, 1)] {
        let ledger = Ledger::default();
        let delivery = Delivery { hook: "steady".to_owned(), message: "m".to_owned() };
        ledger.arrived(delivery.clone(), (1, Duration::ZERO), |_| 200);
        ledger.killed(killed);
        ledger.arrived(delivery, (3, Duration::ZERO), |_| 200);
        ledger.note("drained".parse().expect("a word"));
        let judged = judge(&ledger.book());
        assert_eq!(judged.len(), faults, "{killed} was killed: {judged:?}");
    }
}

pub(crate) fn a_settlement_that_is_not_fenced() {
    for (again, faults) in [(Change::Fenced, 0), (Change::Ended, 1)] {
        let ledger = Ledger::default();
        let delivery = Delivery { hook: "steady".to_owned(), message: "m".to_owned() };
        for (process, change) in [(1, Change::Claimed), (2, Change::Claimed), (2, Change::Ended), (1, again)]
        {
            ledger.note(Word::Claim { process, change, delivery: delivery.clone() });
        }
        ledger.note(Word::Drained);
        let judged = judge(&ledger.book());
        assert_eq!(judged.len(), faults, "{again:?}: {judged:?}");
    }
}
