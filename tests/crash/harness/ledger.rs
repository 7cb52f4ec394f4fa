//! Everything that processes told and that the receiver saw.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Request;

/// A message for a webhook, by the last segment of its URL.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Delivery {
    pub(crate) hook: String,
    pub(crate) message: String,
}

/// What a process tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Word {
    /// Something came of a claim.
    Claim { process: u32, change: Change, delivery: Delivery },
    /// `publish` has returned; these webhooks are to get the message.
    Confirmed(String, Vec<String>),
    /// Nothing is left to do.
    Drained,
    /// The store says that it was delivered.
    Settled(Delivery),
}

/// What came of a claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// The process has it.
    Claimed,
    /// It ended the delivery.
    Ended,
    /// Its settlement came too late.
    Fenced,
    /// The delivery waits again.
    Waits,
}

/// A change of a claim, by the process whose claim it was.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) process: u32,
    pub(crate) change: Change,
    pub(crate) delivery: Delivery,
}

/// A request as the receiver saw it.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) delivery: Delivery,
    pub(crate) process: u32,
    /// The time since it was claimed, when it was sent.
    pub(crate) age: Duration,
    pub(crate) status: u16,
    /// Whether it was known by then that the delivery had been settled.
    pub(crate) was_settled: bool,
}

/// What has been told and seen, by all threads of the parent.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    book: Mutex<Book>,
    news: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) confirmed: BTreeMap<String, Vec<String>>,
    pub(crate) settled: BTreeSet<Delivery>,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) claims: Vec<Claimed>,
    pub(crate) killed: BTreeSet<u32>,
    /// How many kills in a row have hit what is not settled since.
    pub(crate) hits: BTreeMap<Delivery, u32>,
    pub(crate) stopped: BTreeSet<u32>,
    pub(crate) is_drained: bool,
}

impl Ledger {
    pub(crate) fn note(&self, word: Word) {
        let mut book = self.book();
        match word {
            Word::Claim { process, change, delivery } => {
                if matches!(change, Change::Ended | Change::Waits) {
                    book.hits.remove(&delivery);
                }
                book.claims.push(Claimed { process, change, delivery });
            }
            Word::Confirmed(message, hooks) => drop(book.confirmed.insert(message, hooks)),
            Word::Drained => book.is_drained = true,
            Word::Settled(delivery) => drop(book.settled.insert(delivery)),
        }
        self.news.notify_all();
    }

    pub(crate) fn killed(&self, process: u32) {
        self.book().killed.insert(process);
    }

    /// Waits until what so many kills in a row have hit is settled. What is not settled by then has ended before, and the
    /// word of it was lost with its process.
    pub(crate) fn wait_for_hits(&self, most: Duration, hits: u32) {
        if !self.wait(most, |book| book.most_hits() < hits) {
            self.book().hits.retain(|_, it| *it < hits);
        }
    }

    /// Counts what a process held that was killed, once all is heard that it told.
    pub(crate) fn count_hits(&self, process: u32) {
        let mut book = self.book();
        for delivery in book.held(process) {
            *book.hits.entry(delivery).or_default() += 1;
        }
    }

    pub(crate) fn stopped(&self, process: u32) {
        self.book().stopped.insert(process);
        self.news.notify_all();
    }

    /// Notes a request of a claim of this age. Its status depends on how often the receiver has seen the delivery.
    pub(crate) fn arrived(
        &self,
        delivery: Delivery,
        (process, age): (u32, Duration),
        status: impl FnOnce(usize) -> u16,
    ) -> u16 {
        let mut book = self.book();
        let before = book.arrivals.iter().rev().filter(|it| it.delivery == delivery).count();
        let (status, was_settled) = (status(before), book.settled.contains(&delivery));
        book.arrivals.push(Arrival { delivery, process, age, status, was_settled });
        self.news.notify_all();
        status
    }

    /// Waits until so much has been told and seen; false when that takes longer than `most`.
    pub(crate) fn wait(&self, most: Duration, is_enough: impl Fn(&Book) -> bool) -> bool {
        let waited = self.news.wait_timeout_while(self.book(), most, |book| !is_enough(book));
        is_enough(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Whoever panics here fails the test anyway.
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Delivery {
    /// What a request delivers.
    pub(crate) fn of<B>(request: &Request<B>) -> Option<Self> {
        let message = request.headers().get("webhook-id")?.to_str().ok()?.to_owned();
        Some(Self { hook: request.uri().path().trim_start_matches('/').to_owned(), message })
    }
}

impl Book {
    /// What a process has claimed and not settled.
    pub(crate) fn held(&self, process: u32) -> BTreeSet<Delivery> {
        let mut held = BTreeSet::new();
        for claim in self.claims.iter().filter(|it| it.process == process) {
            if claim.change == Change::Claimed {
                held.insert(claim.delivery.clone());
            } else {
                held.remove(&claim.delivery);
            }
        }
        held
    }

    /// The most kills in a row that have hit what is not known to be settled since.
    pub(crate) fn most_hits(&self) -> u32 {
        let waiting = self.hits.iter().filter(|(delivery, _)| !self.settled.contains(delivery));
        waiting.map(|(_, hits)| *hits).max().unwrap_or_default()
    }

    /// How much happened.
    pub(crate) fn tally(&self) -> String {
        let (confirmed, settled) = (self.confirmed.len(), self.settled.len());
        let (requests, killed) = (self.arrivals.len(), self.killed.len());
        let fenced = self.claims.iter().filter(|it| it.change == Change::Fenced).count();
        let distinct: BTreeSet<_> =
            self.arrivals.iter().filter(|it| it.is_success()).map(|it| &it.delivery).collect();
        let repeats = self.arrivals.iter().filter(|it| it.is_success()).count() - distinct.len();
        format!(
            "{confirmed} confirmed, {requests} requests, {repeats} repeated, {settled} known settled, \
            {fenced} fenced, {killed} killed"
        )
    }
}

impl Arrival {
    pub(crate) const fn is_success(&self) -> bool {
        self.status < 300
    }
}

impl Change {
    fn named(name: &str) -> Option<Self> {
        let all = [Self::Claimed, Self::Ended, Self::Fenced, Self::Waits];
        all.into_iter().find(|it| format!("{it:?}") == name)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim { process, change, delivery } => {
                write!(f, "claim {process} {change:?} {} {}", delivery.message, delivery.hook)
            }
            Self::Confirmed(message, hooks) => write!(f, "confirmed {message} {}", hooks.join(" ")),
            Self::Drained => f.write_str("drained"),
            Self::Settled(it) => write!(f, "settled {} {}", it.message, it.hook),
        }
    }
}

impl FromStr for Word {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["claim", process, change, message, hook] => Ok(Self::Claim {
                process: process.parse().map_err(|_| format!("no number: {line}"))?,
                change: Change::named(change).ok_or_else(|| format!("no change: {line}"))?,
                delivery: Delivery { hook: hook.to_owned(), message: message.to_owned() },
            }),
            ["confirmed", message, ..] => Ok(Self::Confirmed(message.to_owned(), words[2..].to_vec())),
            ["drained"] => Ok(Self::Drained),
            ["settled", message, hook] => {
                Ok(Self::Settled(Delivery { hook: hook.to_owned(), message: message.to_owned() }))
            }
            _ => Err(format!("no word of a process: {line}")),
        }
    }
}
