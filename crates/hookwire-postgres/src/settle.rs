//! Settlements of claims, and the release of a holder's claims.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use hookwire::delivery::{Health, Next, Report};
use hookwire::model::{Attempt, Disabled, End, Timestamp};
use hookwire::registry::RegisteredWebhook;
use hookwire::retry::RetryState;
use hookwire::store::{Disable, Effect, Settled, Settlement};
use tokio_postgres::Row;

use crate::connection::session::{Operation, Tx};
use crate::connection::statements::Params;
use crate::error::{QueryError, ReadRow};
use crate::registry;
use crate::route::release_routing_leases_of;
use crate::rows::{
    Lane, LaneId, PENDING, class_number, end_number, end_of, fence_number, found, ids, retry_doc,
};
use crate::schedule::holder::ClaimKey;
use crate::schedule::lanes::{self, EarliestDue};
use crate::time::Millis;

/// Records the end of claims, by one statement. Returns the deliveries whose end is recorded; the others are left to
/// [`Settle`].
///
/// It takes settlements that are [plain](is_plain), each of another delivery and in the order of their ids.
pub(crate) struct Finish(pub(crate) Vec<Arc<Settlement>>);

/// Whether a settlement ends its delivery and changes nothing else, where the lane's health stays as it is.
pub(crate) fn is_plain(item: &Settlement) -> bool {
    let replaces = item.attempt.as_ref().is_some_and(Attempt::replaces_previous);
    let fails = matches!(item.report, Report::Failure | Report::Timeout);
    let is_end = matches!(item.next, Next::End(_));
    is_end && !fails && !replaces && item.backoff.is_none() && item.disable.is_none()
}

/// The answer to a settlement that has ended its delivery and changed nothing else.
pub(crate) fn ended(item: &Settlement) -> Settled {
    let end = match item.next {
        Next::End(end) => Some(end),
        Next::Again(_) | Next::Extend(_) | Next::Release => None,
    };
    Settled::Applied(Effect { end, ..Effect::default() })
}

#[async_trait]
impl Operation for Finish {
    type Output = HashSet<i64>;

    async fn run(&self, tx: &Tx<'_>) -> Result<HashSet<i64>, QueryError> {
        let mut columns: (Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>) = Default::default();
        for item in &self.0 {
            let Next::End(end) = item.next else { continue };
            let attempt = item.attempt.as_ref().map(serde_json::to_string).transpose()?;
            columns.0.push(item.id.get());
            columns.1.push(fence_number(item.fence));
            columns.2.push(end_number(end)?);
            columns.3.push(retry_doc(&item.retry)?);
            columns.4.push(attempt);
            columns.5.push(item.report == Report::NoAttempt);
        }
        let (claimed, fences, states, retry, attempts, is_untold) = columns;
        let params: Params<'_> = &[&claimed, &fences, &states, &retry, &attempts, &is_untold];
        let finished = tx.commit_rows(FINISH, params).await?;
        Ok(ids(&finished, "id")?.into_iter().collect())
    }
}

/// Records the outcome of claims.
///
/// Most settlements make nothing due at another time, and leave the lane's health as it is: these leave the lane alone.
/// For the others the lanes are locked first.
pub(crate) struct Settle(pub(crate) Vec<Arc<Settlement>>);

/// The result of recording settlements.
pub(crate) struct Recorded {
    pub(crate) settled: Vec<Settled>,
    /// The new ends of the claims that were extended. The others have ended.
    pub(crate) extended: HashMap<ClaimKey, Millis>,
    /// Whether a delivery waits again, or a webhook has room of which it may have had none.
    pub(crate) has_work: bool,
}

/// The row of a claimed delivery, as it will be written.
struct SettledRow {
    lane: LaneId,
    fence: i64,
    is_dropped: bool,
    attempts: i32,
    retry: RetryState,
    /// The document of its first attempt, if that is recorded now.
    first_attempt: Option<String>,
    state: i16,
    due: Millis,
    /// When its lease ends; `None` once it is settled.
    held_until: Option<Millis>,
    /// Whether its webhook had a limit when it was claimed.
    is_limited: bool,
}

