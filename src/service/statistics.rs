//! Statistics of one webhook: attempts by the hour, and how long its receiver takes.

use std::time::Duration;

use serde::Serialize;

use super::error::Error;
use super::tenant::Tenant;
use crate::model::{Attempt, DeliveryQuery, HookId, PageRequest, Scope, Timestamp, millis};
use crate::registry::Refusal;
use crate::store::Statistics;

/// The most attempts that are measured.
const MAX_MEASURED: usize = 200;
/// The most pages of deliveries that are looked at for them.
const MAX_PAGES: usize = 4;

/// How long the last attempts at a webhook took, from [`Tenant::latency`].
///
/// A percentile is the shortest time within which that share of the attempts ended. The JSON form has the times in
/// milliseconds, as `p50_ms`, `p95_ms` and `p99_ms`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// The number of attempts that were measured.
    pub attempts: usize,
    /// The median.
    #[serde(rename = "p50_ms", with = "millis")]
    pub p50: Duration,
    /// The 95th percentile.
    #[serde(rename = "p95_ms", with = "millis")]
    pub p95: Duration,
    /// The 99th percentile.
    #[serde(rename = "p99_ms", with = "millis")]
    pub p99: Duration,
}

impl Latency {
    /// Measures the last of these attempts, whatever their outcomes; `None` without any.
    fn of(mut attempts: Vec<Attempt>) -> Option<Self> {
        attempts.retain(|attempt| !attempt.outcome.is_local());
        attempts.sort_unstable_by_key(|attempt| std::cmp::Reverse(attempt.at));
        attempts.truncate(MAX_MEASURED);
        let mut took: Vec<_> = attempts.iter().map(|attempt| attempt.took).collect();
        took.sort_unstable();
        let percentile = |percent: usize| took.get((took.len() * percent).div_ceil(100).checked_sub(1)?);
        Some(Self {
            attempts: took.len(),
            p50: *percentile(50)?,
            p95: *percentile(95)?,
            p99: *percentile(99)?,
        })
    }
}

impl Tenant {
    /// Returns the attempts at a webhook and their successes by the hour, from the hour of `since` on, and the start of the
    /// last success.
    ///
    /// An attempt counts once its outcome is recorded, in the hour in which it started, by the clock of the service. Retries
    /// and redeliveries count, pings do not. Dispatchers add what they have counted once a minute, when they are shut down,
    /// and at the end of [`deliver_due`](crate::Webhooks::deliver_due): the numbers are late by up to a minute. They are
    /// never too high. A dispatcher that is killed, or whose store fails just then, loses the counts of its last minute;
    /// the log of deliveries loses nothing. Hours are kept as long as events, by
    /// [`Policy::with_keep`](crate::policy::Policy::with_keep).
    ///
    /// ```
    /// # async fn show(acme: hookwire::Tenant, hook_id: hookwire::HookId) -> Result<(), hookwire::Error> {
    /// use std::time::{Duration, SystemTime};
    ///
    /// let day = Duration::from_secs(24 * 60 * 60);
    /// for count in acme.statistics(hook_id, SystemTime::now() - day).await?.hours {
    ///     println!("{}: {} of {} succeeded", count.hour.start(), count.successes, count.attempts);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound), [`MissingScope`](crate::ErrorKind::MissingScope),
    /// [`Store`](crate::ErrorKind::Store).
    pub async fn statistics(
        &self,
        hook_id: HookId,
        since: impl Into<Timestamp>,
    ) -> Result<Statistics, Error> {
        self.require(Scope::Read)?;
        let statistics = self.core.store().statistics(&self.id, hook_id, since.into()).await?;
        statistics.ok_or_else(|| Refusal::NotFound(hook_id).into())
    }

