use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookwire::model::{DeliveryId, StampedEvent, Timestamp};
use hookwire::registry::RegisteredWebhook;
use hookwire::store::{Claim, ClaimRequest};
use tokio_postgres::Row;

use crate::choose::{Choice, Head, Offer, choose};
use crate::fault::Fault;
use crate::hands::{Hands, Key, Lease, Reserved};
use crate::lanes::{self, NOTHING};
use crate::rows::{Lane, LaneId, event, event_columns, fence_of, holder_bytes, whole};
use crate::session::{Tx, Work};
use crate::turns::in_turn;
use crate::walk::{PICK, SEE, Walk, lock_free, see};

/// The most lanes that one claim looks at.
const MAX_LANES: usize = 64;
/// The most lanes that one claim looks at because their time has come.
const MAX_TIMERS: i64 = 256;
/// The most deliveries of one lane that one claim looks at.
const MAX_HEADS: usize = 256;
/// After this long a lane is looked at again that others had locked when its time came.
const WHILE_LOCKED: Duration = Duration::from_millis(100);

/// Takes what is due. Locks lanes, and waits for none of them but [`only`](Self::only).
pub(crate) struct Take {
    pub(crate) request: ClaimRequest,
    pub(crate) hands: Arc<Hands>,
    /// Waits for this lane and takes of it alone, instead of those that nobody else is at.
    pub(crate) only: Option<LaneId>,
}

/// What came of it.
pub(crate) struct Taken {
    pub(crate) claims: Vec<Claim>,
    pub(crate) reserved: Reserved,
    pub(crate) next_in: Option<Duration>,
    /// The first lane that others were at.
    pub(crate) busy: Option<LaneId>,
    pub(crate) has_unrouted: bool,
}

/// The lanes that a claim has locked.
struct Found {
    lanes: Vec<Lane>,
    /// Those that others were at.
    busy: Vec<LaneId>,
    /// How the holder came to them.
    walk: Option<Walk>,
    /// Whether there are more lanes whose time has come.
    is_part: bool,
}

#[async_trait]
impl Work for Take {
    type Done = Taken;

    async fn on(&self, tx: &Tx<'_>) -> Result<Taken, Fault> {
        let row = tx.first(BEGIN, &[]).await?.ok_or_else(|| Fault::corrupt("no time"))?;
        let (now, has_unrouted) = (row.try_get("now")?, row.try_get("unrouted")?);
        let found = match self.only {
            Some(lane) => self.wait_for(tx, lane).await?,
            None => self.find(tx, now, row.try_get("oldest")?).await?,
        };
        let now = if self.only.is_some() { tx.now().await? } else { now };
        let (offers, expired) = self.offers(tx, &found.lanes, now).await?;
        expire(tx, &expired, now).await?;
        let (choice, reserved) = reserve(&self.hands, &self.request, &offers, now);
        let is_cut = choice.is_cut || found.is_part || !expired.is_empty();
        let is_cut = self.walked(&found, &offers, &choice) || is_cut;
        let claims = self.write(tx, &found.lanes, choice, now).await?;
        let touched: Vec<LaneId> = found.lanes.iter().map(|lane| lane.id).collect();
        lanes::refresh(tx, &touched, now, NOTHING).await?;
        let next_in = if is_cut { Some(Duration::ZERO) } else { self.next_in(tx, now).await? };
        Ok(Taken { claims, reserved, next_in, busy: found.busy.first().copied(), has_unrouted })
    }
}

impl Take {
    /// Locks ready lanes that others are not at, in the order of their turns.
    async fn find(&self, tx: &Tx<'_>, now: i64, oldest: i64) -> Result<Found, Fault> {
        let is_part = fire(tx, now).await?;
        let (holder, quota) = (self.request.holder, &self.request.quota);
        let plan = self.hands.plan(holder, quota, now, oldest);
        let seen = see(tx, &plan).await?;
        let with_room = self.hands.with_room(holder, quota, &seen);
        let mut wanted = Vec::new();
        for id in in_turn(&seen, |id| with_room.contains(&id), plan.number) {
            if wanted.len() < self.request.limit.clamp(1, MAX_LANES) && !wanted.contains(&id) {
                wanted.push(id);
            }
        }
        let (lanes, busy) = lock_free(tx, &wanted).await?;
        Ok(Found { lanes, busy, walk: Some(Walk { plan, seen, with_room, wanted, oldest }), is_part })
    }

