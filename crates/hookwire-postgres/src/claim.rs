//! Claims: due deliveries are taken for a dispatcher.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookwire::model::{DeliveryId, StampedEvent};
use hookwire::registry::RegisteredWebhook;
use hookwire::store::{Claim, ClaimRequest};
use tokio_postgres::Row;

use crate::connection::session::{Operation, Tx};
use crate::error::{QueryError, ReadRow};
use crate::rows::{Lane, LaneId, as_i64, event, event_columns, fence_of, holder_bytes, ids, retry_state};
use crate::schedule::cursor::serving_order;
use crate::schedule::holders::{ClaimKey, CountedClaim, Holders, Reservation};
use crate::schedule::lanes::{self, EarliestDue};
use crate::schedule::ready::{LOCK_AVAILABLE, Locked, READY, ReadyScan, lock_available, read_ready};
use crate::schedule::select::{Head, LaneHeads, Selection, select};
use crate::time::Millis;
use crate::unreadable::Unreadable;

/// The most lanes that one claim locks.
const MAX_LANES: usize = 64;
/// The most lanes that one claim makes ready because their time has come.
const MAX_TIMERS: i64 = 256;
/// The most deliveries of one lane that one claim reads.
const MAX_HEADS: usize = 256;
/// The delay after which a lane is looked at again that others had locked when its time came.
const RETRY_LOCKED: Duration = Duration::from_millis(100);

/// Claims due deliveries. It skips lanes that others have locked, and waits for [`only`](Self::only) alone.
pub(crate) struct Take {
    pub(crate) request: ClaimRequest,
    pub(crate) holders: Arc<Holders>,
    /// The one lane to wait for and to take from. `None` to take from all lanes that are available.
    pub(crate) only: Option<LaneId>,
}

/// The claims that were made, and when to claim again.
pub(crate) struct Taken {
    pub(crate) claims: Vec<Claim>,
    pub(crate) reservation: Reservation,
    pub(crate) next_in: Option<Duration>,
    /// The first lane that others had locked.
    pub(crate) busy: Option<LaneId>,
    pub(crate) has_unrouted: bool,
    pub(crate) unreadable: Unreadable,
}

/// The lanes that a claim has locked.
struct Found {
    locked: Locked,
    /// The scan that found them. `None` where one lane was waited for.
    scan: Option<ReadyScan>,
    /// Whether more lanes may have to be made ready.
    is_part: bool,
}

#[async_trait]
impl Operation for Take {
    type Output = Taken;

    async fn run(&self, tx: &Tx<'_>) -> Result<Taken, QueryError> {
        let row = tx.first(BEGIN, &[]).await?.ok_or_else(|| QueryError::corrupt("no time"))?;
        let begun: Millis = row.read("now")?;
        let has_unrouted = row.read("unrouted")?;
        let found = match self.only {
            Some(lane) => self.wait_for(tx, lane).await?,
            None => self.find(tx, begun, row.read("oldest")?).await?,
        };
        // Waiting for a lane takes time.
        let now = if self.only.is_some() { tx.now().await? } else { begun };
        let Locked { lanes, busy, unreadable } = &found.locked;
        let mut unreadable = Unreadable { lanes: unreadable.clone(), ..Unreadable::default() };
        let (candidates, expired) = self.candidates(tx, lanes, &mut unreadable, now).await?;
        expire(tx, &expired, now).await?;
        let (selection, reservation) = reserve(&self.holders, &self.request, &candidates, now);
        let is_cut = selection.is_cut || found.is_part || !expired.is_empty();
        let is_cut = self.finish_scan(&found, &candidates, &selection) || is_cut;
        let claims = self.write(tx, lanes, selection, &mut unreadable, now).await?;
        let touched: Vec<LaneId> = lanes.iter().map(|lane| lane.id).collect();
        lanes::refresh(tx, &touched, now, EarliestDue::Nothing).await?;
        let is_cut = is_cut || !unreadable.is_empty();
        let next_in = if is_cut { Some(Duration::ZERO) } else { self.next_in(tx, now).await? };
        let busy = busy.first().copied();
        Ok(Taken { claims, reservation, next_in, busy, has_unrouted, unreadable })
    }
}

