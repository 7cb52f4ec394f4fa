//! [`RecentAttempts`]: how a webhook has answered of late.

use std::time::Duration;

use serde::Serialize;

use super::error::Error;
use super::tenant::Tenant;
use crate::model::{Attempt, DeliveryQuery, HookId, PageRequest, Scope, millis};

/// The number of attempts that are looked at.
const MAX_ATTEMPTS: usize = 200;
/// The number of deliveries that are looked at for them: the newest may still wait for their first attempts.
const MAX_DELIVERIES: usize = 1000;

/// What the last attempts at a webhook have come to: see [`Tenant::recent_attempts`].
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecentAttempts {
    /// The number of attempts: at most 200.
    pub attempts: usize,
    /// The number of those that were answered with a 2xx status.
    pub successes: usize,
    /// The time that attempts took, successful or not; `None` if there is none. Those that failed on the sender's own side
    /// ([`Local`](crate::model::FailureKind::Local), [`Prepare`](crate::model::FailureKind::Prepare)) tell nothing of the
    /// receiver, and are left out.
    pub took: Option<Percentiles>,
}

/// The times that half, 95 % and 99 % of attempts did not exceed. In JSON they are milliseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Percentiles {
    /// The median.
    #[serde(serialize_with = "millis::serialize")]
    pub p50: Duration,
    /// Of 95 %.
    #[serde(serialize_with = "millis::serialize")]
    pub p95: Duration,
    /// Of 99 %.
    #[serde(serialize_with = "millis::serialize")]
    pub p99: Duration,
}

impl Tenant {
    /// Returns what the last 200 attempts at a webhook have come to: how many succeeded, and how long they took.
    ///
    /// It reads the log, of the webhook's newest 1,000 deliveries: where most of these still wait, it finds fewer attempts.
    /// [`statistics`](Self::statistics) counts all attempts by the hour, and [`details`](Self::details) has the last success.
    ///
    /// ```
    /// # async fn run(acme: hookwire::Tenant, hook_id: hookwire::HookId) -> Result<(), hookwire::Error> {
    /// let recent = acme.recent_attempts(hook_id).await?;
    /// println!("{} of {} succeeded", recent.successes, recent.attempts);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound), [`MissingScope`](crate::ErrorKind::MissingScope),
    /// [`Store`](crate::ErrorKind::Store).
    pub async fn recent_attempts(&self, hook_id: HookId) -> Result<RecentAttempts, Error> {
        self.require(Scope::Read)?;
        self.get_registered(hook_id).await?;
        let (mut page, mut seen, mut attempts) = (PageRequest::first(), 0, Vec::new());
        loop {
            page = page.with_limit(PageRequest::MAX_LIMIT);
            let query = DeliveryQuery::new().webhook(hook_id).page(page);
            let listed = self.deliveries_with_attempts(&query).await?;
            seen += listed.items.len();
            attempts.extend(listed.items.into_iter().flat_map(|it| it.attempts));
            let Some(next) = listed.next.filter(|_| attempts.len() < MAX_ATTEMPTS && seen < MAX_DELIVERIES)
            else {
                return Ok(RecentAttempts::of(attempts));
            };
            page = PageRequest::after(next);
        }
    }
}

impl RecentAttempts {
    /// Counts the last of these.
    fn of(mut attempts: Vec<Attempt>) -> Self {
        attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.at));
        attempts.truncate(MAX_ATTEMPTS);
        let measured = attempts.iter().filter(|attempt| !attempt.outcome.is_local());
        Self {
            attempts: attempts.len(),
            successes: attempts.iter().filter(|attempt| attempt.outcome.is_success()).count(),
            took: Percentiles::of(measured.map(|attempt| attempt.took).collect()),
        }
    }
}

impl Percentiles {
    fn of(mut took: Vec<Duration>) -> Option<Self> {
        took.sort_unstable();
        let at = |percent: usize| took.get((took.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { p50: at(50)?, p95: at(95)?, p99: at(99)? })
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::model::{FailureKind, Outcome, Timestamp};

    fn attempt(second: i64, outcome: Outcome, millis: u64) -> Attempt {
        let (at, took) = (Timestamp::from_secs(second), Duration::from_millis(millis));
        Attempt { number: 1, at, took, uncounted: 0, outcome }
    }

    fn answered(second: i64, status: u16, millis: u64) -> Attempt {
        let status = StatusCode::from_u16(status).expect("a status");
        attempt(second, Outcome::answered(status, None, ""), millis)
    }

    fn failed(kind: FailureKind, millis: u64) -> Attempt {
        attempt(1, Outcome::Failed { kind, detail: String::new() }, millis)
    }

    #[test]
    fn the_last_attempts_are_counted_whatever_came_of_them() {
        assert_eq!(RecentAttempts::of(Vec::new()), RecentAttempts::default());
        // The first hundred are too old.
        let many = (1..=300).map(|second| {
            let status = if second % 4 == 0 && second < 280 { 204 } else { 500 };
            answered(second, status, u64::try_from(second).expect("small"))
        });
        let recent = RecentAttempts::of(many.collect());
        assert_eq!((recent.attempts, recent.successes), (200, 44));
        let ms = Duration::from_millis;
        assert_eq!(recent.took, Some(Percentiles { p50: ms(200), p95: ms(290), p99: ms(298) }));
        let json = serde_json::to_value(&recent).expect("JSON");
        assert_eq!(json["took"], serde_json::json!({"p50": 200, "p95": 290, "p99": 298}));
    }

    #[test]
    fn of_one_attempt_all_percentiles_are_its_time() {
        let recent = RecentAttempts::of(vec![answered(1, 200, 7)]);
        assert_eq!(recent.took, Some(all(7)));
    }

    #[test]
    fn what_fails_on_our_own_side_is_counted_and_not_measured() {
        let ours = [FailureKind::Local, FailureKind::Prepare].map(|kind| failed(kind, 1));
        let recent = RecentAttempts::of(ours.to_vec());
        assert_eq!((recent.attempts, recent.took), (2, None));
        let late = failed(FailureKind::Timeout, 15_000);
        let recent = RecentAttempts::of([ours.to_vec(), vec![late]].concat());
        assert_eq!((recent.attempts, recent.successes, recent.took), (3, 0, Some(all(15_000))));
    }

    fn all(millis: u64) -> Percentiles {
        let took = Duration::from_millis(millis);
        Percentiles { p50: took, p95: took, p99: took }
    }
}
