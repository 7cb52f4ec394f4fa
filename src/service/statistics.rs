//! The attempts at one webhook, counted by the hour.

use super::error::Error;
use super::tenant::Tenant;
use crate::model::{HookId, Scope, Timestamp};
use crate::registry::Refusal;
use crate::store::Statistics;

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
    /// [`recent_attempts`](Self::recent_attempts) tells how long attempts take.
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
}
