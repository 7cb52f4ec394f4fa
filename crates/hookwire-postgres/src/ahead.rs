//! Repair after the database's clock has stepped back: what lies too far ahead is brought back.
//!
//! All times are those of the database's clock. When it steps back, what was written before is due later by the step. A
//! short step is waited for. What would wait for longer than anybody asked for is due at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hookwire::delivery::Next;
use hookwire::store::Settlement;
use tracing::warn;

use crate::connection::session::{MUCH_WITHIN, Operation, Sessions, Tx};
use crate::error::{QueryError, ReadRow};
use crate::rows::{LaneId, as_i64, ids};
use crate::schedule::lanes::{self, EarliestDue, half, kind};
use crate::time::Millis;

/// The time that a claim is left when its lease is brought back: its holder may be at work on it.
const LEASE: Duration = Duration::from_secs(60 * 60);

/// The longest delay, in milliseconds, unless a longer one is asked for: that of column `settings.longest_delay`.
const USUAL: i64 = 48 * 60 * 60 * 1000;
/// The longest delay that is noted, in milliseconds: longer than any clock is ahead.
const MAX_NOTED: i64 = 1000 * 365 * 24 * 60 * 60 * 1000;

/// The longest delay that the schema is known to have noted, in milliseconds.
#[derive(Debug)]
pub(crate) struct LongestDelay(AtomicI64);

/// Brings back at most so many of each kind.
pub(crate) struct BringBack(pub(crate) usize);

/// What was brought back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BroughtBack {
    lanes: usize,
    deliveries: usize,
    events: usize,
}

impl Default for LongestDelay {
    fn default() -> Self {
        Self(AtomicI64::new(USUAL))
    }
}

