//! Reads ready lanes with their first due deliveries, and locks nothing.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::sync::LazyLock;

use hookwire::model::{HookId, TenantId};
use hookwire::retry::RetryState;
use hookwire::store::ClaimRequest;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::error::{QueryError, ReadRow};
use crate::rows::{CLASSES, Lane, LaneId, as_i64, class_number, lane_columns};
use crate::schedule::cursor::{LaneOutcome, MAX_FRESH, ReadyLane, ReadyLanes};
use crate::schedule::holder::{Plan, Scanned, places_of};
use crate::schedule::holders::Holders;
use crate::schedule::lanes::{half, kind, unheld};
use crate::schedule::places::Place;
use crate::schedule::select::{Head, LaneHeads, Selection};
use crate::time::Millis;

/// The ready lanes that a claim has read, and those that it chose to lock.
pub(crate) struct ReadyScan {
    pub(crate) plan: Plan,
    pub(crate) ready: [ReadyLanes; 3],
    /// Those for which there is room, in the order in which they are served.
    pub(crate) in_turn: Vec<Place>,
    pub(crate) wanted: Vec<LaneId>,
    pub(crate) oldest: i64,
}

impl ReadyScan {
    /// Moves the cursors on, and returns whether there may be more to take at once, and whether nothing was left for want of
    /// room.
    pub(crate) fn finish(
        &self,
        holders: &Holders,
        request: &ClaimRequest,
        busy: &[LaneId],
        candidates: &[LaneHeads],
        selection: &Selection,
        touched: Vec<LaneId>,
    ) -> (bool, bool) {
        let with_room: HashSet<LaneId> = self.in_turn.iter().map(|place| place.lane).collect();
        let outcome = |id| match with_room.contains(&id) {
            true => self.outcome(id, busy, candidates, selection),
            false => LaneOutcome::NoRoom,
        };
        let mut has_more = false;
        let mut cursors = self.plan.cursors;
        for ((cursor, seen), has_room) in cursors.iter_mut().zip(&self.ready).zip(self.plan.has_room) {
            if has_room {
                let more;
                (*cursor, more) = cursor.after(seen, outcome, self.oldest);
                // A claim of nothing could not get more.
                has_more |= more && request.limit > 0;
            }
        }
        let is_unserved = |it: &Place| matches!(outcome(it.lane), LaneOutcome::NoRoom | LaneOutcome::Filled);
        let without_room = places_of(&self.ready).filter(is_unserved).collect();
        let scanned = Scanned { cursors, left: self.left(outcome), without_room, touched };
        (has_more, holders.finish_scan(request.holder, &self.plan, scanned))
    }

    /// Returns lanes that are left, for the next claim: one of each tenant, so that the many lanes of another hide none.
    fn left(&self, outcome: impl Fn(LaneId) -> LaneOutcome) -> Vec<Place> {
        let mut known = HashSet::new();
        let is_left = |it: &&Place| matches!(outcome(it.lane), LaneOutcome::Left | LaneOutcome::Passed);
        let left = self.in_turn.iter().filter(is_left).filter(|it| known.insert(&it.tenant));
        left.take(MAX_LANES).cloned().collect()
    }

    /// Returns the outcome of the claim for a lane that it read, and for which there was room.
    fn outcome(
        &self,
        id: LaneId,
        busy: &[LaneId],
        candidates: &[LaneHeads],
        selection: &Selection,
    ) -> LaneOutcome {
        if !self.wanted.contains(&id) {
            return LaneOutcome::Left;
        }
        if busy.contains(&id) {
            return LaneOutcome::Passed;
        }
        // A lane whose row cannot be read is no candidate. It is set aside.
        let Some(number) = candidates.iter().position(|candidate| candidate.place.lane == id) else {
            return LaneOutcome::Served;
        };
        let taken = selection.taken.iter().filter(|(candidate, _)| *candidate == number).count();
        match candidates[number].count() {
            offered if offered > taken && selection.is_cut && taken > 0 => LaneOutcome::Passed,
            offered if offered > taken && selection.is_cut => LaneOutcome::Left,
            offered if offered > taken => LaneOutcome::NoRoom,
            _ if candidates[number].is_part && selection.with_room.contains(&number) => LaneOutcome::Passed,
            _ if candidates[number].is_part => LaneOutcome::Filled,
            _ => LaneOutcome::Served,
        }
    }
}

