//! Upkeep: expires, cancels and removes what is over, and repairs lanes.

use std::time::Duration;

use async_trait::async_trait;
use hookwire::model::TenantId;
use hookwire::store::TendRequest;

use crate::connection::session::{MUCH_WITHIN, Operation, Tx};
use crate::error::{QueryError, ReadRow};
use crate::registry;
use crate::route::release_routing_lease;
use crate::rows::{LaneId, as_i64, event, event_columns, ids};
use crate::schedule::lanes::{self, EarliestDue, free, half, kind, place_free, slot_free, unheld};

/// Ends waiting deliveries that have expired. Held ones are ended by their holders. No lane is locked: the next claim
/// finds out that a lane has less than it says.
pub(crate) struct Expire(pub(crate) usize);

/// Ends waiting deliveries of dropped backlogs.
pub(crate) struct EndDropped(pub(crate) usize);

/// Removes events whose deliveries ended long ago. Returns the number of them, and of those that it looked at.
pub(crate) struct Remove(pub(crate) TendRequest);

/// Removes payloads of events whose deliveries ended long ago. Returns the number of them, and of the events that it looked
/// at.
pub(crate) struct Strip(pub(crate) TendRequest);

/// Repairs lanes that do not say what waits in them. Returns the last lane that it looked at, if there are more.
pub(crate) struct Repair {
    pub(crate) after: LaneId,
    pub(crate) limit: usize,
}

/// Erases some of a tenant's data, and returns whether there is more.
pub(crate) struct Erase {
    pub(crate) tenant: TenantId,
    pub(crate) limit: usize,
}

#[async_trait]
impl Operation for Expire {
    type Output = usize;

    fn within(&self) -> Duration {
        MUCH_WITHIN
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<usize, QueryError> {
        let (now, limit) = (tx.now().await?, as_i64(self.0));
        let aside = count(tx.run(EXPIRE_ASIDE, &[&now, &limit]).await?)?;
        Ok(aside + count(tx.run(EXPIRE, &[&now, &limit]).await?)?)
    }
}

#[async_trait]
impl Operation for EndDropped {
    type Output = usize;

    fn within(&self) -> Duration {
        MUCH_WITHIN
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<usize, QueryError> {
        let now = tx.now().await?;
        let mut swept = 0;
        for row in tx.rows(DROPPED, &[&as_i64(self.0)]).await? {
            let (lane, below): (LaneId, i64) = (row.read("lane")?, row.read("below")?);
            let room = as_i64(self.0.saturating_sub(swept));
            swept += count(tx.run(SWEEP, &[&lane, &below, &now, &room]).await?)?;
            if swept >= self.0 {
                break;
            }
            tx.run(SWEPT, &[&lane, &below]).await?;
        }
        Ok(swept)
    }
}

#[async_trait]
impl Operation for Remove {
    type Output = (usize, usize);

    fn within(&self) -> Duration {
        MUCH_WITHIN
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<(usize, usize), QueryError> {
        let (removed, looked_at) = self.remove(tx, OLD).await?;
        let (stripped, also) = self.remove(tx, OLD_STRIPPED).await?;
        Ok((removed + stripped, looked_at.max(also)))
    }
}

impl Remove {
    async fn remove(&self, tx: &Tx<'_>, old: &str) -> Result<(usize, usize), QueryError> {
        let (ended, looked_at) = ended(tx, old, self.0.keep, self.0.limit).await?;
        remove_events(tx, &ended).await?;
        Ok((ended.len(), looked_at))
    }
}

/// Returns those of the events that ended longer ago than `keep`, and the number of events that it looked at.
///
/// An event with a pending delivery has not ended before now. It is looked at again when it would be old enough if it ended
/// now.
async fn ended(
    tx: &Tx<'_>,
    old: &str,
    keep: Duration,
    limit: usize,
) -> Result<(Vec<i64>, usize), QueryError> {
    let now = tx.now().await?;
    let before = now.minus(keep);
    let old = ids(&tx.rows(old, &[&before, &as_i64(limit)]).await?, "seq")?;
    if old.is_empty() {
        return Ok((old, 0));
    }
    tx.run(ALIVE, &[&old, &now]).await?;
    let ended = ids(&tx.rows(ENDED, &[&old, &before]).await?, "seq")?;
    Ok((ended, old.len()))
}

#[async_trait]
impl Operation for Strip {
    type Output = (usize, usize);

