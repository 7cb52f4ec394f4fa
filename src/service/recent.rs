//! [`RecentAttempts`]: how a webhook has answered of late.

use std::time::Duration;

use serde::Serialize;

use super::error::Error;
use super::tenant::Tenant;
use crate::model::{Attempt, DeliveryQuery, HookId, PageRequest, Scope, Timestamp, millis};

/// The number of attempts that are looked at.
const MOST: usize = 200;
/// The number of deliveries that are looked at, of which most have one attempt.
const MOST_DELIVERIES: usize = 2 * MOST;

/// What the last attempts at a webhook have come to: see [`Tenant::recent_attempts`].
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecentAttempts {
    /// The number of attempts: at most 200.
    pub attempts: usize,
    /// The number of those that were answered with a 2xx status.
    pub successes: usize,
    /// When the last of these began; `None` if there is none among them.
    pub last_success_at: Option<Timestamp>,
    /// The time that attempts took, successful or not; `None` if there is none.
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
    /// Returns what the last 200 attempts at a webhook have come to, of its newest deliveries: how many succeeded, when the
    /// last one did, and how long they took. It reads the log.
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
            let Some(next) = listed.next.filter(|_| attempts.len() < MOST && seen < MOST_DELIVERIES) else {
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
        attempts.truncate(MOST);
        let successes = || attempts.iter().filter(|attempt| attempt.outcome.is_success());
        Self {
            attempts: attempts.len(),
            successes: successes().count(),
            last_success_at: successes().map(|attempt| attempt.at).max(),
            took: Percentiles::of(attempts.iter().map(|attempt| attempt.took).collect()),
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
    use crate::model::Outcome;

    fn attempt(second: i64, status: u16, millis: u64) -> Attempt {
        let status = StatusCode::from_u16(status).expect("a status");
        let outcome = Outcome::answered(status, None, "");
        let (at, took) = (Timestamp::from_secs(second), Duration::from_millis(millis));
        Attempt { number: 1, at, took, uncounted: 0, outcome }
    }

    #[test]
    fn the_last_attempts_are_counted_whatever_came_of_them() {
        assert_eq!(RecentAttempts::of(Vec::new()), RecentAttempts::default());
        // The first hundred are too old, and so is the last success among them.
        let many = (1..=300).map(|second| {
            let status = if second % 4 == 0 && second < 280 { 204 } else { 500 };
            attempt(second, status, u64::try_from(second).expect("small"))
        });
        let recent = RecentAttempts::of(many.collect());
        assert_eq!((recent.attempts, recent.successes), (200, 44));
        assert_eq!(recent.last_success_at, Some(Timestamp::from_secs(276)));
        let ms = Duration::from_millis;
        assert_eq!(recent.took, Some(Percentiles { p50: ms(200), p95: ms(290), p99: ms(298) }));
        let json = serde_json::to_value(&recent).expect("JSON");
        assert_eq!(json["took"], serde_json::json!({"p50": 200, "p95": 290, "p99": 298}));
    }

    #[test]
    fn of_one_attempt_all_percentiles_are_its_time() {
        let recent = RecentAttempts::of(vec![attempt(1, 200, 7)]);
        let seven = Duration::from_millis(7);
        assert_eq!(recent.took, Some(Percentiles { p50: seven, p95: seven, p99: seven }));
    }
}