/// A ready lane that was read, and all of it if deliveries may be taken from it.
pub(crate) struct Entry {
    class: usize,
    part: i32,
    lane: ReadyLane,
    pub(crate) is_offered: bool,
    /// `None` if it is not offered, or if it is and cannot be read.
    pub(crate) offer: Option<Offer>,
}

/// A lane with its first due deliveries.
pub(crate) struct Offer {
    pub(crate) lane: Lane,
    pub(crate) heads: Heads,
}

/// The first due deliveries of a lane.
#[derive(Default)]
pub(crate) struct Heads {
    /// First attempts, and those that stand behind.
    pub(crate) kinds: [Vec<Head>; 2],
    pub(crate) expired: Vec<i64>,
    /// Deliveries whose rows cannot be read.
    pub(crate) unreadable: Vec<i64>,
    /// The number of deliveries of each kind.
    pub(crate) looked_at: [usize; 2],
}

/// The number of the part of [`READY`] that has the lanes whose time has come, of any class.
const FIRED: i32 = 3;
/// The number of the part of [`READY`] that has the lanes which are read by their ids, of any class.
const NAMED: i32 = 4;
/// The most lanes whose time has come that one claim reads.
const MAX_FIRED: usize = 256;
/// The most lanes of each list of which one claim reads deliveries.
pub(crate) const MAX_LANES: usize = 64;
/// The least lanes of each list of which one claim reads deliveries: some may have nothing left, and which is next may
/// change while it reads.
const MIN_LANES: usize = 4;
/// The most deliveries of one lane, and of each kind, that one claim reads.
const MAX_HEADS: usize = 256;

/// The parameters of [`READY`].
pub(crate) struct ReadyParams<'a> {
    plan: &'a Plan,
    windows: [i64; 3],
    fresh: [i64; 3],
    lanes: i64,
    heads: i64,
    full_lanes: String,
    full_tenants: String,
    lanes_by_use: String,
    tenants_by_use: String,
}

/// Returns a JSON object from each item to its place among them.
fn numbered<T: Display>(all: &[T]) -> String {
    object(all.iter().zip(0..))
}

/// Returns a JSON object from each key to its number. The server finds a key at once, but would scan an array for each row.
fn object<K: Display>(numbers: impl Iterator<Item = (K, i32)>) -> String {
    let numbers: HashMap<String, i32> = numbers.map(|(key, number)| (key.to_string(), number)).collect();
    serde_json::to_string(&numbers).unwrap_or_else(|_| "{}".to_owned())
}

impl<'a> ReadyParams<'a> {
    /// It reads none of a class for which there is no room.
    pub(crate) fn of(plan: &'a Plan, request: &ClaimRequest) -> Self {
        let most = |has_room, most| as_i64(if has_room { most } else { 0 });
        let full_lanes = plan.full_lanes.iter().map(|(lane, class)| (lane, class_number(*class).into()));
        Self {
            plan,
            windows: [0, 1, 2].map(|class| most(plan.has_room[class], plan.cursors[class].window())),
            fresh: plan.has_room.map(|has_room| most(has_room, MAX_FRESH)),
            lanes: as_i64(request.limit.clamp(MIN_LANES, MAX_LANES)),
            heads: as_i64(most_heads(request)),
            full_lanes: object(full_lanes),
            full_tenants: numbered(&plan.full_tenants),
            lanes_by_use: numbered(&plan.lanes_by_use),
            tenants_by_use: numbered(&plan.tenants_by_use),
        }
    }

    pub(crate) fn params(&self) -> Vec<&(dyn ToSql + Sync)> {
        let mut params: Vec<&(dyn ToSql + Sync)> = Vec::new();
        for (class, cursor) in self.plan.cursors.iter().enumerate() {
            let (transaction, lane) = (&cursor.since.0, &cursor.since.1);
            params.extend::<[&(dyn ToSql + Sync); 5]>([
                &cursor.cursor,
                &self.windows[class],
                transaction,
                lane,
                &self.fresh[class],
            ]);
        }
        params.extend::<[&(dyn ToSql + Sync); 7]>([
            &self.full_lanes,
            &self.full_tenants,
            &self.lanes,
            &self.heads,
            &self.tenants_by_use,
            &self.lanes_by_use,
            &self.plan.named,
        ]);
        params
    }

    pub(crate) fn windows(&self) -> [usize; 3] {
        self.windows.map(|window| usize::try_from(window).unwrap_or_default())
    }
}

