//! Claims: takes due deliveries for a dispatcher, as far as rates and caps of webhooks allow.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookwire::model::{DeliveryId, StampedEvent};
use hookwire::registry::RegisteredWebhook;
use hookwire::store::{Claim, ClaimRequest};
use tokio_postgres::Row;

use crate::connection::session::{Operation, Sessions, Tx};
use crate::connection::statements::Params;
use crate::error::{QueryError, ReadRow};
use crate::rows::{
    Lane, LaneId, as_i64, class_number, event, event_columns, fence_number, fence_of, found, holder_bytes,
    ids,
};
use crate::schedule::cursor::ReadyLanes;
use crate::schedule::holder::{ClaimKey, CountedClaim, Plan};
use crate::schedule::holders::{Holders, Reservation};
use crate::schedule::lanes::{self, EarliestDue, is_locked, unheld};
use crate::schedule::places::Place;
use crate::schedule::ready::{
    Entry, Heads, LOCKED, MAX_LANES, Offer, READY, ReadyParams, ReadyScan, most_heads,
};
use crate::schedule::select::{Head, LaneHeads, Selection, select};
use crate::time::Millis;
use crate::unreadable::Unreadable;

/// The delay after which a lane is looked at again that others had locked when its time came.
const RETRY_LOCKED: Duration = Duration::from_millis(100);
/// The time over which a rate counts.
const RATE_WINDOW: Duration = Duration::from_secs(1);
/// The most lanes whose time has come that one claim makes ready.
const MAX_FIRED: usize = 256;

/// Reads what a claim may take, in one round trip. It locks nothing.
pub(crate) struct Look<'a> {
    pub(crate) request: &'a ClaimRequest,
    pub(crate) plan: &'a Plan,
}

/// What a claim may take, as it was when it was read.
pub(crate) struct Seen {
    pub(crate) now: Millis,
    pub(crate) has_unrouted: bool,
    oldest: i64,
    /// The time when a lane has to be looked at, or a routing lease ends.
    next: Option<Millis>,
    entries: Vec<Entry>,
    windows: [usize; 3],
}

/// Takes what was chosen, in one round trip, as far as it is still there. It skips lanes that others have locked.
struct Grab<'a> {
    request: &'a ClaimRequest,
    now: Millis,
    lanes: &'a [Lane],
    selection: &'a Selection,
    expired: Vec<i64>,
    /// The lanes that are to be refreshed. All from which something is taken are among them.
    touched: Vec<LaneId>,
}

/// The result of a [`Grab`].
struct Grabbed {
    locked: Vec<LaneId>,
    taken: HashSet<i64>,
    /// The number of deliveries that were ended as expired.
    expired: usize,
    events: HashMap<i64, Arc<StampedEvent>>,
    /// The time when one of the lanes has to be looked at again.
    next: Option<Millis>,
}

/// The claims that were made, and when to claim again.
pub(crate) struct Taken {
    pub(crate) claims: Vec<Claim>,
    /// The number of deliveries that were ended as expired.
    pub(crate) expired: usize,
    pub(crate) reservation: Reservation,
    pub(crate) next_in: Option<Duration>,
    /// Whether nothing that is due was left for want of room.
    pub(crate) took_all: bool,
    /// The first lane that others had locked.
    pub(crate) busy: Option<LaneId>,
    pub(crate) has_unrouted: bool,
    pub(crate) unreadable: Unreadable,
}

/// Waits for one lane that others have locked, and takes from it. It holds no lock meanwhile, so nobody waits for this
/// transaction.
pub(crate) struct TakeFrom {
    pub(crate) request: ClaimRequest,
    pub(crate) holders: Arc<Holders>,
    pub(crate) lane: LaneId,
}

#[async_trait]
impl Operation for Look<'_> {
    type Output = Seen;

    async fn run(&self, tx: &Tx<'_>) -> Result<Seen, QueryError> {
        let ready = ReadyParams::of(self.plan, self.request);
        let [begun, rows] = tx.commit([(LOOK, &[]), (READY.as_str(), &ready.params())]).await?;
        let begun = begun.first().ok_or_else(|| QueryError::corrupt("no time"))?;
        let now = begun.read("now")?;
        let entries = rows.into_iter().map(|row| Entry::read(row, now)).collect::<Result<_, _>>()?;
        Ok(Seen {
            now,
            has_unrouted: begun.read("unrouted")?,
            oldest: begun.read("oldest")?,
            next: begun.read("next")?,
            entries,
            windows: ready.windows(),
        })
    }
}

