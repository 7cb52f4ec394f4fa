//! The result of many deliveries to one server, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use hookwire::model::{FailureKind, Outcome};

/// Of so many attempts one may fail because the server closed a kept connection after the request was written to it.
const ONE_BROKEN_OF: usize = 1000;

/// The failures that a server's operator causes, and no client can avoid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "the cases of the tests")]
pub enum Allowed {
    /// Connections that break off after a request was written to them, fewer than one of 1,000 attempts.
    Broken,
    /// Connections that break off, or are refused: the server is down.
    Down,
    /// Answers 429 and 503, and as many connections that break off as of a server that does not limit.
    Limited,
}

/// The result of many deliveries to one server.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "plain numbers, for tests alone")]
pub struct Tally {
    /// How many deliveries there should be.
    pub wanted: usize,
    /// How many deliveries ended as delivered.
    pub delivered: usize,
    /// How many deliveries had not ended when patience did.
    pub pending: usize,
    /// Those among `delivered` that the server has not in its log.
    pub unknown: usize,
    /// How many requests were made.
    pub attempts: usize,
    /// How those ended that failed.
    pub failures: Vec<Outcome>,
    /// The versions of HTTP in the log of the server.
    pub protocols: BTreeSet<String>,
    /// How many processes of the server are in its log.
    pub processes: usize,
}

impl Tally {
    /// Returns what is wrong, in words: nothing may be lost, and no attempt may fail in a way that is not `allowed`.
    pub fn faults(&self, allowed: Allowed) -> Vec<String> {
        let lost = self.wanted.saturating_sub(self.delivered + self.pending);
        let mut faults = Vec::new();
        faults.extend(some(lost, "deliveries are lost: they did not end as delivered"));
        faults.extend(some(self.pending, "deliveries did not end in time"));
        faults.extend(some(self.unknown, "deliveries are lost: delivered, and not in the log of the server"));
        for (outcome, count) in
            counts(self.failures.iter().filter(|it| !allowed.has(it)).map(Outcome::to_string))
        {
            faults.push(format!("{count} attempts failed without need: {outcome}"));
        }
        let broken = self.failures.iter().filter(|it| is_broken(it)).count();
        if allowed != Allowed::Down && broken * ONE_BROKEN_OF >= self.attempts.max(1) {
            faults.push(format!("{broken} of {} attempts broke off, which is too many", self.attempts));
        }
        faults
    }

    /// Returns how often attempts failed, by the words for how.
    pub fn failure_counts(&self) -> BTreeMap<String, usize> {
        counts(self.failures.iter().map(in_full))
    }
}

impl Allowed {
    fn has(self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Answered { status, .. } => {
                self == Self::Limited && [429, 503].contains(&status.as_u16())
            }
            Outcome::Failed { kind: FailureKind::Protocol, .. } => true,
            // A server may go in the middle of a handshake too.
            Outcome::Failed { kind: FailureKind::Connect | FailureKind::Tls, .. } => self == Self::Down,
            Outcome::Failed { .. } => false,
        }
    }
}

const fn is_broken(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed { kind: FailureKind::Protocol, .. })
}

fn in_full(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered { .. } => outcome.to_string(),
        Outcome::Failed { detail, .. } => detail.clone(),
    }
}

fn counts(words: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

fn some(count: usize, what: &str) -> Option<String> {
    (count > 0).then(|| format!("{count} {what}"))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn failed(kind: FailureKind) -> Outcome {
        Outcome::Failed { kind, detail: String::new() }
    }

    fn answered(status: StatusCode) -> Outcome {
        Outcome::answered(status, None, "")
    }

    /// Everything delivered, after these failures.
    fn tally(failures: Vec<Outcome>) -> Tally {
        let attempts = 10_000 + failures.len();
        Tally { wanted: 10_000, delivered: 10_000, attempts, failures, ..Tally::default() }
    }

    #[test]
    fn nothing_lost_and_few_connections_broken_is_no_fault() {
        let tally = tally(vec![failed(FailureKind::Protocol); 10]);
        for allowed in [Allowed::Broken, Allowed::Down, Allowed::Limited] {
            assert_eq!(tally.faults(allowed), [""; 0]);
        }
    }

    #[test]
    fn one_broken_connection_in_a_thousand_attempts_is_a_fault_unless_the_server_is_down() {
        let tally = tally(vec![failed(FailureKind::Protocol); 11]);
        let fault = "11 of 10011 attempts broke off, which is too many";
        assert_eq!(tally.faults(Allowed::Broken), [fault]);
        assert_eq!(tally.faults(Allowed::Limited), [fault]);
        assert_eq!(tally.faults(Allowed::Down), [""; 0]);
    }

    #[test]
    fn whatever_is_not_delivered_is_lost() {
        let tally = Tally { delivered: 9_999, ..tally(vec![]) };
        assert_eq!(tally.faults(Allowed::Down), ["1 deliveries are lost: they did not end as delivered"]);
    }

    #[test]
    fn whatever_does_not_end_in_time_is_a_fault() {
        let tally = Tally { delivered: 9_998, pending: 2, ..tally(vec![]) };
        assert_eq!(tally.faults(Allowed::Down), ["2 deliveries did not end in time"]);
    }

    #[test]
    fn what_the_server_has_not_in_its_log_is_lost() {
        let tally = Tally { unknown: 2, ..tally(vec![]) };
        let fault = "2 deliveries are lost: delivered, and not in the log of the server";
        assert_eq!(tally.faults(Allowed::Down), [fault]);
    }

    #[test]
    fn a_refused_connection_is_a_fault_unless_the_server_is_down() {
        let tally = tally(vec![failed(FailureKind::Connect)]);
        let fault = "1 attempts failed without need: could not connect";
        assert_eq!(tally.faults(Allowed::Broken), [fault]);
        assert_eq!(tally.faults(Allowed::Limited), [fault]);
        assert_eq!(tally.faults(Allowed::Down), [""; 0]);
    }

    #[test]
    fn a_limit_is_a_fault_unless_the_server_limits() {
        let statuses = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        let tally = tally(statuses.map(answered).to_vec());
        assert_eq!(tally.faults(Allowed::Limited), [""; 0]);
        assert_eq!(tally.faults(Allowed::Broken).len(), 2);
        assert_eq!(tally.faults(Allowed::Down).len(), 2);
    }

    #[test]
    fn other_failures_are_faults_always() {
        let outcomes = [failed(FailureKind::Timeout), answered(StatusCode::BAD_GATEWAY)];
        let tally = tally(outcomes.to_vec());
        for allowed in [Allowed::Broken, Allowed::Down, Allowed::Limited] {
            assert_eq!(tally.faults(allowed).len(), 2, "{allowed:?}");
        }
    }
}