/// Returns the most deliveries of a lane that a claim reads.
pub(crate) fn most_heads(request: &ClaimRequest) -> usize {
    request.limit.min(request.quota.per_webhook()).min(MAX_HEADS)
}

impl Entry {
    pub(crate) fn read(row: Row, now: Millis) -> Result<Self, QueryError> {
        let lane = ReadyLane {
            id: row.read("ready_id")?,
            tenant: TenantId::new(row.read::<&str>("ready_tenant")?).ok(),
            hook: HookId::new(row.read("ready_hook")?),
            readied: row.read("readied")?,
        };
        let class = usize::try_from(row.read::<i32>("ready_class")?)?;
        let part = row.read("part")?;
        let is_offered = row.read::<Option<LaneId>>("id")?.is_some();
        let offer = if is_offered { Offer::read(row, now)? } else { None };
        Ok(Self { class, part, lane, is_offered, offer })
    }

    pub(crate) const fn id(&self) -> LaneId {
        self.lane.id
    }

    /// Returns whether its row cannot be read.
    pub(crate) const fn is_unreadable(&self) -> bool {
        self.is_offered && self.offer.is_none()
    }

    pub(crate) const fn is_fired(&self) -> bool {
        self.part == FIRED
    }
}

impl Offer {
    /// Reads a lane with its webhook, and its deliveries. `None` if the lane cannot be read: it is left out, so that it
    /// stops no other one.
    pub(crate) fn read(row: Row, now: Millis) -> Result<Option<Self>, QueryError> {
        let heads = Heads::read(&row, now)?;
        let lane = Lane::read(row).and_then(|lane| lane.registered().map(|_| lane));
        Ok(lane.ok().map(|lane| Self { lane, heads }))
    }
}

impl Heads {
    fn read(row: &Row, now: Millis) -> Result<Self, QueryError> {
        let mut read = Self::default();
        let Some(ids) = row.read::<Option<Vec<i64>>>("ids")? else { return Ok(read) };
        let events: Vec<i64> = row.read("events")?;
        let fences: Vec<i64> = row.read("fences")?;
        let attempts: Vec<i32> = row.read("all_attempts")?;
        let retries: Vec<Option<&str>> = row.read("retries")?;
        let bytes: Vec<i32> = row.read("sizes")?;
        let expires: Vec<Millis> = row.read("expiries")?;
        let kinds: Vec<i32> = row.read("kinds")?;
        for (n, id) in ids.into_iter().enumerate() {
            let kind = usize::from(kinds[n] > 0);
            read.looked_at[kind] += 1;
            if expires[n] <= now {
                read.expired.push(id);
                continue;
            }
            let (event, fence, attempts) = (events[n], fences[n], attempts[n]);
            match (RetryState::from_doc(retries[n]), usize::try_from(bytes[n])) {
                (Ok(retry), Ok(bytes)) => {
                    read.kinds[kind].push(Head { id, event, fence, attempts, retry, bytes })
                }
                _ => read.unreadable.push(id),
            }
        }
        Ok(read)
    }
}

impl ReadyLanes {
    /// Builds the lists of each class. Lanes whose time has come are only in `fired`.
    pub(crate) fn by_class(entries: &[Entry], windows: [usize; 3]) -> [Self; 3] {
        [0, 1, 2].map(|class| {
            let of = |part| {
                let these = entries.iter().filter(move |it| it.class == class && it.part == part);
                these.map(|it| it.lane.clone()).collect::<Vec<_>>()
            };
            let read = Self { fired: of(FIRED), named: of(NAMED), ..Self::default() };
            read.along([of(0), of(1), of(2)], windows[class])
        })
    }

    /// Adds the lanes that became ready, and those after the cursor and before it.
    pub(crate) fn along(self, parts: [Vec<ReadyLane>; 3], window: usize) -> Self {
        let [mut fresh, mut ring, mut behind] = parts;
        fresh.sort_unstable_by_key(|it| (it.readied, it.id));
        ring.sort_unstable_by_key(|it| it.id);
        behind.sort_unstable_by_key(|it| it.id);
        let ahead = ring.len();
        ring.append(&mut behind);
        // Lanes after the cursor and before it were read up to a window each.
        let is_whole = ring.len() < window;
        ring.truncate(window);
        Self { fresh, ring, ahead, is_whole, ..self }
    }
}