    /// Measures how long the last 200 attempts at a webhook took; `None` if the log has none.
    ///
    /// Attempts that were answered count with those that failed: one that timed out took its whole deadline. Those that
    /// failed on the sender's own side ([`Local`](crate::model::FailureKind::Local),
    /// [`Prepare`](crate::model::FailureKind::Prepare)) tell nothing of the receiver, and do not count. It looks at the
    /// webhook's last 1,000 deliveries: of one with more that wait it may measure fewer attempts, or none.
    ///
    /// ```
    /// # async fn show(acme: hookwire::Tenant, hook_id: hookwire::HookId) -> Result<(), hookwire::Error> {
    /// if let Some(latency) = acme.latency(hook_id).await? {
    ///     println!("19 of 20 attempts end within {:?}", latency.p95);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`statistics`](Self::statistics).
    pub async fn latency(&self, hook_id: HookId) -> Result<Option<Latency>, Error> {
        self.require(Scope::Read)?;
        self.get_registered(hook_id).await?;
        let first = PageRequest::first().with_limit(PageRequest::MAX_LIMIT);
        let mut query = DeliveryQuery::new().webhook(hook_id).page(first);
        let mut measured = Vec::new();
        for _ in 0..MAX_PAGES {
            let page = self.core.store().deliveries(&self.id, &query).await?;
            let tried = page.items.iter().filter(|delivery| delivery.attempts > 0);
            let tried: Vec<_> = tried.map(|delivery| delivery.id).collect();
            measured.extend(self.attempts_of(&tried).await?.into_iter().flatten());
            let next = page.next.filter(|_| measured.len() < MAX_MEASURED);
            let Some(next) = next else { break };
            query.page = PageRequest::after(next).with_limit(PageRequest::MAX_LIMIT);
        }
        Ok(Latency::of(measured))
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::model::{FailureKind, Outcome};

    fn attempt(second: i64, took: u64, outcome: Outcome) -> Attempt {
        let (at, took) = (Timestamp::from_secs(second), Duration::from_millis(took));
        Attempt { number: 1, at, took, uncounted: 0, outcome }
    }

    fn answered(second: i64, took: u64) -> Attempt {
        attempt(second, took, Outcome::answered(StatusCode::OK, None, ""))
    }

    fn failed(second: i64, took: u64, kind: FailureKind) -> Attempt {
        attempt(second, took, Outcome::Failed { kind, detail: String::new() })
    }

    fn percentiles(attempts: Vec<Attempt>) -> Option<(usize, [u128; 3])> {
        let Latency { attempts, p50, p95, p99 } = Latency::of(attempts)?;
        Some((attempts, [p50, p95, p99].map(|it| it.as_millis())))
    }

    #[test]
    fn percentiles_are_times_within_which_so_many_ended() {
        assert_eq!(percentiles(Vec::new()), None);
        assert_eq!(percentiles(vec![answered(0, 7)]), Some((1, [7, 7, 7])));
        assert_eq!(percentiles(vec![answered(0, 9), answered(0, 7)]), Some((2, [7, 9, 9])));
        let hundred = (1..=100).rev().map(|took| answered(0, took)).collect();
        assert_eq!(percentiles(hundred), Some((100, [50, 95, 99])));
    }

    #[test]
    fn the_last_attempts_count_and_none_that_failed_on_our_own_side() {
        let old = (0..50).map(|second| answered(second, 1_000));
        let new = (50..250).map(|second| answered(second, 5));
        assert_eq!(percentiles(old.chain(new).collect()), Some((200, [5, 5, 5])));
        let late = failed(9, 15_000, FailureKind::Timeout);
        assert_eq!(percentiles(vec![answered(0, 5), late.clone()]), Some((2, [5, 15_000, 15_000])));
        let ours = [FailureKind::Local, FailureKind::Prepare].map(|kind| failed(0, 0, kind));
        assert_eq!(percentiles(ours.to_vec()), None);
        assert_eq!(percentiles([ours.to_vec(), vec![late]].concat()), Some((1, [15_000; 3])));
    }
}