/// Takes from the lanes that were seen. The transaction is none if there is nothing to take or to refresh.
pub(crate) async fn take(
    sessions: &Sessions,
    holders: &Arc<Holders>,
    request: &ClaimRequest,
    plan: Plan,
    seen: Seen,
) -> Result<Taken, QueryError> {
    let Seen { now, has_unrouted, oldest, next, entries, windows } = seen;
    let ready = ReadyLanes::by_class(&entries, windows);
    let in_turn = holders.in_turn(request.holder, &request.quota, &ready, now);
    let offered: HashSet<LaneId> = entries.iter().filter(|it| it.is_offered).map(Entry::id).collect();
    let wanted = in_turn.iter().map(|place| place.lane).filter(|id| offered.contains(id));
    let wanted: Vec<LaneId> = wanted.take(request.limit.clamp(1, MAX_LANES)).collect();
    let fired: Vec<LaneId> = entries.iter().filter(|it| it.is_fired()).map(Entry::id).collect();
    let lanes = entries.iter().filter(|it| it.is_unreadable()).map(Entry::id).collect();
    let mut unreadable = Unreadable { lanes, ..Unreadable::default() };
    let mut offers: Vec<Offer> = entries.into_iter().filter_map(|it| it.offer).collect();
    offers.retain(|it| wanted.contains(&it.lane.id));
    offers.sort_by_key(|it| wanted.iter().position(|id| *id == it.lane.id));
    let scan = ReadyScan { plan, ready, in_turn, wanted, oldest };
    let (lanes, candidates, expired) = candidates(offers, request, &mut unreadable);
    let (selection, mut reservation) = reserve(holders, request, &candidates, now);
    let is_cut = selection.is_cut || fired.len() >= MAX_FIRED || !expired.is_empty();
    let touched = touched(&candidates, &selection, &fired);
    let grab = Grab { request, now, lanes: &lanes, selection: &selection, expired, touched };
    let grabbed = if grab.touched.is_empty() { Grabbed::nothing() } else { sessions.transact(&grab).await? };
    let busy = grab.taken_lanes().filter(|id| !grabbed.locked.contains(id)).collect::<Vec<_>>();
    let touched = grab.touched.clone();
    let (has_more, took_all) = scan.finish(holders, request, &busy, &candidates, &selection, touched);
    let claims = grab.claims(&mut reservation, &grabbed, &mut unreadable)?;
    let took_all = took_all && claims.len() == selection.taken.len();
    let is_cut = has_more || is_cut || !unreadable.is_empty();
    let is_passed = fired.iter().any(|id| !grabbed.locked.contains(id));
    let later = is_passed.then(|| now.plus(RETRY_LOCKED));
    let next = [next, grabbed.next, later, holders.next_end(request.holder)].into_iter().flatten().min();
    let next_in = if is_cut { Some(Duration::ZERO) } else { next.map(|at| at.since(now)) };
    let (busy, took_all) = (busy.first().copied(), took_all && !is_cut && !is_passed);
    let expired = grabbed.expired;
    Ok(Taken { claims, expired, reservation, next_in, took_all, busy, has_unrouted, unreadable })
}

#[async_trait]
impl Operation for TakeFrom {
    type Output = Taken;

    async fn run(&self, tx: &Tx<'_>) -> Result<Taken, QueryError> {
        let (request, only) = (&self.request, &[self.lane][..]);
        let most = as_i64(most_heads(request));
        let locked = LOCKED.as_str();
        let [_, begun, rows] =
            tx.all([(lanes::LOCK_ONLY, &[&only]), (LOOK, &[]), (locked, &[&self.lane, &most])]).await?;
        let begun = begun.first().ok_or_else(|| QueryError::corrupt("no time"))?;
        let now = begun.read("now")?;
        let offers = rows.into_iter().map(|row| Offer::read(row, now)).collect::<Result<Vec<_>, _>>()?;
        let lanes = offers.iter().filter(|it| it.is_none()).map(|_| self.lane).collect();
        let mut unreadable = Unreadable { lanes, ..Unreadable::default() };
        let offers = offers.into_iter().flatten().collect();
        let (lanes, candidates, expired) = candidates(offers, request, &mut unreadable);
        let (selection, mut reservation) = reserve(&self.holders, request, &candidates, now);
        let (lanes, selection) = (&lanes[..], &selection);
        let grab = Grab { request, now, lanes, selection, expired, touched: only.to_vec() };
        let grabbed = grab.run(tx).await?;
        let claims = grab.claims(&mut reservation, &grabbed, &mut unreadable)?;
        Ok(Taken {
            claims,
            expired: grabbed.expired,
            reservation,
            next_in: Some(Duration::ZERO),
            took_all: false,
            busy: None,
            has_unrouted: begun.read("unrouted")?,
            unreadable,
        })
    }
}