    /// Settles whose turn it is next, and tells whether there may be more to take at once.
    fn walked(&self, found: &Found, offers: &[Offer], choice: &Choice) -> bool {
        let Some(walk) = &found.walk else { return true };
        let fate = |id| walk.fate(id, &found.busy, offers, choice);
        let mut has_more = false;
        let mut turns = walk.plan.turns;
        for ((turn, seen), has_room) in turns.iter_mut().zip(&walk.seen).zip(walk.plan.has_room) {
            if has_room {
                let more;
                (*turn, more) = turn.after(seen, fate, walk.oldest);
                // Who asks for nothing could get nothing more.
                has_more |= more && self.request.limit > 0;
            }
        }
        self.hands.walked(self.request.holder, &walk.plan, turns);
        has_more
    }

    /// Waits for one lane. Nothing is locked before, so that nobody waits for this transaction meanwhile.
    async fn wait_for(&self, tx: &Tx<'_>, lane: LaneId) -> Result<Found, Fault> {
        let mut lanes = lanes::lock(tx, &[lane]).await?;
        lanes.retain(|lane| lane.ready && lane.is_enabled());
        Ok(Found { lanes, busy: Vec::new(), walk: None, is_part: true })
    }

    /// The first deliveries of each lane, and those among them that have expired.
    async fn offers(&self, tx: &Tx<'_>, lanes: &[Lane], now: i64) -> Result<(Vec<Offer>, Vec<i64>), Fault> {
        let mut offers: Vec<Offer> = lanes.iter().map(Offer::of).collect();
        if offers.is_empty() {
            return Ok((offers, Vec::new()));
        }
        let numbers: HashMap<LaneId, usize> =
            lanes.iter().enumerate().map(|(number, lane)| (lane.id, number)).collect();
        let ids: Vec<LaneId> = lanes.iter().map(|lane| lane.id).collect();
        let epochs: Vec<i64> = lanes.iter().map(|lane| lane.epoch).collect();
        let floors: Vec<i64> = lanes.iter().map(|lane| lane.floor.unwrap_or(i64::MIN)).collect();
        let most = self.request.limit.min(self.request.quota.per_webhook()).min(MAX_HEADS);
        let (mut expired, mut looked_at) = (Vec::new(), vec![0; lanes.len()]);
        for row in tx.rows(HEADS, &[&ids, &epochs, &floors, &whole(most), &now]).await? {
            let Some(number) = numbers.get(&row.try_get("lane")?) else { continue };
            looked_at[*number] += 1;
            if row.try_get::<_, i64>("expires")? <= now {
                expired.push(row.try_get("id")?);
            } else {
                offers[*number].heads.push(Head::read(&row)?);
            }
        }
        offers.iter_mut().zip(looked_at).for_each(|(offer, looked_at)| offer.is_part = looked_at >= most);
        Ok((offers, expired))
    }

    /// Writes down what was chosen, and reads what goes with it. What its last holder has settled in the
    /// meantime, although its lease was over, is left out.
    async fn write(
        &self,
        tx: &Tx<'_>,
        lanes: &[Lane],
        choice: Choice,
        now: i64,
    ) -> Result<Vec<Claim>, Fault> {
        if choice.taken.is_empty() {
            return Ok(Vec::new());
        }
        let (ids, fences): (Vec<i64>, Vec<i64>) =
            choice.taken.iter().map(|(_, head)| (head.id, head.fence)).unzip();
        let until = Timestamp::from_millis(now).plus(self.request.lease).as_millis();
        let holder = holder_bytes(self.request.holder);
        let written = tx.rows(TAKE, &[&ids, &fences, &holder, &until, &now]).await?;
        let written =
            written.iter().map(|row| Ok(row.try_get("id")?)).collect::<Result<Vec<i64>, Fault>>()?;
        let lost = choice.taken.iter().filter(|(_, head)| !written.contains(&head.id));
        self.hands.end(lost.map(|(_, head)| head.key()));
        let mut taken = choice.taken;
        taken.retain(|(_, head)| written.contains(&head.id));
        let events = events(tx, &taken).await?;
        claims(lanes, &taken, &events)
    }

    /// The next time at which a lane is ready or a lease ends by itself.
    async fn next_in(&self, tx: &Tx<'_>, now: i64) -> Result<Option<Duration>, Fault> {
        let row = tx.first(NEXT, &[&now]).await?.ok_or_else(|| Fault::corrupt("no answer"))?;
        // A lane whose time has come, and which is left all the same, is locked by somebody.
        let later = Timestamp::from_millis(now).plus(WHILE_LOCKED).as_millis();
        let next = row.try_get::<_, Option<i64>>("next")?.map(|at| if at <= now { later } else { at });
        let next = next.into_iter().chain(self.hands.next_end(self.request.holder)).min();
        Ok(next.map(|at| Timestamp::from_millis(at).since(Timestamp::from_millis(now))))
    }
}