impl Take {
    /// Locks ready lanes that others have not locked, in the order of their turns.
    async fn find(&self, tx: &Tx<'_>, now: Millis, oldest: i64) -> Result<Found, QueryError> {
        let is_part = ready_due_lanes(tx, now).await?;
        let (holder, quota) = (self.request.holder, &self.request.quota);
        let plan = self.holders.plan(holder, quota, now, oldest);
        let ready = read_ready(tx, &plan).await?;
        let with_room = self.holders.with_room(holder, quota, &ready);
        let mut wanted = Vec::new();
        for id in serving_order(&ready, |id| with_room.contains(&id), plan.number) {
            if wanted.len() < self.request.limit.clamp(1, MAX_LANES) && !wanted.contains(&id) {
                wanted.push(id);
            }
        }
        let locked = lock_available(tx, &wanted).await?;
        Ok(Found { locked, scan: Some(ReadyScan { plan, ready, with_room, wanted, oldest }), is_part })
    }

    /// Moves the cursors on, and returns whether there may be more to take at once.
    fn finish_scan(&self, found: &Found, candidates: &[LaneHeads], selection: &Selection) -> bool {
        let Some(scan) = &found.scan else { return true };
        let outcome = |id| scan.outcome(id, &found.locked.busy, candidates, selection);
        let mut has_more = false;
        let mut cursors = scan.plan.cursors;
        for ((cursor, seen), has_room) in cursors.iter_mut().zip(&scan.ready).zip(scan.plan.has_room) {
            if has_room {
                let more;
                (*cursor, more) = cursor.after(seen, outcome, scan.oldest);
                // A claim of nothing could not get more.
                has_more |= more && self.request.limit > 0;
            }
        }
        self.holders.finish_scan(self.request.holder, &scan.plan, cursors);
        has_more
    }

    /// Waits for one lane. No lock is held meanwhile, so nobody waits for this transaction.
    async fn wait_for(&self, tx: &Tx<'_>, lane: LaneId) -> Result<Found, QueryError> {
        let lane = lanes::lock_ids(tx, &[lane]).await?;
        Ok(Found { locked: lock_available(tx, &lane).await?, scan: None, is_part: true })
    }

    /// Reads the first deliveries of each lane, and those among them that have expired.
    async fn candidates(
        &self,
        tx: &Tx<'_>,
        lanes: &[Lane],
        unreadable: &mut Unreadable,
        now: Millis,
    ) -> Result<(Vec<LaneHeads>, Vec<i64>), QueryError> {
        let mut candidates: Vec<LaneHeads> = lanes.iter().map(LaneHeads::of).collect();
        if candidates.is_empty() {
            return Ok((candidates, Vec::new()));
        }
        let numbers: HashMap<LaneId, usize> =
            lanes.iter().enumerate().map(|(number, lane)| (lane.id, number)).collect();
        let ids: Vec<LaneId> = lanes.iter().map(|lane| lane.id).collect();
        let epochs: Vec<i64> = lanes.iter().map(|lane| lane.epoch).collect();
        let floors: Vec<Millis> = lanes.iter().map(|lane| lane.floor.unwrap_or(Millis::MIN)).collect();
        let most = self.request.limit.min(self.request.quota.per_webhook()).min(MAX_HEADS);
        let (mut expired, mut looked_at) = (Vec::new(), vec![0; lanes.len()]);
        for row in tx.rows(HEADS, &[&ids, &epochs, &floors, &as_i64(most), &now]).await? {
            let Some(number) = numbers.get(&row.read("lane")?) else { continue };
            looked_at[*number] += 1;
            if row.read::<Millis>("expires")? <= now {
                expired.push(row.read("id")?);
            } else if let Ok(head) = Head::read(&row) {
                candidates[*number].heads.push(head);
            } else {
                unreadable.deliveries.push(row.read("id")?);
            }
        }
        candidates
            .iter_mut()
            .zip(looked_at)
            .for_each(|(candidate, looked_at)| candidate.is_part = looked_at >= most);
        Ok((candidates, expired))
    }

