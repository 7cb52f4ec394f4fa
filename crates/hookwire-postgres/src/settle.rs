use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use hookwire::delivery::{Health, Next};
use hookwire::model::{End, Timestamp};
use hookwire::registry::RegisteredWebhook;
use hookwire::store::{Disable, Settled, Settlement};
use tokio_postgres::Row;

use crate::fault::Fault;
use crate::hands::Key;
use crate::lanes::{self, NOTHING};
use crate::registry;
use crate::rows::{Lane, LaneId, PENDING, class_number, end_number, fence_number};
use crate::session::{Tx, Work};

/// Records what came of claims.
///
/// A settlement that makes nothing due at another time, and from which the lane learns nothing, leaves its lane alone:
/// that is most of them. For the others the lanes are locked first.
pub(crate) struct Settle(pub(crate) Vec<Arc<Settlement>>);

/// What was recorded.
pub(crate) struct Recorded {
    pub(crate) settled: Vec<Settled>,
    /// Until when claims were extended; the others have ended.
    pub(crate) extended: HashMap<Key, i64>,
    /// Whether something waits again.
    pub(crate) has_news: bool,
}

/// A claimed delivery, as it will be.
struct Held {
    lane: LaneId,
    fence: i64,
    is_dropped: bool,
    attempts: i32,
    state: i16,
    due: i64,
    is_held: bool,
}

/// A lane as it will be.
struct Learnt {
    lane: Lane,
    health: Health,
    backoff_until: i64,
    disabled: Option<RegisteredWebhook>,
}

/// The work under way.
struct Desk {
    now: i64,
    held: HashMap<i64, Held>,
    lanes: HashMap<LaneId, Learnt>,
    attempts: Vec<(i64, i32, String)>,
}

#[async_trait]
impl Work for Settle {
    type Done = Recorded;

    async fn on(&self, tx: &Tx<'_>) -> Result<Recorded, Fault> {
        let judged: Vec<i64> = self.ids(|item| item.disable.is_some());
        if !judged.is_empty() {
            lanes::take_registries_of(tx, &judged).await?;
        }
        let lanes = lanes::lock(tx, &self.lanes_to_lock(tx).await?).await?;
        let now = tx.now().await?;
        let held = self.held(tx).await?;
        let lanes = lanes.into_iter().map(|lane| (lane.id, Learnt::of(lane))).collect();
        let mut desk = Desk { now, held, lanes, attempts: Vec::new() };
        let settled = self.0.iter().map(|item| desk.settle(item)).collect::<Result<Vec<_>, _>>()?;
        desk.write(tx).await?;
        Ok(Recorded { settled, extended: desk.extended(), has_news: desk.leaves_work() })
    }
}

impl Settle {
    fn ids(&self, wanted: impl Fn(&Settlement) -> bool) -> Vec<i64> {
        self.0.iter().filter(|item| wanted(item)).map(|item| item.id.get()).collect()
    }

    /// The lanes that will have to be written. What is read without a lock may be old by then: a lane that
    /// teaches nothing now would have taught nothing had this settlement come a moment before.
    async fn lanes_to_lock(&self, tx: &Tx<'_>) -> Result<Vec<LaneId>, Fault> {
        let rows = tx.rows(LANES, &[&self.ids(|_| true)]).await?;
        let lanes = rows.iter().map(|row| {
            let health: Health = serde_json::from_str(row.try_get("health")?)?;
            Ok((row.try_get("id")?, (row.try_get("lane")?, health)))
        });
        let lanes = lanes.collect::<Result<HashMap<i64, (LaneId, Health)>, Fault>>()?;
        let touched = self.0.iter().filter_map(|item| {
            let (lane, health) = lanes.get(&item.id.get())?;
            needs_lane(item, *health).then_some(*lane)
        });
        Ok(touched.collect())
    }

    /// The claims that are still held under their fences, locked in the order of their ids.
    async fn held(&self, tx: &Tx<'_>) -> Result<HashMap<i64, Held>, Fault> {
        let fences: Vec<i64> = self.0.iter().map(|item| fence_number(item.fence)).collect();
        let rows = tx.rows(HELD, &[&self.ids(|_| true), &fences]).await?;
        rows.iter().map(|row| Ok((row.try_get("id")?, Held::read(row)?))).collect()
    }
}