/// Returns the lanes with their candidates, and the deliveries among them that have expired.
fn candidates(
    offers: Vec<Offer>,
    request: &ClaimRequest,
    unreadable: &mut Unreadable,
) -> (Vec<Lane>, Vec<LaneHeads>, Vec<i64>) {
    let most = most_heads(request);
    let (mut lanes, mut candidates, mut all_expired) = (Vec::new(), Vec::new(), Vec::new());
    for offer in offers {
        let Offer { lane, heads: Heads { kinds: [firsts, retries], expired, unreadable: aside, looked_at } } =
            offer;
        unreadable.deliveries.extend(aside);
        let is_part = looked_at.into_iter().any(|it| it >= most);
        candidates.push(LaneHeads { firsts, retries, is_part, ..LaneHeads::of(&lane) });
        all_expired.extend(expired);
        lanes.push(lane);
    }
    (lanes, candidates, all_expired)
}

/// Returns the lanes that a claim has to refresh: those from which it takes, those with nothing left, and those whose
/// time has come.
fn touched(candidates: &[LaneHeads], selection: &Selection, fired: &[LaneId]) -> Vec<LaneId> {
    let taken: HashSet<usize> = selection.taken.iter().map(|(number, _)| *number).collect();
    let of = |(number, it): (usize, &LaneHeads)| {
        (taken.contains(&number) || it.count() == 0).then_some(it.place.lane)
    };
    let lanes: BTreeSet<LaneId> =
        candidates.iter().enumerate().filter_map(of).chain(fired.iter().copied()).collect();
    lanes.into_iter().collect()
}

#[async_trait]
impl Operation for Grab<'_> {
    type Output = Grabbed;

    async fn run(&self, tx: &Tx<'_>) -> Result<Grabbed, QueryError> {
        let mut taken: Vec<&(usize, Head)> = self.selection.taken.iter().collect();
        taken.sort_unstable_by_key(|(_, head)| head.id);
        let of = |(number, _): &&(usize, Head)| &self.lanes[*number];
        let chosen: Vec<i64> = taken.iter().map(|(_, head)| head.id).collect();
        let fences: Vec<i64> = taken.iter().map(|(_, head)| head.fence).collect();
        let lanes: Vec<LaneId> = taken.iter().map(|it| of(it).id).collect();
        let versions: Vec<i64> = taken.iter().map(|it| of(it).version).collect();
        let classes: Vec<i16> = taken.iter().map(|it| class_number(of(it).health.class())).collect();
        let events: BTreeSet<i64> = taken.iter().map(|(_, head)| head.event).collect();
        let events: Vec<i64> = events.into_iter().collect();
        let (holder, until) = (holder_bytes(self.request.holder), self.now.plus(self.request.lease));
        let is_limited = self.selection.taken.iter().any(|it| of(&it).is_limited);
        let turns = if is_limited { turns_of(&lanes) } else { Vec::new() };
        let slot_until = self.now.plus(self.request.start_within).plus(RATE_WINDOW);
        let params: Params<'_> = &[&chosen, &fences, &lanes, &versions, &classes, &holder, &until, &self.now];
        let limited: Params<'_> =
            &[&chosen, &fences, &lanes, &versions, &classes, &holder, &until, &self.now, &turns, &slot_until];
        let take = if is_limited { (TAKE_LIMITED, limited) } else { (TAKE, params) };
        let [_, locked, taken, expired, events, refreshed] = tx
            .commit([
                (NOT_FLUSHED, &[]),
                (LOCK_AVAILABLE, &[&self.touched]),
                take,
                (EXPIRE, &[&self.expired, &self.now]),
                (EVENTS, &[&events]),
                (lanes::REFRESH, &[&self.touched, &self.now, &EarliestDue::Nothing.bound()]),
            ])
            .await?;
        let next = refreshed.iter().map(|row| row.read::<Option<Millis>>("wake_at"));
        Ok(Grabbed {
            locked: ids(&locked, "id")?,
            taken: ids(&taken, "id")?.into_iter().collect(),
            expired: expired.len(),
            events: events.iter().filter_map(read_event).collect(),
            next: next.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().min(),
        })
    }
}

