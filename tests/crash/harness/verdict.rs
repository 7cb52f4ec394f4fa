//! The promises, checked on the ledger.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Arrival, Book, Delivery};

/// What is wrong with all that happened; nothing, if every promise was kept.
pub(crate) fn judge(book: &Book) -> Vec<String> {
    let mut faults = lost(book);
    faults.extend(repeated(book));
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

/// A delivery may come again after it has succeeded only if its first process was killed before it was known
/// to be settled.
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
    let was_in_flight = first.process != again.process && book.killed.contains(&first.process);
    (!was_in_flight)
        .then(|| format!("{message} came to {hook} again though no kill broke off its first delivery"))
}