/// Reads, of each class, lanes that became ready since the last claim, lanes after the cursor, and lanes from the start;
/// those whose time has come, and those that are named. Those for which there may be room, and which used least, come with
/// the lane and its first due deliveries.
pub(crate) static READY: LazyLock<String> = LazyLock::new(|| {
    let parts: Vec<String> = (0..CLASSES.len()).flat_map(ready_of_class).collect();
    let parts = parts.join(" UNION ALL ");
    format!(
        "WITH seen AS MATERIALIZED ({parts} UNION ALL (SELECT id, tenant, hook, readied, class::int, {FIRED} AS part \
            FROM lane WHERE wake_at <= (SELECT clock_ms()) ORDER BY wake_at LIMIT {MAX_FIRED}) \
            UNION ALL (SELECT id, tenant, hook, readied, class::int, {NAMED} AS part FROM lane WHERE id = ANY ($22::bigint[]) AND ready)), \
        placed AS (SELECT seen.*, is_full, row_number() OVER (PARTITION BY class, part, is_full \
                ORDER BY tenant_used NULLS FIRST, lane_used NULLS FIRST, CASE WHEN part = 0 THEN readied END, id) AS place \
            FROM seen CROSS JOIN LATERAL (SELECT \
                coalesce(((SELECT $16::text::jsonb) -> id::text)::int = class, false) OR (SELECT $17::text::jsonb) ? tenant AS is_full, \
                ((SELECT $20::text::jsonb) -> tenant)::int AS tenant_used, \
                ((SELECT $21::text::jsonb) -> id::text)::int AS lane_used OFFSET 0) AS known), \
        wanted AS (SELECT *, NOT is_full AND place <= $18::bigint \
            AND row_number() OVER (PARTITION BY id ORDER BY place, part) = 1 AS is_wanted FROM placed) \
        SELECT wanted.id AS ready_id, wanted.tenant AS ready_tenant, wanted.hook AS ready_hook, \
            wanted.class AS ready_class, wanted.readied, wanted.part, offered.* \
        FROM wanted LEFT JOIN LATERAL (SELECT {columns}, head.* FROM lane \
            LEFT JOIN LATERAL ({heads}) AS head ON true \
            WHERE is_wanted AND lane.id = wanted.id LIMIT 1) AS offered ON true",
        columns = lane_columns!(),
        heads = heads("$19")
    )
});

/// Reads a lane that is locked, with its first due deliveries.
pub(crate) static LOCKED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {columns}, head.* FROM lane LEFT JOIN LATERAL ({heads}) AS head ON true \
        WHERE id = $1 AND status = 1 AND (ready OR wake_at <= (SELECT clock_ms()))",
        columns = lane_columns!(),
        heads = heads("$2")
    )
});

/// Reads so many of each kind, each along a part of the index: the other may be long.
fn heads(most: &str) -> String {
    format!(
        "SELECT array_agg(id) AS ids, array_agg(event) AS events, array_agg(fence) AS fences, \
            array_agg(attempts) AS all_attempts, array_agg(retry::text) AS retries, array_agg(bytes) AS sizes, \
            array_agg(expires) AS expiries, array_agg(kind) AS kinds \
        FROM (VALUES (0, lane.floor), (1, lane.floor_behind)) AS half (kind, floor) CROSS JOIN LATERAL ( \
            SELECT id, event, fence, attempts, retry, bytes, expires FROM delivery {half} \
                AND due >= half.floor AND due <= (SELECT clock_ms()) AND {unheld} \
            ORDER BY due, id LIMIT {most}) AS first",
        half = half!(),
        unheld = unheld!("(SELECT clock_ms())")
    )
}

fn ready_of_class(class: usize) -> [String; 3] {
    let [cursor, window, transaction, lane, fresh] = [1, 2, 3, 4, 5].map(|parameter| parameter + 5 * class);
    let since = format!("(readied, id) > (${transaction}::bigint, ${lane}::bigint)");
    let parts = [
        (0, format!("{since} ORDER BY readied, id LIMIT ${fresh}")),
        (1, format!("id + 0 > ${cursor} ORDER BY id + 0 LIMIT ${window}")),
        (2, format!("id + 0 <= ${cursor} ORDER BY id + 0 LIMIT ${window}")),
    ];
    parts.map(|(part, condition)| {
        format!(
            "(SELECT id, tenant, hook, readied, {class} AS class, {part} AS part FROM lane \
                WHERE ready AND class = {class} AND {condition}::bigint)"
        )
    })
}