/// A lane, and what will be written of it.
struct LaneChange {
    lane: Lane,
    health: Health,
    backoff_until: Option<Millis>,
    disabled: Option<RegisteredWebhook>,
}

/// The rows of a settlement, before they are written.
struct Settling {
    now: Millis,
    held: HashMap<i64, SettledRow>,
    lanes: HashMap<LaneId, LaneChange>,
    attempts: Vec<(i64, i32, String)>,
    /// The attempts whose place later ones take.
    replaced: Vec<(i64, i32)>,
}

#[async_trait]
impl Operation for Settle {
    type Output = Recorded;

    async fn run(&self, tx: &Tx<'_>) -> Result<Recorded, QueryError> {
        let disabling = self.ids(|item| item.disable.is_some());
        if !disabling.is_empty() {
            lanes::take_registries_of(tx, &disabling).await?;
        }
        let lanes = lanes::lock(tx, &self.lanes_to_lock(tx).await?).await?;
        let now = tx.now().await?;
        let held = self.held(tx).await?;
        let lanes = lanes.into_iter().map(|lane| (lane.id, LaneChange::of(lane))).collect();
        let mut settling = Settling { now, held, lanes, attempts: Vec::new(), replaced: Vec::new() };
        let settled = self.0.iter().map(|item| settling.settle(item)).collect::<Result<Vec<_>, _>>()?;
        settling.write(tx).await?;
        Ok(Recorded { settled, extended: settling.extended(), has_work: settling.leaves_work() })
    }
}

impl Settle {
    fn ids(&self, wanted: impl Fn(&Settlement) -> bool) -> Vec<i64> {
        self.0.iter().filter(|item| wanted(item)).map(|item| item.id.get()).collect()
    }

    /// Returns the lanes that have to be locked and written. Their health is read without a lock and may be outdated: a
    /// settlement that changes nothing by it counts as one that came a moment earlier.
    async fn lanes_to_lock(&self, tx: &Tx<'_>) -> Result<Vec<LaneId>, QueryError> {
        let rows = tx.rows(LANES, &[&self.ids(|_| true)]).await?;
        // A lane that cannot be read learns nothing, and stops no others.
        let lanes = rows.iter().filter_map(|row| {
            let health: Health = serde_json::from_str(row.read("health").ok()?).ok()?;
            let is_limited = row.read::<Option<bool>>("limited").ok()?.is_some();
            Some(row.read("id").and_then(|id| Ok((id, (row.read("lane")?, health, is_limited)))))
        });
        let lanes = lanes.collect::<Result<HashMap<i64, (LaneId, Health, bool)>, QueryError>>()?;
        let touched = self.0.iter().filter_map(|item| {
            let (lane, health, is_limited) = lanes.get(&item.id.get())?;
            (*is_limited || needs_lane(item, *health)).then_some(*lane)
        });
        Ok(touched.collect())
    }

    /// Locks the claims that are still held under their fences, in the order of their ids.
    async fn held(&self, tx: &Tx<'_>) -> Result<HashMap<i64, SettledRow>, QueryError> {
        let mut claims: Vec<_> =
            self.0.iter().map(|item| (item.id.get(), fence_number(item.fence))).collect();
        claims.sort_unstable();
        let (ids, fences): (Vec<i64>, Vec<i64>) = claims.into_iter().unzip();
        let rows = tx.rows(CLAIMED, &[&ids, &fences]).await?;
        rows.iter().map(|row| Ok((row.read("id")?, SettledRow::read(row)?))).collect()
    }
}

fn needs_lane(item: &Settlement, health: Health) -> bool {
    // An extended claim may be due earlier than before.
    let waits = matches!(item.next, Next::Again(_) | Next::Release | Next::Extend(_));
    let learns = match item.report {
        Report::Failure | Report::Timeout => true,
        report => health.after(report, item.counting, Timestamp::default()) != health,
    };
    waits || learns || item.backoff.is_some() || item.disable.is_some()
}