    /// Writes the claims, and reads the events that go with them. A delivery that its last holder has settled meanwhile,
    /// after the end of its lease, is left out.
    async fn write(
        &self,
        tx: &Tx<'_>,
        lanes: &[Lane],
        selection: Selection,
        unreadable: &mut Unreadable,
        now: Millis,
    ) -> Result<Vec<Claim>, QueryError> {
        if selection.taken.is_empty() {
            return Ok(Vec::new());
        }
        let (taken, fences): (Vec<i64>, Vec<i64>) =
            selection.taken.iter().map(|(_, head)| (head.id, head.fence)).unzip();
        let until = now.plus(self.request.lease);
        let holder = holder_bytes(self.request.holder);
        let written = tx.rows(TAKE, &[&taken, &fences, &holder, &until, &now]).await?;
        let written = ids(&written, "id")?;
        let mut taken = selection.taken;
        let lost: Vec<_> = taken.extract_if(.., |(_, head)| !written.contains(&head.id)).collect();
        let events = events(tx, &taken).await?;
        let without: Vec<_> = taken.extract_if(.., |(_, head)| !events.contains_key(&head.event)).collect();
        unreadable.deliveries.extend(without.iter().map(|(_, head)| head.id));
        self.holders.end(lost.iter().chain(&without).map(|(_, head)| head.key()));
        claims(lanes, &taken, &events)
    }

    /// Returns the time until a lane becomes ready, or a lease ends.
    async fn next_in(&self, tx: &Tx<'_>, now: Millis) -> Result<Option<Duration>, QueryError> {
        let row = tx.first(NEXT, &[&now]).await?.ok_or_else(|| QueryError::corrupt("no answer"))?;
        // A lane whose time has come and which is not ready is locked by somebody.
        let later = now.plus(RETRY_LOCKED);
        let next = row.read::<Option<Millis>>("next")?.map(|at| if at <= now { later } else { at });
        let next = next.into_iter().chain(self.holders.next_end(self.request.holder)).min();
        Ok(next.map(|at| at.since(now)))
    }
}

/// Selects from the candidates as far as the holder has room, and counts what is selected.
pub(crate) fn reserve(
    holders: &Arc<Holders>,
    request: &ClaimRequest,
    candidates: &[LaneHeads],
    now: Millis,
) -> (Selection, Reservation) {
    let until = now.plus(request.lease);
    holders.reserve(request.holder, now, |held| {
        let selection = select(candidates, request, held);
        let lease = |(number, head): &(usize, Head)| {
            let candidate = &candidates[*number];
            let (tenant, hook, class) = (candidate.tenant.clone(), candidate.hook, candidate.class);
            (head.key(), CountedClaim { tenant, hook, class, until })
        };
        let leases = selection.taken.iter().map(lease).collect();
        (selection, leases)
    })
}

/// Builds claims, with all that an attempt needs.
pub(crate) fn claims(
    lanes: &[Lane],
    taken: &[(usize, Head)],
    events: &HashMap<i64, Arc<StampedEvent>>,
) -> Result<Vec<Claim>, QueryError> {
    let mut hooks: HashMap<LaneId, Arc<RegisteredWebhook>> = HashMap::new();
    let mut claim = |(number, head): &(usize, Head)| {
        let lane = &lanes[*number];
        let hook = match hooks.entry(lane.id) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => Arc::clone(new.insert(Arc::new(lane.registered()?))),
        };
        let event = events.get(&head.event).map(Arc::clone);
        Ok(Claim {
            id: DeliveryId::new(head.id),
            fence: fence_of(head.fence + 1),
            tenant: lane.tenant.clone(),
            hook,
            event: event.ok_or_else(|| QueryError::corrupt("a delivery without its event"))?,
            attempts: head.attempts.unsigned_abs(),
            retry: head.retry,
            health: lane.health,
        })
    };
    taken.iter().map(&mut claim).collect()
}

/// Makes lanes ready whose time has come, and returns whether there may be more.
async fn ready_due_lanes(tx: &Tx<'_>, now: Millis) -> Result<bool, QueryError> {
    let fired = tx.rows(TIMERS, &[&now, &MAX_TIMERS]).await?;
    let fired = ids(&fired, "id")?;
    lanes::refresh(tx, &fired, now, EarliestDue::Nothing).await?;
    Ok(as_i64(fired.len()) >= MAX_TIMERS)
}