    fn within(&self) -> Duration {
        MUCH_WITHIN
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<(usize, usize), QueryError> {
        let (ended, looked_at) = ended(tx, OLD, self.0.keep_payloads, self.0.limit).await?;
        Ok((strip(tx, &ended).await?, looked_at))
    }
}

/// Removes the payloads of events, and returns the number of events.
pub(crate) async fn strip(tx: &Tx<'_>, events: &[i64]) -> Result<usize, QueryError> {
    for row in tx.rows(UNDIGESTED, &[&events]).await? {
        // The digest of no event, if it cannot be read: whatever comes under its id is another one.
        let digest = event(&row).map_or([0; 32], |event| event.digest());
        tx.run(DIGEST, &[&row.read::<i64>("seq")?, &&digest[..]]).await?;
    }
    count(tx.run(STRIP, &[&events]).await?)
}

#[async_trait]
impl Operation for Repair {
    type Output = Option<LaneId>;

    fn within(&self) -> Duration {
        MUCH_WITHIN
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<Option<LaneId>, QueryError> {
        let now = tx.now().await?;
        let looked_at = tx.rows(LOOK, &[&self.after, &as_i64(self.limit), &now]).await?;
        let mut wrong = Vec::new();
        for row in &looked_at {
            if row.read("is_wrong")? {
                wrong.push(row.read("id")?);
            }
        }
        let locked = lanes::lock_ids(tx, &wrong).await?;
        lanes::refresh(tx, &locked, now, EarliestDue::Unknown).await?;
        let last = looked_at.last().filter(|_| looked_at.len() >= self.limit);
        last.map(|row| row.read("id")).transpose()
    }
}

#[async_trait]
impl Operation for Erase {
    type Output = bool;

    fn within(&self) -> Duration {
        MUCH_WITHIN
    }