impl Settling {
    fn settle(&mut self, item: &Settlement) -> Result<Settled, QueryError> {
        let id = item.id.get();
        let held = self
            .held
            .get_mut(&id)
            .filter(|it| it.held_until.is_some() && it.fence == fence_number(item.fence));
        let Some(held) = held else { return Ok(Settled::Fenced) };
        held.retry = item.retry;
        if let Some(attempt) = &item.attempt {
            self.replaced.extend(attempt.replaces_previous().then_some((id, held.attempts)));
            held.attempts += 1;
            match (held.attempts, serde_json::to_string(attempt)?) {
                (1, doc) => held.first_attempt = Some(doc),
                (later, doc) => self.attempts.push((id, later, doc)),
            }
        }
        match item.next {
            Next::Again(after) => held.wait(self.now.plus(after))?,
            Next::End(end) => held.end(end)?,
            Next::Extend(by) => held.held_until = Some(self.now.plus(by)),
            Next::Release => held.wait(self.now)?,
        }
        let end = held.end_recorded()?;
        let effect = match self.lanes.get_mut(&held.lane) {
            Some(lane) => lane.learn(item, self.now)?,
            None => Effect::default(),
        };
        Ok(Settled::Applied(Effect { end, ..effect }))
    }

    async fn write(&self, tx: &Tx<'_>) -> Result<(), QueryError> {
        let held: Vec<(&i64, &SettledRow)> = self.held.iter().collect();
        let ids: Vec<i64> = held.iter().map(|(id, _)| **id).collect();
        let states: Vec<i16> = held.iter().map(|(_, it)| it.state).collect();
        let attempts: Vec<i32> = held.iter().map(|(_, it)| it.attempts).collect();
        let retry = held.iter().map(|(_, it)| retry_doc(&it.retry)).collect::<Result<Vec<_>, _>>()?;
        let held_until: Vec<_> = held.iter().map(|(_, it)| it.held_until).collect();
        let firsts: Vec<_> = held.iter().map(|(_, it)| it.first_attempt.as_deref()).collect();
        let due: Vec<Millis> = held.iter().map(|(_, it)| it.due).collect();
        if !ids.is_empty() {
            tx.run(SETTLE, &[&ids, &states, &due, &attempts, &held_until, &self.now, &retry, &firsts])
                .await?;
        }
        self.write_attempts(tx).await?;
        for lane in self.lanes.values() {
            lane.write(tx).await?;
        }
        let touched: Vec<LaneId> = self.lanes.keys().copied().collect();
        let lowest = self.held.values().filter(|it| it.state == PENDING).map(|it| it.due).min();
        lanes::refresh(tx, &touched, self.now, lowest.map_or(EarliestDue::Nothing, EarliestDue::At)).await
    }

    async fn write_attempts(&self, tx: &Tx<'_>) -> Result<(), QueryError> {
        if !self.replaced.is_empty() {
            let (ids, numbers): (Vec<i64>, Vec<i32>) = self.replaced.iter().copied().unzip();
            tx.run(REPLACED, &[&ids, &numbers]).await?;
        }
        if self.attempts.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = self.attempts.iter().map(|(id, _, _)| *id).collect();
        let numbers: Vec<i32> = self.attempts.iter().map(|(_, number, _)| *number).collect();
        let docs: Vec<&str> = self.attempts.iter().map(|(_, _, doc)| doc.as_str()).collect();
        tx.run(ATTEMPTS, &[&ids, &numbers, &docs]).await.map(drop)
    }

    /// Whether others may have something to claim that they had not before.
    fn leaves_work(&self) -> bool {
        self.held.values().any(|it| it.waits() || it.is_limited)
    }

    fn extended(&self) -> HashMap<ClaimKey, Millis> {
        let extended = self.held.iter().filter_map(|(id, it)| Some(((*id, it.fence), it.held_until?)));
        extended.collect()
    }
}

impl SettledRow {
    fn read(row: &Row) -> Result<Self, QueryError> {
        Ok(Self {
            lane: row.read("lane")?,
            fence: row.read("fence")?,
            is_dropped: row.read("is_dropped")?,
            attempts: row.read("attempts")?,
            // The settlement has the next one.
            retry: RetryState::default(),
            first_attempt: None,
            state: PENDING,
            due: row.read("due")?,
            held_until: row.read("held_until")?,
            is_limited: row.read::<Option<bool>>("limited")?.is_some(),
        })
    }

