use async_trait::async_trait;
use hookwire::model::{TenantId, Timestamp};
use hookwire::store::TendRequest;
use tokio_postgres::Row;

use crate::fault::Fault;
use crate::lanes::{self, ANYTHING};
use crate::registry;
use crate::rows::{LaneId, whole};
use crate::session::{Tx, Work};

/// Ends waiting deliveries whose time is up; held ones are ended by whoever holds them. No lane is locked:
/// one that gives less than it says is found out by the next claim.
pub(crate) struct Expire(pub(crate) usize);

/// Ends what waits in backlogs that were dropped.
pub(crate) struct Sweep(pub(crate) usize);

/// Removes events of which everything ended long ago; gives how many, and how many it looked at.
pub(crate) struct Remove(pub(crate) TendRequest);

/// Looks whether lanes give what waits in them, and mends those that do not; gives the last it looked at,
/// if there are more.
pub(crate) struct Repair {
    pub(crate) after: LaneId,
    pub(crate) limit: usize,
}

/// Removes a part of what a tenant has, and tells whether there is more.
pub(crate) struct Erase {
    pub(crate) tenant: TenantId,
    pub(crate) limit: usize,
}

#[async_trait]
impl Work for Expire {
    type Done = usize;

    async fn on(&self, tx: &Tx<'_>) -> Result<usize, Fault> {
        count(tx.run(EXPIRE, &[&tx.now().await?, &whole(self.0)]).await?)
    }
}

#[async_trait]
impl Work for Sweep {
    type Done = usize;