impl LongestDelay {
    /// Notes the longest delay that these settlements ask for, before any delivery waits for it.
    pub(crate) async fn note(
        &self,
        sessions: &Sessions,
        items: &[Arc<Settlement>],
    ) -> Result<(), QueryError> {
        const NOTE: &str = "UPDATE settings SET longest_delay = greatest(longest_delay, $1)";
        let asked = items.iter().filter_map(|item| delay(item)).max().unwrap_or_default();
        let asked = i64::try_from(asked.as_millis()).unwrap_or(MAX_NOTED).min(MAX_NOTED);
        if asked > self.0.load(Ordering::Relaxed) {
            sessions.rows(NOTE, &[&asked]).await?;
            self.0.fetch_max(asked, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The longest time for which this settlement lets something wait.
fn delay(item: &Settlement) -> Option<Duration> {
    let after = match item.next {
        Next::Again(after) => Some(after),
        Next::End(_) | Next::Extend(_) | Next::Release => None,
    };
    after.max(item.backoff)
}

#[async_trait]
impl Operation for BringBack {
    type Output = BroughtBack;

    fn within(&self) -> Duration {
        MUCH_WITHIN
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<BroughtBack, QueryError> {
        let row = tx.first(BOUND, &[]).await?.ok_or_else(|| QueryError::corrupt("no settings"))?;
        let (now, bound): (Millis, Millis) = (row.read("now")?, row.read("bound")?);
        let limit = as_i64(self.0);
        tx.run(ROUTERS, &[&bound]).await?;
        let stripped = tx.run(STRIPPED_EVENTS, &[&bound, &now, &limit]).await?;
        let events = usize::try_from(stripped + tx.run(EVENTS, &[&bound, &now, &limit]).await?)?;
        let lanes = ids(&tx.rows(LANES, &[&bound, &limit]).await?, "id")?;
        let lanes = lanes::lock_ids(tx, &lanes).await?;
        let due = self.deliveries(tx, &lanes, bound, now).await?;
        let expiring = usize::try_from(tx.run(EXPIRING, &[&bound, &now, &limit]).await?)?;
        Ok(BroughtBack { lanes: lanes.len(), deliveries: due + expiring, events })
    }
}

impl BringBack {
    /// Makes the deliveries of lanes due. A lane that has more of them is left as it is, to be found again by the next step.
    async fn deliveries(
        &self,
        tx: &Tx<'_>,
        lanes: &[LaneId],
        bound: Millis,
        now: Millis,
    ) -> Result<usize, QueryError> {
        if lanes.is_empty() {
            return Ok(0);
        }
        tx.run(BACKOFFS, &[&lanes, &bound]).await?;
        let due = usize::try_from(tx.run(DUE, &[&lanes, &bound, &now, &as_i64(self.0)]).await?)?;
        let held = usize::try_from(tx.run(LEASES, &[&lanes, &bound, &now, &now.plus(LEASE)]).await?)?;
        if due < self.0 {
            lanes::refresh(tx, lanes, now, EarliestDue::At(now)).await?;
        }
        Ok(due + held)
    }
}

impl BroughtBack {
    /// Whether there may be more than this step's limit.
    pub(crate) fn may_have_more(self, limit: usize) -> bool {
        [self.lanes, self.deliveries, self.events].iter().any(|it| *it >= limit)
    }

    /// Tells the operator.
    pub(crate) fn warn(self) {
        let Self { lanes, deliveries, events } = self;
        if lanes + deliveries + events > 0 {
            warn!(
                lanes,
                deliveries,
                events,
                "the database's clock was ahead; what waited for longer than any delay was brought back"
            );
        }
    }
}

const BOUND: &str = "SELECT now, now + longest_delay AS bound FROM settings, clock_ms() AS now";

/// The fences stay, so that the former holders do not get the leases back.
const ROUTERS: &str = "UPDATE tenant SET router = NULL, router_until = NULL WHERE router_until > $1";

const EVENTS: &str = "UPDATE event SET alive_at = $2 WHERE seq IN (
    SELECT seq FROM event WHERE routed_at IS NOT NULL AND payload <> '' AND alive_at > $1
    ORDER BY alive_at LIMIT $3 FOR UPDATE SKIP LOCKED)";

const STRIPPED_EVENTS: &str = "UPDATE event SET alive_at = $2 WHERE seq IN (
    SELECT seq FROM event WHERE routed_at IS NOT NULL AND payload = '' AND alive_at > $1
    ORDER BY alive_at LIMIT $3 FOR UPDATE SKIP LOCKED)";

/// A lane in which something is due before is looked at when its turn has come.
const LANES: &str = "SELECT id FROM lane WHERE wake_at > $1 ORDER BY wake_at LIMIT $2";

const BACKOFFS: &str = "UPDATE lane SET paused_until = NULL WHERE id = ANY ($1) AND paused_until > $2";

const DUE: &str = concat!(
    "UPDATE delivery SET due = $3 WHERE id IN (
        SELECT late.id FROM lane CROSS JOIN (VALUES (0), (1)) AS half (kind) CROSS JOIN LATERAL (
            SELECT id FROM delivery ",
    half!(),
    " AND due > $2
            ORDER BY due, id LIMIT $4
        ) AS late
        WHERE lane.id = ANY ($1) LIMIT $4
    ) AND state = 0"
);

/// Nothing else is due in these lanes.
const LEASES: &str = "UPDATE delivery SET held_until = $4 FROM lane
    WHERE lane.id = ANY ($1) AND delivery.lane = lane.id AND delivery.epoch = lane.epoch AND state = 0
        AND due <= $3 AND held_until > $2";

/// Those that were created by a clock that was ahead are among the last to expire.
const EXPIRING: &str =
    "UPDATE delivery SET created_at = $2, expires = expires - created_at + $2 WHERE id IN (
    SELECT id FROM (
        SELECT id, created_at FROM delivery WHERE state = 0 ORDER BY expires DESC LIMIT $3
        FOR UPDATE SKIP LOCKED
    ) AS latest WHERE created_at > $1)";