    /// Makes the delivery wait until `due`. One of a dropped backlog is cancelled instead.
    fn wait(&mut self, due: Millis) -> Result<(), QueryError> {
        if self.is_dropped {
            return self.end(End::Cancelled);
        }
        (self.due, self.held_until) = (due, None);
        Ok(())
    }

    fn end(&mut self, end: End) -> Result<(), QueryError> {
        (self.state, self.held_until) = (end_number(end)?, None);
        Ok(())
    }

    fn end_recorded(&self) -> Result<Option<End>, QueryError> {
        (self.state != PENDING).then(|| end_of(self.state)).transpose()
    }

    const fn waits(&self) -> bool {
        self.state == PENDING && self.held_until.is_none()
    }
}

impl LaneChange {
    fn of(lane: Lane) -> Self {
        Self { health: lane.health, backoff_until: lane.backoff_until, lane, disabled: None }
    }

    fn learn(&mut self, item: &Settlement, now: Millis) -> Result<Effect, QueryError> {
        let (now, until) = (now.timestamp(), self.backoff_until.map(Millis::timestamp));
        let before = self.health;
        self.health = item.health_after(before, now);
        self.backoff_until = item.backoff_after(until, now).map(Millis::from);
        let disabled = match &item.disable {
            Some(disable) => self.disable(disable, now)?,
            None => None,
        };
        Ok(Effect { disabled, ..Effect::of_health(before, self.health) })
    }

    /// Disables the webhook by hookwire's own decision, unless it was changed since it was claimed.
    fn disable(&mut self, disable: &Disable, now: Timestamp) -> Result<Option<Disabled>, QueryError> {
        if self.disabled.is_some() || !self.lane.is_enabled() {
            return Ok(None);
        }
        self.disabled = disable.applied_to(&self.lane.registered()?, &self.health, now);
        Ok(self.disabled.as_ref().and_then(|hook| hook.disabled))
    }

    async fn write(&self, tx: &Tx<'_>) -> Result<(), QueryError> {
        if self.health != self.lane.health || self.backoff_until != self.lane.backoff_until {
            let health = serde_json::to_string(&self.health)?;
            let class = class_number(self.health.class());
            tx.run(LEARN, &[&self.lane.id, &health, &class, &self.backoff_until]).await?;
        }
        if let Some(hook) = &self.disabled {
            registry::write_hook(tx, self.lane.id, hook, false).await?;
            registry::revise(tx, &self.lane.tenant).await?;
        }
        Ok(())
    }
}

/// Releases the claims of a holder: they are due at once.
pub(crate) struct Release {
    pub(crate) keys: Vec<ClaimKey>,
    pub(crate) holder: Vec<u8>,
}

#[async_trait]
impl Operation for Release {
    type Output = ();

    async fn run(&self, tx: &Tx<'_>) -> Result<(), QueryError> {
        // Tenants are locked before lanes, as everywhere.
        release_routing_leases_of(tx, &self.holder).await?;
        let claimed: Vec<i64> = self.keys.iter().map(|(id, _)| *id).collect();
        let rows = tx.rows(LANES, &[&claimed]).await?;
        let wanted = ids(&rows, "lane")?;
        let touched = lanes::lock_ids(tx, &wanted).await?;
        let now = tx.now().await?;
        tx.run(RELEASE, &[&claimed, &self.holder, &now]).await?;
        lanes::refresh(tx, &touched, now, EarliestDue::At(now)).await
    }
}