/// Chooses from the offers of lanes, as far as the holder has room, and counts what is chosen.
pub(crate) fn reserve(
    hands: &Arc<Hands>,
    request: &ClaimRequest,
    offers: &[Offer],
    now: i64,
) -> (Choice, Reserved) {
    let until = Timestamp::from_millis(now).plus(request.lease).as_millis();
    hands.reserve(request.holder, now, |held| {
        let choice = choose(offers, request, held);
        let lease = |(number, head): &(usize, Head)| {
            let offer = &offers[*number];
            let (tenant, hook, class) = (offer.tenant.clone(), offer.hook, offer.class);
            (head.key(), Lease { tenant, hook, class, until })
        };
        let leases = choice.taken.iter().map(lease).collect();
        (choice, leases)
    })
}

/// What was taken from lanes, with all that sending it needs.
pub(crate) fn claims(
    lanes: &[Lane],
    taken: &[(usize, Head)],
    events: &HashMap<i64, Arc<StampedEvent>>,
) -> Result<Vec<Claim>, Fault> {
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
            event: event.ok_or_else(|| Fault::corrupt("a delivery without its event"))?,
            attempts: head.attempts.unsigned_abs(),
            health: lane.health,
        })
    };
    taken.iter().map(&mut claim).collect()
}

/// Readies lanes whose time has come, and tells whether there may be more.
async fn fire(tx: &Tx<'_>, now: i64) -> Result<bool, Fault> {
    let fired = tx.rows(TIMERS, &[&now, &MAX_TIMERS]).await?;
    let fired = fired.iter().map(|row| Ok(row.try_get("id")?)).collect::<Result<Vec<LaneId>, Fault>>()?;
    lanes::refresh(tx, &fired, now, NOTHING).await?;
    Ok(whole(fired.len()) >= MAX_TIMERS)
}

async fn expire(tx: &Tx<'_>, expired: &[i64], now: i64) -> Result<(), Fault> {
    if !expired.is_empty() {
        tx.run(EXPIRE, &[&expired, &now]).await?;
    }
    Ok(())
}

/// The events of what was taken, each once.
async fn events(tx: &Tx<'_>, taken: &[(usize, Head)]) -> Result<HashMap<i64, Arc<StampedEvent>>, Fault> {
    let mut wanted: Vec<i64> = taken.iter().map(|(_, head)| head.event).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let rows = tx.rows(EVENTS, &[&wanted]).await?;
    rows.iter().map(|row| Ok((row.try_get("seq")?, Arc::new(event(row)?)))).collect()
}

impl Offer {
    /// An empty one.
    pub(crate) fn of(lane: &Lane) -> Self {
        let (tenant, class) = (lane.tenant.clone(), lane.health.class());
        Self { lane: lane.id, tenant, hook: lane.hook, class, heads: Vec::new(), is_part: false }
    }
}

impl Head {
    fn read(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            id: row.try_get("id")?,
            event: row.try_get("event")?,
            fence: row.try_get("fence")?,
            attempts: row.try_get("attempts")?,
            bytes: usize::try_from(row.try_get::<_, i32>("bytes")?)?,
        })
    }

    /// The claim that this becomes.
    const fn key(&self) -> Key {
        (self.id, self.fence + 1)
    }
}

/// Every transaction before `oldest` has ended, and can be seen by all that follows.
const BEGIN: &str = "SELECT clock_ms() AS now, EXISTS (SELECT FROM event WHERE routed_at IS NULL) AS unrouted, \
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest";

const TIMERS: &str = "SELECT id FROM lane WHERE wake_at <= $1 ORDER BY wake_at LIMIT $2 \
    FOR UPDATE SKIP LOCKED";

const HEADS: &str = "
    SELECT head.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS wanted (id, epoch, floor)
    CROSS JOIN LATERAL (
        SELECT id, lane, event, bytes, fence, attempts, expires FROM delivery
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

/// A tenant whose router has gone is either taken by this claim or has nothing to route.
const NEXT: &str = "SELECT least((SELECT min(wake_at) FROM lane WHERE wake_at IS NOT NULL), \
    (SELECT min(router_until) FROM tenant WHERE router_until > $1)) AS next";

/// The statements of a claim, for a test to read their plans.
#[doc(hidden)]
pub fn claim_statements() -> Vec<(&'static str, String)> {
    [
        ("begin", BEGIN),
        ("timers", TIMERS),
        ("see", SEE.as_str()),
        ("pick", PICK),
        ("heads", HEADS),
        ("take", TAKE),
        ("events", EVENTS),
        ("refresh", lanes::REFRESH),
        ("next", NEXT),
    ]
    .map(|(name, sql)| (name, sql.to_owned()))
    .to_vec()
}
