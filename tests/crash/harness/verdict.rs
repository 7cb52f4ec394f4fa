//! The promises, checked on the ledger.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Arrival, Book, Change, Delivery};
use super::watched::LEASE;

/// What is wrong with all that happened; nothing, if every promise was kept.
pub(crate) fn judge(book: &Book) -> Vec<String> {
    let mut faults = lost(book);
    faults.extend(repeated(book));
    faults.extend(outdated(book));
    faults.extend(ended_twice(book));
    if !book.is_drained {
        faults.push("something is stuck: the last run did not come to an end".to_owned());
    }
    faults
}

/// What was confirmed, or is called delivered, must have arrived.
fn lost(book: &Book) -> Vec<String> {
    let arrived: BTreeSet<_> =
        book.arrivals.iter().filter(|it| it.is_success()).map(|it| &it.delivery).collect();
    let wanted = book.confirmed.iter().flat_map(|(message, hooks)| {
        hooks.iter().map(|hook| Delivery { hook: hook.clone(), message: message.clone() })
    });
    let missing = wanted.filter(|it| !arrived.contains(it));
    let lost = missing.map(|it| format!("{} was confirmed, and never arrived at {}", it.message, it.hook));
    let invented = book.settled.iter().filter(|it| !arrived.contains(it));
    let invented =
        invented.map(|it| format!("{} is called delivered, and never arrived at {}", it.message, it.hook));
    lost.chain(invented).collect()
}

/// A request is sent only while its claim holds.
fn outdated(book: &Book) -> Vec<String> {
    let late = book.arrivals.iter().filter(|it| it.age > LEASE);
    let tell = |it: &Arrival| {
        let Delivery { hook, message } = &it.delivery;
        format!("{message} was sent to {hook} after its lease had ended, {:?} after its claim", it.age)
    };
    late.map(tell).collect()
}

/// Of several processes that held a delivery, one ends it.
fn ended_twice(book: &Book) -> Vec<String> {
    let mut ended = BTreeSet::new();
    let ends = book.claims.iter().filter(|it| it.change == Change::Ended).map(|it| &it.delivery);
    let again = ends.filter(|it| !ended.insert(*it));
    again.map(|it| format!("{} was ended twice for {}", it.message, it.hook)).collect()
}

/// A delivery may come again after it has succeeded only if its first process was killed, or stood still, before it was
/// known to be settled.
fn repeated(book: &Book) -> Vec<String> {
    let mut succeeded: BTreeMap<&Delivery, &Arrival> = BTreeMap::new();
    let mut faults = Vec::new();
    for arrival in &book.arrivals {
        if let Some(first) = succeeded.get(&arrival.delivery) {
            faults.extend(wrong_repeat(book, first, arrival));
        }
        if arrival.is_success() {
            succeeded.insert(&arrival.delivery, arrival);
        }
    }
    faults
}

fn wrong_repeat(book: &Book, first: &Arrival, again: &Arrival) -> Option<String> {
    let Delivery { hook, message } = &again.delivery;
    if again.was_settled {
        return Some(format!("{message} came to {hook} again after it was settled"));
    }
    let was_broken_off = book.killed.contains(&first.process) || book.stopped.contains(&first.process);
    let was_in_flight = first.process != again.process && was_broken_off;
    (!was_in_flight)
        .then(|| format!("{message} came to {hook} again though no kill broke off its first delivery"))
}