    async fn run(&self, tx: &Tx<'_>) -> Result<bool, QueryError> {
        let tenant = self.tenant.as_str();
        lanes::take_registry(tx, &self.tenant).await?;
        release_routing_lease(tx, &self.tenant).await?;
        let live = ids(&tx.rows(LIVE, &[&tenant]).await?, "id")?;
        if !live.is_empty() {
            registry::revise(tx, &self.tenant).await?;
        }
        let locked = lanes::lock_ids(tx, &live).await?;
        let now = tx.now().await?;
        for lane in locked {
            registry::delete_lane(tx, lane, now).await?;
        }
        // One event more than the limit shows whether there is more.
        let mut events =
            ids(&tx.rows(SOME, &[&tenant, &as_i64(self.limit.saturating_add(1))]).await?, "seq")?;
        let has_more = events.len() > self.limit;
        events.truncate(self.limit);
        remove_events(tx, &events).await?;
        Ok(has_more)
    }
}

/// Removes events with their deliveries, held ones too.
async fn remove_events(tx: &Tx<'_>, events: &[i64]) -> Result<(), QueryError> {
    if events.is_empty() {
        return Ok(());
    }
    let lanes: Vec<LaneId> = ids(&tx.rows(LANES, &[&events]).await?, "lane")?;
    // Of two transactions that remove the last deliveries of a deleted lane, the later has to see that it is empty.
    tx.run(LOCK_DELETED, &[&lanes]).await?;
    let deliveries = ids(&tx.rows(DELIVERIES, &[&events]).await?, "id")?;
    tx.run("DELETE FROM attempt WHERE delivery = ANY ($1)", &[&deliveries]).await?;
    tx.run("DELETE FROM delivery WHERE id = ANY ($1)", &[&deliveries]).await?;
    tx.run("DELETE FROM event WHERE seq = ANY ($1)", &[&events]).await?;
    registry::forget_lanes(tx, &lanes).await
}

fn count(rows: u64) -> Result<usize, QueryError> {
    Ok(usize::try_from(rows)?)
}

const EXPIRE: &str = concat!(
    "
    UPDATE delivery SET state = 5, holder = NULL, held_until = NULL, ended_at = $1 WHERE id IN (
        SELECT delivery.id FROM delivery JOIN lane ON lane.id = lane AND lane.epoch = delivery.epoch
        WHERE state = 0 AND expires <= $1 AND ",
    unheld!("$1"),
    "
        ORDER BY expires LIMIT $2 FOR UPDATE OF delivery SKIP LOCKED)"
);

/// One of a dropped backlog ended when the new epoch began.
const EXPIRE_ASIDE: &str = "
    UPDATE delivery SET state = CASE WHEN lane.epoch = delivery.epoch THEN 5 ELSE 2 END,
        ended_at = CASE WHEN lane.epoch = delivery.epoch THEN $1 ELSE epoch_at END
    FROM lane WHERE lane.id = delivery.lane AND delivery.id IN (
        SELECT id FROM delivery WHERE state = 1 AND expires <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

const DROPPED: &str = "SELECT lane, below FROM dropped ORDER BY lane LIMIT $1 FOR UPDATE SKIP LOCKED";

/// They ended when the new epoch began, as the log said before.
const SWEEP: &str = concat!(
    "
    UPDATE delivery SET state = 2, holder = NULL, held_until = NULL, ended_at = lane.epoch_at FROM lane
    WHERE lane.id = $1 AND delivery.id IN (
        SELECT id FROM delivery
        WHERE lane = $1 AND epoch < $2 AND state = 0 AND ",
    unheld!("$3"),
    "
        LIMIT $4 FOR UPDATE SKIP LOCKED)"
);

/// Held deliveries may still come to wait there.
const SWEPT: &str = "DELETE FROM dropped WHERE lane = $1 AND below = $2 \
    AND NOT EXISTS (SELECT FROM delivery WHERE delivery.lane = $1 AND epoch < $2 AND state = 0)";

/// Finds events that have their payloads.
const OLD: &str = "SELECT seq FROM event WHERE routed_at IS NOT NULL AND payload <> '' AND alive_at < $1 \
    ORDER BY alive_at LIMIT $2 FOR UPDATE SKIP LOCKED";

/// Finds events whose payloads were removed.
const OLD_STRIPPED: &str = "SELECT seq FROM event WHERE routed_at IS NOT NULL AND payload = '' AND alive_at < $1 \
    ORDER BY alive_at LIMIT $2 FOR UPDATE SKIP LOCKED";

/// Finds those that the function `publish` wrote: once the payload is gone, the digest tells what they were.
const UNDIGESTED: &str =
    concat!("SELECT seq, ", event_columns!(), " FROM event WHERE seq = ANY ($1) AND digest IS NULL");

const DIGEST: &str = "UPDATE event SET digest = $2 WHERE seq = $1";

const STRIP: &str = "UPDATE event SET payload = '' WHERE seq = ANY ($1)";

const ALIVE: &str = "
    UPDATE event SET alive_at = last.alive_at
    FROM (SELECT event, CASE WHEN min(state) < 2 THEN $2 ELSE least(max(ended_at), $2) END AS alive_at
        FROM delivery WHERE event = ANY ($1) GROUP BY event) AS last
    WHERE seq = ANY ($1) AND seq = last.event AND event.alive_at < last.alive_at";

const ENDED: &str = "SELECT seq FROM event WHERE seq = ANY ($1) AND alive_at < $2";

/// Finds lanes whose `wake_at` is missing or later than their first due delivery. Ready lanes are not read: claims look
/// at them anyway.
const LOOK: &str = concat!(
    "
    SELECT lane.id, heads.at IS NOT NULL AND greatest(heads.at, paused_until, ",
    slot_free!("$3"),
    ", ",
    place_free!("$3"),
    ") < coalesce(wake_at, 9223372036854775807) AS is_wrong
    FROM lane CROSS JOIN LATERAL (
        SELECT min(free.at) AS at FROM (VALUES (0), (1)) AS half (kind) ",
    free!("-9223372036854775808", "$3"),
    ") AS heads
    WHERE lane.id > $1 AND status = 1 AND NOT ready ORDER BY lane.id LIMIT $2"
);

const LIVE: &str = "SELECT id FROM lane WHERE tenant = $1 AND status < 2 ORDER BY id";

const SOME: &str = "SELECT seq FROM event WHERE tenant = $1 ORDER BY seq LIMIT $2 FOR UPDATE";

const LANES: &str = "SELECT DISTINCT lane FROM delivery WHERE event = ANY ($1)";

const LOCK_DELETED: &str = "SELECT FROM lane WHERE id = ANY ($1) AND status = 2 ORDER BY id FOR UPDATE";

const DELIVERIES: &str = "SELECT id FROM delivery WHERE event = ANY ($1) ORDER BY id FOR UPDATE";

/// Returns the statements of upkeep that go through backlogs, for a test that reads their plans.
#[doc(hidden)]
pub fn upkeep_statements() -> Vec<(&'static str, String)> {
    [("look", LOOK), ("sweep", SWEEP), ("swept", SWEPT)].map(|(name, sql)| (name, sql.to_owned())).to_vec()
}