/// Numbers what is chosen of each lane.
fn turns_of(lanes: &[LaneId]) -> Vec<i64> {
    let mut counts: HashMap<LaneId, i64> = HashMap::new();
    let turn = |lane: &LaneId| {
        let count = counts.entry(*lane).or_default();
        *count += 1;
        *count
    };
    lanes.iter().map(turn).collect()
}

impl Grab<'_> {
    fn taken_lanes(&self) -> impl Iterator<Item = LaneId> {
        self.selection.taken.iter().map(|(number, _)| self.lanes[*number].id)
    }

    /// Builds the claims that were made. A delivery that others have claimed or settled meanwhile is left out, and so is
    /// one whose event cannot be read.
    fn claims(
        &self,
        reservation: &mut Reservation,
        grabbed: &Grabbed,
        unreadable: &mut Unreadable,
    ) -> Result<Vec<Claim>, QueryError> {
        let is_taken = |it: &&(usize, Head)| grabbed.taken.contains(&it.1.id);
        let has_event = |it: &(usize, Head)| grabbed.events.contains_key(&it.1.event);
        let (taken, lost): (Vec<_>, Vec<_>) = self.selection.taken.iter().partition(is_taken);
        let (taken, without): (Vec<_>, Vec<_>) = taken.into_iter().partition(has_event);
        unreadable.deliveries.extend(without.iter().map(|(_, head)| head.id));
        reservation.give_back(lost.iter().chain(&without).map(|(_, head)| head.key()));
        claims(self.lanes, &taken, &grabbed.events)
    }
}

impl Grabbed {
    fn nothing() -> Self {
        Self { locked: Vec::new(), taken: HashSet::new(), expired: 0, events: HashMap::new(), next: None }
    }
}

/// Reads an event, if it can be read.
fn read_event(row: &Row) -> Option<(i64, Arc<StampedEvent>)> {
    Some((row.read("seq").ok()?, Arc::new(event(row).ok()?)))
}