async fn expire(tx: &Tx<'_>, expired: &[i64], now: Millis) -> Result<(), QueryError> {
    if !expired.is_empty() {
        tx.run(EXPIRE, &[&expired, &now]).await?;
    }
    Ok(())
}

/// Reads the events of the deliveries that were taken, each once, as far as they can be read.
async fn events(tx: &Tx<'_>, taken: &[(usize, Head)]) -> Result<HashMap<i64, Arc<StampedEvent>>, QueryError> {
    let mut wanted: Vec<i64> = taken.iter().map(|(_, head)| head.event).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let rows = tx.rows(EVENTS, &[&wanted]).await?;
    let readable = rows.iter().filter_map(|row| Some((row, event(row).ok()?)));
    readable.map(|(row, event)| Ok((row.read("seq")?, Arc::new(event)))).collect()
}

impl LaneHeads {
    /// Creates a candidate without deliveries.
    pub(crate) fn of(lane: &Lane) -> Self {
        let (tenant, class) = (lane.tenant.clone(), lane.health.class());
        Self { lane: lane.id, tenant, hook: lane.hook, class, heads: Vec::new(), is_part: false }
    }
}

impl Head {
    fn read(row: &Row) -> Result<Self, QueryError> {
        Ok(Self {
            id: row.read("id")?,
            event: row.read("event")?,
            fence: row.read("fence")?,
            attempts: row.read("attempts")?,
            retry: retry_state(row)?,
            bytes: usize::try_from(row.read::<i32>("bytes")?)?,
        })
    }

    /// Returns the key of the claim that this becomes.
    const fn key(&self) -> ClaimKey {
        (self.id, self.fence + 1)
    }
}

/// Every transaction before `oldest` has ended, and every later statement sees it.
const BEGIN: &str = "SELECT clock_ms() AS now, EXISTS (SELECT FROM event WHERE routed_at IS NULL) AS unrouted, \
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest";

const TIMERS: &str = "SELECT id FROM lane WHERE wake_at <= $1 ORDER BY wake_at LIMIT $2 \
    FOR UPDATE SKIP LOCKED";

const HEADS: &str = "
    SELECT head.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS wanted (id, epoch, floor)
    CROSS JOIN LATERAL (
        SELECT id, lane, event, bytes, fence, attempts, retry::text AS retry, expires FROM delivery
        WHERE lane = wanted.id AND epoch = wanted.epoch AND state = 0
            AND due >= wanted.floor AND due <= $5
        ORDER BY due, id LIMIT $4
    ) AS head";

const TAKE: &str = "
    UPDATE delivery SET fence = delivery.fence + 1, holder = $3, due = $4
    FROM unnest($1::bigint[], $2::bigint[]) AS chosen (id, fence)
    WHERE delivery.id = ANY ($1) AND delivery.id = chosen.id AND delivery.fence = chosen.fence
        AND state = 0 AND due <= $5
    RETURNING delivery.id";

const EXPIRE: &str = "UPDATE delivery SET state = 5, holder = NULL, ended_at = $2 \
    WHERE id = ANY ($1) AND state = 0 AND due <= $2";

const EVENTS: &str = concat!("SELECT event.seq, ", event_columns!(), " FROM event WHERE seq = ANY ($1)");

/// A routing lease that has ended is not waited for: this claim takes that tenant, or it has nothing to route.
const NEXT: &str = "SELECT least((SELECT min(wake_at) FROM lane WHERE wake_at IS NOT NULL), \
    (SELECT min(router_until) FROM tenant WHERE router_until > $1)) AS next";

/// Returns the statements of a claim, for a test that reads their plans.
#[doc(hidden)]
pub fn claim_statements() -> Vec<(&'static str, String)> {
    [
        ("begin", BEGIN),
        ("timers", TIMERS),
        ("ready", READY.as_str()),
        ("lock", LOCK_AVAILABLE),
        ("heads", HEADS),
        ("take", TAKE),
        ("events", EVENTS),
        ("refresh", lanes::REFRESH),
        ("next", NEXT),
    ]
    .map(|(name, sql)| (name, sql.to_owned()))
    .to_vec()
}