fn needs_lane(item: &Settlement, health: Health) -> bool {
    // One that is extended may be due earlier than before.
    let waits = matches!(item.next, Next::Again(_) | Next::Release | Next::Extend(_));
    // Where it fails already, the time of another failure makes no difference.
    let at = health.failing_since().unwrap_or_default();
    let learns = health.after(item.report, at) != health;
    waits || learns || item.backoff.is_some() || item.disable.is_some()
}

impl Desk {
    fn settle(&mut self, item: &Settlement) -> Result<Settled, Fault> {
        let (id, now) = (item.id.get(), Timestamp::from_millis(self.now));
        let held = self.held.get_mut(&id).filter(|it| it.is_held && it.fence == fence_number(item.fence));
        let Some(held) = held else { return Ok(Settled::Fenced) };
        if let Some(attempt) = &item.attempt {
            held.attempts += 1;
            self.attempts.push((id, held.attempts, serde_json::to_string(attempt)?));
        }
        match item.next {
            Next::Again(after) => held.wait(now.plus(after).as_millis())?,
            Next::End(end) => held.end(end)?,
            Next::Extend(by) => held.due = now.plus(by).as_millis(),
            Next::Release => held.wait(self.now)?,
        }
        if let Some(lane) = self.lanes.get_mut(&held.lane) {
            lane.learn(item, now)?;
        }
        Ok(Settled::Applied)
    }

    async fn write(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        let held: Vec<(&i64, &Held)> = self.held.iter().collect();
        let ids: Vec<i64> = held.iter().map(|(id, _)| **id).collect();
        let column = |of: fn(&Held) -> i64| held.iter().map(|(_, it)| of(it)).collect::<Vec<_>>();
        let states: Vec<i16> = held.iter().map(|(_, it)| it.state).collect();
        let attempts: Vec<i32> = held.iter().map(|(_, it)| it.attempts).collect();
        let is_held: Vec<bool> = held.iter().map(|(_, it)| it.is_held).collect();
        let due = column(|it| it.due);
        if !ids.is_empty() {
            tx.run(SETTLE, &[&ids, &states, &due, &attempts, &is_held, &self.now]).await?;
        }
        self.write_attempts(tx).await?;
        for lane in self.lanes.values() {
            lane.write(tx).await?;
        }
        let touched: Vec<LaneId> = self.lanes.keys().copied().collect();
        let lowest = self.held.values().filter(|it| it.state == PENDING).map(|it| it.due).min();
        lanes::refresh(tx, &touched, self.now, lowest.unwrap_or(NOTHING)).await
    }

    async fn write_attempts(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        if self.attempts.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = self.attempts.iter().map(|(id, _, _)| *id).collect();
        let numbers: Vec<i32> = self.attempts.iter().map(|(_, number, _)| *number).collect();
        let docs: Vec<&str> = self.attempts.iter().map(|(_, _, doc)| doc.as_str()).collect();
        tx.run(ATTEMPTS, &[&ids, &numbers, &docs]).await.map(drop)
    }

    fn leaves_work(&self) -> bool {
        self.held.values().any(Held::waits)
    }

    fn extended(&self) -> HashMap<Key, i64> {
        let extended = self.held.iter().filter(|(_, it)| it.is_held);
        extended.map(|(id, it)| ((*id, it.fence), it.due)).collect()
    }
}

impl Held {
    fn read(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            lane: row.try_get("lane")?,
            fence: row.try_get("fence")?,
            is_dropped: row.try_get("is_dropped")?,
            attempts: row.try_get("attempts")?,
            state: PENDING,
            due: row.try_get("due")?,
            is_held: true,
        })
    }

    /// Lets it wait; one of a backlog that was dropped is cancelled instead.
    fn wait(&mut self, due: i64) -> Result<(), Fault> {
        if self.is_dropped {
            return self.end(End::Cancelled);
        }
        (self.due, self.is_held) = (due, false);
        Ok(())
    }

    fn end(&mut self, end: End) -> Result<(), Fault> {
        (self.state, self.is_held) = (end_number(end)?, false);
        Ok(())
    }

    const fn waits(&self) -> bool {
        self.state == PENDING && !self.is_held
    }
}

impl Learnt {
    fn of(lane: Lane) -> Self {
        let (health, backoff_until) = (lane.health, lane.backoff_until);
        Self { lane, health, backoff_until, disabled: None }
    }