/// A success or a limit leaves a lane's health as it is, where its receiver is proven, and neither fails nor has backed
/// off.
const FINISH: &str = concat!(
    "
    WITH finished AS (
        UPDATE delivery SET state = item.state, attempts = attempts + CASE WHEN item.attempt IS NULL THEN 0 ELSE 1 END,
            first_attempt = CASE WHEN delivery.attempts = 0 THEN item.attempt::json ELSE first_attempt END,
            retry = item.retry::json, holder = NULL, held_until = NULL, ended_at = (SELECT clock_ms())
        FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::text[], $5::text[], $6::boolean[])
            AS item (id, fence, state, retry, attempt, is_untold)",
    found!("item"),
    "WHERE delivery.ctid = found.place AND delivery.fence = item.fence AND delivery.state < 1 AND holder IS NOT NULL
            AND limited IS NULL
            AND (is_untold OR EXISTS (SELECT FROM lane WHERE lane.id = delivery.lane AND health ->> 'trust' = 'proven'
                AND health -> 'failing_since' IS NULL AND health -> 'backoffs' IS NULL OFFSET 0))
        RETURNING delivery.id, delivery.attempts, item.attempt),
    made AS (
        INSERT INTO attempt (delivery, number, doc)
        SELECT id, attempts, attempt::json FROM finished WHERE attempt IS NOT NULL AND attempts > 1)
    SELECT id FROM finished"
);

const LANES: &str = concat!(
    "SELECT settled.id, lane.id AS lane, lane.health::text AS health, delivery.limited FROM unnest($1::bigint[]) AS settled (id)",
    found!("settled"),
    "JOIN delivery ON delivery.ctid = found.place JOIN lane ON lane.id = delivery.lane"
);

/// It locks in the order of `$1`. `OFFSET 0` as in [`found`].
const CLAIMED: &str = "
    SELECT delivery.id, delivery.lane, delivery.fence, delivery.attempts, delivery.due, delivery.held_until, delivery.limited,
        delivery.epoch <> (SELECT epoch FROM lane WHERE lane.id = delivery.lane) AS is_dropped
    FROM unnest($1::bigint[], $2::bigint[]) AS claimed (id, fence)
        CROSS JOIN LATERAL (SELECT * FROM delivery WHERE delivery.id = claimed.id OFFSET 0 FOR UPDATE) AS delivery
    WHERE delivery.fence = claimed.fence AND state = 0 AND holder IS NOT NULL";

const SETTLE: &str = concat!(
    "
    UPDATE delivery SET state = settled.state, due = settled.due, attempts = settled.attempts,
        first_attempt = coalesce(settled.first_attempt::json, delivery.first_attempt), retry = settled.retry::json,
        holder = CASE WHEN settled.held_until IS NOT NULL THEN holder END, held_until = settled.held_until,
        limited = CASE WHEN settled.held_until IS NOT NULL THEN limited END,
        ended_at = CASE WHEN settled.state <> 0 THEN $6::bigint END
    FROM unnest($1::bigint[], $2::smallint[], $3::bigint[], $4::integer[], $5::bigint[],
        $7::text[], $8::text[]) AS settled (id, state, due, attempts, held_until, retry, first_attempt)",
    found!("settled"),
    "WHERE delivery.ctid = found.place"
);

const ATTEMPTS: &str = "INSERT INTO attempt (delivery, number, doc) \
    SELECT id, number, doc::json FROM unnest($1::bigint[], $2::integer[], $3::text[]) \
    AS made (id, number, doc)";

const REPLACED: &str = "DELETE FROM attempt USING unnest($1::bigint[], $2::integer[]) AS old (delivery, number) \
    WHERE attempt.delivery = ANY ($1) AND attempt.delivery = old.delivery AND attempt.number = old.number";

const LEARN: &str = "UPDATE lane SET health = $2::text::json, class = $3, paused_until = $4, \
    readied = CASE WHEN class = $3 THEN readied ELSE pg_current_xact_id()::text::bigint END WHERE id = $1";

/// A delivery of a dropped backlog becomes due in its old epoch, where it counts as cancelled.
const RELEASE: &str = concat!(
    "UPDATE delivery SET holder = NULL, held_until = NULL, limited = NULL, due = $3 FROM unnest($1::bigint[]) AS held (id)",
    found!("held"),
    "WHERE delivery.ctid = found.place AND holder = $2 AND state < 1"
);

/// Returns the statements of settlements, for a test that reads their plans.
#[doc(hidden)]
pub fn settle_statements() -> Vec<(&'static str, String)> {
    [("finish", FINISH), ("lanes", LANES), ("claimed", CLAIMED), ("settle", SETTLE), ("release", RELEASE)]
        .map(|(name, sql)| (name, sql.to_owned()))
        .to_vec()
}