    async fn on(&self, tx: &Tx<'_>) -> Result<usize, Fault> {
        let now = tx.now().await?;
        let mut swept = 0;
        for row in tx.rows(DROPPED, &[&whole(self.0)]).await? {
            let (lane, below): (LaneId, i64) = (row.try_get("lane")?, row.try_get("below")?);
            let room = whole(self.0.saturating_sub(swept));
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
impl Work for Remove {
    type Done = (usize, usize);

    /// An event of which something is pending now cannot have ended before now: it is looked at again when
    /// it would be old enough if it ended at once.
    async fn on(&self, tx: &Tx<'_>) -> Result<(usize, usize), Fault> {
        let now = tx.now().await?;
        let before = Timestamp::from_millis(now).minus(self.0.keep).as_millis();
        let old = ids(&tx.rows(OLD, &[&before, &whole(self.0.limit)]).await?, "seq")?;
        if old.is_empty() {
            return Ok((0, 0));
        }
        tx.run(ALIVE, &[&old, &now]).await?;
        let ended = ids(&tx.rows(ENDED, &[&old, &before]).await?, "seq")?;
        remove_events(tx, &ended).await?;
        Ok((ended.len(), old.len()))
    }
}

#[async_trait]
impl Work for Repair {
    type Done = Option<LaneId>;

    async fn on(&self, tx: &Tx<'_>) -> Result<Option<LaneId>, Fault> {
        let looked_at = tx.rows(LOOK, &[&self.after, &whole(self.limit)]).await?;
        let mut wrong = Vec::new();
        for row in &looked_at {
            if row.try_get("is_wrong")? {
                wrong.push(row.try_get("id")?);
            }
        }
        let locked: Vec<LaneId> = lanes::lock(tx, &wrong).await?.iter().map(|lane| lane.id).collect();
        lanes::refresh(tx, &locked, tx.now().await?, ANYTHING).await?;
        let last = looked_at.last().filter(|_| looked_at.len() >= self.limit);
        last.map(|row| Ok(row.try_get("id")?)).transpose()
    }
}

#[async_trait]
impl Work for Erase {
    type Done = bool;

    async fn on(&self, tx: &Tx<'_>) -> Result<bool, Fault> {
        let tenant = self.tenant.as_str();
        lanes::take_registry(tx, &self.tenant).await?;
        tx.run(RESIGN, &[&tenant]).await?;
        let live = ids(&tx.rows(LIVE, &[&tenant]).await?, "id")?;
        if !live.is_empty() {
            registry::revise(tx, &self.tenant).await?;
        }
        for lane in lanes::lock(tx, &live).await? {
            registry::delete_lane(tx, lane.id).await?;
        }
        // One more than asked for tells whether there is more.
        let mut events = ids(&tx.rows(SOME, &[&tenant, &whole(self.limit.saturating_add(1))]).await?, "seq")?;
        let has_more = events.len() > self.limit;
        events.truncate(self.limit);
        remove_events(tx, &events).await?;
        Ok(has_more)
    }
}

/// Removes events with their deliveries, held ones too.
async fn remove_events(tx: &Tx<'_>, events: &[i64]) -> Result<(), Fault> {
    if events.is_empty() {
        return Ok(());
    }
    let lanes: Vec<LaneId> = ids(&tx.rows(LANES, &[&events]).await?, "lane")?;
    // Of two that remove the last deliveries of a deleted lane, the later has to see that it is empty.
    tx.run(LOCK_DELETED, &[&lanes]).await?;
    let deliveries = ids(&tx.rows(DELIVERIES, &[&events]).await?, "id")?;
    tx.run("DELETE FROM attempt WHERE delivery = ANY ($1)", &[&deliveries]).await?;
    tx.run("DELETE FROM delivery WHERE id = ANY ($1)", &[&deliveries]).await?;
    tx.run("DELETE FROM event WHERE seq = ANY ($1)", &[&events]).await?;
    registry::forget_lanes(tx, &lanes).await
}

fn ids(rows: &[Row], column: &str) -> Result<Vec<i64>, Fault> {
    rows.iter().map(|row| Ok(row.try_get(column)?)).collect()
}

fn count(rows: u64) -> Result<usize, Fault> {
    Ok(usize::try_from(rows)?)
}

const EXPIRE: &str = "
    UPDATE delivery SET state = 5, holder = NULL, ended_at = $1 WHERE id IN (
        SELECT delivery.id FROM delivery JOIN lane ON lane.id = lane AND lane.epoch = delivery.epoch
        WHERE state = 0 AND expires <= $1 AND (holder IS NULL OR due <= $1)
        ORDER BY expires LIMIT $2 FOR UPDATE OF delivery SKIP LOCKED)";

const DROPPED: &str = "SELECT lane, below FROM dropped ORDER BY lane LIMIT $1 FOR UPDATE SKIP LOCKED";

/// They ended when the new epoch began, as they read before.
const SWEEP: &str = "
    UPDATE delivery SET state = 2, holder = NULL, ended_at = lane.epoch_at FROM lane
    WHERE lane.id = $1 AND delivery.id IN (
        SELECT id FROM delivery
        WHERE lane = $1 AND epoch < $2 AND state = 0 AND (holder IS NULL OR due <= $3)
        LIMIT $4 FOR UPDATE SKIP LOCKED)";

/// Held ones may still come to wait there.
const SWEPT: &str = "DELETE FROM dropped WHERE lane = $1 AND below = $2 \
    AND NOT EXISTS (SELECT FROM delivery WHERE delivery.lane = $1 AND epoch < $2 AND state = 0)";

const OLD: &str = "SELECT seq FROM event WHERE routed_at IS NOT NULL AND alive_at < $1 \
    ORDER BY alive_at LIMIT $2 FOR UPDATE SKIP LOCKED";

const ALIVE: &str = "
    UPDATE event SET alive_at = greatest(event.alive_at, last.alive_at)
    FROM (SELECT event, CASE WHEN min(state) = 0 THEN $2 ELSE max(ended_at) END AS alive_at
        FROM delivery WHERE event = ANY ($1) GROUP BY event) AS last
    WHERE seq = ANY ($1) AND seq = last.event";

const ENDED: &str = "SELECT seq FROM event WHERE seq = ANY ($1) AND alive_at < $2";

/// Lanes of which something waits that they do not tell of, or tell of too late: the first that is due
/// decides, however much waits behind it. Those that are ready are looked at anyway, but for what lies under
/// their floor.
const LOOK: &str = "
    SELECT lane.id, coalesce(head.due < coalesce(wake_at, 9223372036854775807)
        AND paused_until < coalesce(wake_at, 9223372036854775807), false) AS is_wrong
    FROM lane LEFT JOIN LATERAL (
        SELECT due FROM delivery
        WHERE delivery.lane = lane.id AND delivery.epoch = lane.epoch AND state = 0
        ORDER BY due, delivery.id LIMIT 1
    ) AS head ON true
    WHERE lane.id > $1 AND status = 1 AND NOT ready ORDER BY lane.id LIMIT $2";

const LIVE: &str = "SELECT id FROM lane WHERE tenant = $1 AND status < 2 ORDER BY id";

const SOME: &str = "SELECT seq FROM event WHERE tenant = $1 ORDER BY seq LIMIT $2 FOR UPDATE";

const LANES: &str = "SELECT DISTINCT lane FROM delivery WHERE event = ANY ($1)";

const LOCK_DELETED: &str = "SELECT FROM lane WHERE id = ANY ($1) AND status = 2 ORDER BY id FOR UPDATE";

const DELIVERIES: &str = "SELECT id FROM delivery WHERE event = ANY ($1) ORDER BY id FOR UPDATE";

const RESIGN: &str = "UPDATE tenant SET router = NULL, router_until = NULL WHERE name = $1";

/// The statements of upkeep that go through backlogs, for a test to read their plans.
#[doc(hidden)]
pub fn upkeep_statements() -> Vec<(&'static str, String)> {
    [("look", LOOK), ("sweep", SWEEP), ("swept", SWEPT)].map(|(name, sql)| (name, sql.to_owned())).to_vec()
}