    fn learn(&mut self, item: &Settlement, now: Timestamp) -> Result<(), Fault> {
        let backoff_until = Timestamp::from_millis(self.backoff_until);
        let (health, backoff_until) = item.lane_after(self.health, backoff_until, now);
        (self.health, self.backoff_until) = (health, backoff_until.as_millis());
        if let Some(disable) = &item.disable {
            self.disable(disable)?;
        }
        Ok(())
    }

    /// Disables the webhook by hookwire's own decision, if it is still the one that was judged.
    fn disable(&mut self, disable: &Disable) -> Result<(), Fault> {
        if self.disabled.is_none() && self.lane.is_enabled() {
            self.disabled = disable.applied_to(&self.lane.registered()?, &self.health);
        }
        Ok(())
    }

    async fn write(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        if self.health != self.lane.health || self.backoff_until != self.lane.backoff_until {
            let health = serde_json::to_string(&self.health)?;
            let class = class_number(self.health.class());
            tx.run(LEARN, &[&self.lane.id, &health, &class, &self.backoff_until]).await?;
        }
        if let Some(hook) = &self.disabled {
            registry::write_hook(tx, self.lane.id, hook).await?;
            registry::revise(tx, &self.lane.tenant).await?;
        }
        Ok(())
    }
}

/// Gives up claims: they are due at once.
pub(crate) struct Release {
    pub(crate) keys: Vec<Key>,
    pub(crate) holder: Vec<u8>,
}

#[async_trait]
impl Work for Release {
    type Done = ();

    async fn on(&self, tx: &Tx<'_>) -> Result<(), Fault> {
        // Tenants before lanes, as everybody locks them.
        tx.run(RESIGN, &[&self.holder]).await?;
        let ids: Vec<i64> = self.keys.iter().map(|(id, _)| *id).collect();
        let rows = tx.rows(LANES, &[&ids]).await?;
        let wanted = rows.iter().map(|row| Ok(row.try_get("lane")?)).collect::<Result<Vec<_>, Fault>>()?;
        let touched: Vec<LaneId> = lanes::lock(tx, &wanted).await?.iter().map(|lane| lane.id).collect();
        let now = tx.now().await?;
        tx.run(RELEASE, &[&ids, &self.holder, &now]).await?;
        lanes::refresh(tx, &touched, now, now).await
    }
}

const LANES: &str = "SELECT delivery.id, lane.id AS lane, lane.health::text AS health FROM delivery \
    JOIN lane ON lane.id = delivery.lane WHERE delivery.id = ANY ($1)";

const HELD: &str = "
    SELECT delivery.id, delivery.lane, delivery.fence, delivery.attempts, delivery.due,
        delivery.epoch <> (SELECT epoch FROM lane WHERE lane.id = delivery.lane) AS is_dropped
    FROM delivery JOIN unnest($1::bigint[], $2::bigint[]) AS claimed (id, fence)
        ON delivery.id = claimed.id AND delivery.fence = claimed.fence
    WHERE delivery.id = ANY ($1) AND state = 0 AND holder IS NOT NULL
    ORDER BY delivery.id FOR UPDATE OF delivery";

const SETTLE: &str = "
    UPDATE delivery SET state = settled.state, due = settled.due, attempts = settled.attempts,
        holder = CASE WHEN settled.is_held THEN holder END,
        ended_at = CASE WHEN settled.state <> 0 THEN $6::bigint END
    FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::integer[], $5::boolean[])
        AS settled (id, state, due, attempts, is_held)
    WHERE delivery.id = ANY ($1) AND delivery.id = settled.id";

const ATTEMPTS: &str = "INSERT INTO attempt (delivery, number, doc) \
    SELECT id, number, doc::json FROM unnest($1::bigint[], $2::integer[], $3::text[]) \
    AS made (id, number, doc)";

const LEARN: &str = "UPDATE lane SET health = $2::text::json, class = $3, paused_until = $4, \
    readied = CASE WHEN class = $3 THEN readied ELSE pg_current_xact_id()::text::bigint END WHERE id = $1";

/// One of a backlog that was dropped is due in its old epoch, where it counts as cancelled.
const RELEASE: &str = "UPDATE delivery SET holder = NULL, due = $3 \
    WHERE id = ANY ($1) AND holder = $2 AND state = 0";

const RESIGN: &str = "UPDATE tenant SET router = NULL, router_until = NULL WHERE router = $1";
