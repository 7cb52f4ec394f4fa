//! A process that stands still for longer than its leases hold, while another takes its deliveries over, and then
//! goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::host::{Bug, LIMITED, Part, Task};
use super::ledger::{Book, Change, Delivery, Ledger};
use super::receiver::Receiver;
use super::start;
use super::verdict::judge;

/// Longer than whatever is waited for takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The process that stands still, and the one that takes over.
const STILL: u32 = 1;
const OTHER: u32 = 2;

/// Runs it with a host that has this bug, on the store at `place`, and tells what is wrong.
///
/// The receiver has asked for fewer requests, so that the process has one of its deliveries on the wire when it is
/// stopped, and the others in its memory.
pub(crate) fn run(bug: Bug, place: &str) -> Vec<String> {
    let ledger = Arc::new(Ledger::default());
    let receiver = Receiver::start(&ledger);
    let task = |part, process| Task { bug, part, process, url: receiver.url() };
    start(place, &task(Part::Publishes, 0), &ledger).finish();
    let still = start(place, &task(Part::Delivers, STILL), &ledger);
    let has_one_on_the_wire =
        |book: &Book| book.arrivals.len() > LIMITED && book.held(STILL).len() == LIMITED;
    assert!(ledger.wait(TIMEOUT, has_one_on_the_wire), "it holds too little: {}", ledger.book().tally());
    still.stop();
    ledger.stopped(STILL);
    let held = ledger.book().held(STILL);
    let other = start(place, &task(Part::Drains, OTHER), &ledger);
    assert!(ledger.wait(TIMEOUT, |book| book.is_drained), "nobody takes over: {}", ledger.book().tally());
    other.finish();
    still.resume();
    assert!(ledger.wait(TIMEOUT, |book| book.held(STILL).is_empty()), "it does not go on");
    still.kill();
    let book = ledger.book();
    println!("{}", book.tally());
    let mut faults = judge(&book);
    faults.extend(unfenced(&book, &held));
    faults
}

/// What it held when it was stopped was ended by the other, and its own settlements came to nothing.
fn unfenced(book: &Book, held: &BTreeSet<Delivery>) -> Vec<String> {
    let of = |process, wanted| -> BTreeSet<&Delivery> {
        let changes = book.claims.iter().filter(|it| (it.process, it.change) == (process, wanted));
        changes.map(|it| &it.delivery).collect()
    };
    let (fenced, ended) = (of(STILL, Change::Fenced), of(OTHER, Change::Ended));
    let wrong = held.iter().filter(|it| !fenced.contains(it) || !ended.contains(it));
    wrong.map(|it| format!("{} was not taken over for {}, or not fenced", it.message, it.hook)).collect()
}