/// Selects from the candidates as far as the holder has room, and counts what is selected.
pub(crate) fn reserve(
    holders: &Arc<Holders>,
    request: &ClaimRequest,
    candidates: &[LaneHeads],
    now: Millis,
) -> (Selection, Reservation) {
    let until = now.plus(request.lease);
    holders.reserve(request.holder, now, |places, now| {
        let selection = select(candidates, request, places, now);
        let lease = |(number, head): &(usize, Head)| {
            (head.key(), CountedClaim { place: candidates[*number].place.clone(), until })
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
            MapEntry::Occupied(known) => Arc::clone(known.get()),
            MapEntry::Vacant(new) => Arc::clone(new.insert(Arc::new(lane.registered()?))),
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

/// Returns the key of a claim, by which it is counted.
pub(crate) fn claim_key(claim: &Claim) -> ClaimKey {
    (claim.id.get(), fence_number(claim.fence))
}

impl LaneHeads {
    /// Creates a candidate without deliveries.
    pub(crate) fn of(lane: &Lane) -> Self {
        let (tenant, class) = (lane.tenant.clone(), lane.health.class());
        let place = Place { lane: lane.id, tenant, hook: lane.hook, class };
        Self { place, firsts: Vec::new(), retries: Vec::new(), is_part: false }
    }
}

impl Head {
    /// Returns the key of the claim that this becomes.
    const fn key(&self) -> ClaimKey {
        (self.id, self.fence + 1)
    }
}

/// Every transaction before `oldest` has ended, and every later statement sees it. A routing lease that has ended is not
/// waited for: this claim takes that tenant, or it has nothing to route.
const LOOK: &str = "SELECT now, EXISTS (SELECT FROM event WHERE routed_at IS NULL) AS unrouted, \
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest, \
    least((SELECT min(wake_at) FROM lane WHERE wake_at > now), \
        (SELECT min(router_until) FROM tenant WHERE router_until > now)) AS next \
    FROM (SELECT clock_ms() AS now) AS clock";

/// Commits a claim without waiting for the disk. If the server crashes, the claimed deliveries are due again, as when a
/// lease ends.
const NOT_FLUSHED: &str = "SELECT set_config('synchronous_commit', 'off', true)";

const LOCK_AVAILABLE: &str = "SELECT id FROM lane WHERE id = ANY ($1) FOR UPDATE SKIP LOCKED";

/// Takes from lanes that this transaction has locked and that are as they were seen. `$chosen` ends the columns of what was
/// chosen, `$set` has more that is set, and `$limits` more conditions of the lane.
macro_rules! take {
    ($chosen:literal, $set:literal, $limits:literal) => {
        concat!(
            "UPDATE delivery SET fence = delivery.fence + 1, holder = $6, held_until = $7",
            $set,
            " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[]",
            $chosen,
            found!("chosen"),
            "CROSS JOIN LATERAL (SELECT epoch, rate, cap FROM lane WHERE lane.id = chosen.lane \
                AND lane.version = chosen.version AND lane.class = chosen.class AND status = 1 \
                AND (ready OR wake_at <= $8) AND ",
            is_locked!(),
            $limits,
            " OFFSET 0) AS lane WHERE delivery.ctid = found.place AND delivery.fence = chosen.fence \
                AND delivery.epoch = lane.epoch AND state < 1 AND due <= $8 AND ",
            unheld!("$8"),
            " RETURNING delivery.id"
        )
    };
}

const TAKE: &str = take!(") AS chosen (id, fence, lane, version, class)", "", "");

/// Takes no more of a lane than its limits leave room for, under its lock, and takes the slots of its rate.
const TAKE_LIMITED: &str = concat!(
    "WITH taken AS (",
    take!(
        ", $9::bigint[]) AS chosen (id, fence, lane, version, class, turn)",
        ", limited = CASE WHEN rate IS NOT NULL OR cap IS NOT NULL THEN true END",
        " AND (rate IS NULL OR chosen.turn <= rate - (SELECT count(*) FROM unnest(slots) AS slot (until) \
            WHERE until > $8)) \
        AND (cap IS NULL OR chosen.turn <= cap - (SELECT count(*) FROM delivery AS held \
            WHERE held.lane = lane.id AND held.limited AND held.state = 0 AND held.held_until > $8))"
    ),
    ", delivery.lane), slotted AS (UPDATE lane SET slots = \
        (SELECT array_agg(until) FROM (SELECT until FROM unnest(slots) AS slot (until) WHERE until > $8 \
            UNION ALL SELECT $10 FROM generate_series(1, own.number)) AS slot) \
        FROM (SELECT lane, count(*) AS number FROM taken GROUP BY lane) AS own \
        WHERE lane.id = own.lane AND rate IS NOT NULL) \
    SELECT id FROM taken"
);

const EXPIRE: &str = concat!(
    "UPDATE delivery SET state = 5, holder = NULL, held_until = NULL, ended_at = $2 \
    FROM unnest($1::bigint[]) AS expired (id)",
    found!("expired"),
    "WHERE delivery.ctid = found.place AND state < 1 AND due <= $2 AND ",
    unheld!("$2"),
    " RETURNING delivery.id"
);

const EVENTS: &str = concat!("SELECT event.seq, ", event_columns!(), " FROM event WHERE seq = ANY ($1)");

/// Returns the statements of a claim, for a test that reads their plans.
#[doc(hidden)]
pub fn claim_statements() -> Vec<(&'static str, String)> {
    [
        ("look", LOOK),
        ("ready", READY.as_str()),
        ("locked", LOCKED.as_str()),
        ("lock", LOCK_AVAILABLE),
        ("take", TAKE),
        ("take_limited", TAKE_LIMITED),
        ("expire", EXPIRE),
        ("events", EVENTS),
        ("refresh", lanes::REFRESH),
    ]
    .map(|(name, sql)| (name, sql.to_owned()))
    .to_vec()
}
