//! Publishes events with their deliveries, and repeats deliveries.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use hookwire::model::{DeliveryId, DeptId, HookId, MessageId, SourceId, StampedEvent, TenantId};
use hookwire::registry::Revision;
use hookwire::retry::RetryState;
use hookwire::store::{Claim, ClaimRequest, Publication, PublishAnswer, Receipt, Redelivery, StoreErrorKind};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::claim::{self, claim_key};
use crate::connection::session::{Operation, Tx};
use crate::error::{QueryError, ReadRow};
use crate::insert::{self, Columns, NewDelivery};
use crate::rows::{
    DELETED, Lane, LaneId, as_i32, as_i64, event, event_of, holder_bytes, ids, lane_columns, message,
    receipt, receipt_columns,
};
use crate::schedule::holders::{Holders, Reservation};
use crate::schedule::lanes::{self, EarliestDue};
use crate::schedule::select::{Head, LaneHeads};
use crate::time::Millis;

/// Writes events of any tenants with their deliveries, in two round trips: one reads and locks, one writes.
pub(crate) struct Publish {
    pub(crate) items: Vec<Arc<Publication>>,
    pub(crate) hold: Option<ClaimRequest>,
    pub(crate) holders: Arc<Holders>,
}

/// The answer for each item, and the deliveries that are held for the publisher.
pub(crate) struct Written {
    /// `None` where somebody else has inserted the message meanwhile.
    pub(crate) answers: Vec<Option<PublishAnswer>>,
    pub(crate) held: Vec<Claim>,
    pub(crate) reservation: Option<Reservation>,
}

/// Events that are there already.
#[derive(Default)]
pub(crate) struct Known(HashMap<(TenantId, MessageId), KnownEvent>);

struct KnownEvent {
    digest: [u8; 32],
    receipt: Receipt,
    /// The event, if it may be needed to judge another and its payload is still there.
    event: Option<Arc<StampedEvent>>,
}

/// What is read before anything is written. The registries stay as they are until the transaction ends.
struct Scene {
    now: Millis,
    revisions: HashMap<String, Revision>,
    known: Known,
    lanes: Vec<Lane>,
    /// Ids that were never used, in ascending order.
    events: Vec<i64>,
    deliveries: Vec<i64>,
}

/// An event that is to be inserted: its number among the items, and its row.
struct NewEvent<'a> {
    number: usize,
    item: &'a Publication,
    seq: i64,
}

#[async_trait]
impl Operation for Publish {
    type Output = Written;

    async fn run(&self, tx: &Tx<'_>) -> Result<Written, QueryError> {
        let scene = self.read(tx).await?;
        let mut answers: Vec<_> = self.items.iter().map(|item| scene.judge(item)).collect();
        let fresh = self.fresh(&scene, &answers);
        if fresh.is_empty() {
            return Ok(Written { answers, held: Vec::new(), reservation: None });
        }
        let mut rows = scene.new_rows(&fresh);
        let (mut held, mut reservation) = match &self.hold {
            Some(request) => self.hold(request, &scene, &fresh, &mut rows)?,
            None => (Vec::new(), None),
        };
        let inserted = insert_all(tx, &scene, &fresh, &rows).await?;
        let mut known = Known::default();
        for it in fresh.iter().filter(|it| inserted.contains(&it.seq)) {
            let receipt = receipt_of(it.item, scene.now);
            answers[it.number] = Some(PublishAnswer::Stored(receipt));
            let (digest, event) = (it.item.digest, Some(Arc::clone(&it.item.event)));
            known.0.insert(key_of(it.item), KnownEvent { digest, receipt, event });
        }
        let is_stored =
            |claim: &Claim| known.0.contains_key(&(claim.tenant.clone(), claim.event.message_id.clone()));
        let lost: Vec<_> = held.extract_if(.., |claim| !is_stored(claim)).collect();
        if let Some(reservation) = &mut reservation {
            reservation.give_back(lost.iter().map(claim_key));
        }
        answer_known(&self.items, &mut answers, &known);
        Ok(Written { answers, held, reservation })
    }
}

impl Publish {
    async fn read(&self, tx: &Tx<'_>) -> Result<Scene, QueryError> {
        let targets = self.items.iter().map(|item| item.routing.targets.len()).sum();
        let tenants: BTreeSet<&str> = self.items.iter().map(|item| item.tenant.as_str()).collect();
        let tenants: Vec<&str> = tenants.into_iter().collect();
        let hooks =
            |item: &Arc<Publication>| item.routing.targets.iter().map(|hook| hook.get()).collect::<Vec<_>>();
        let wanted: BTreeSet<(&str, i64)> = self
            .items
            .iter()
            .flat_map(|item| hooks(item).into_iter().map(|hook| (item.tenant.as_str(), hook)))
            .collect();
        let (lane_tenants, hooks): (Vec<&str>, Vec<i64>) = wanted.into_iter().unzip();
        let (of, messages, digests) = messages_of(&self.items);
        let [_, begun, known, lanes, drawn] = tx
            .all([
                (lanes::HOLD_REGISTRIES, &[&tenants]),
                (BEGIN, &[&tenants]),
                (KNOWN, &[&of, &messages, &digests]),
                (LANES, &[&lane_tenants, &hooks]),
                (DRAW, &[&as_i64(self.items.len()), &as_i64(targets)]),
            ])
            .await?;
        let now = begun.first().ok_or_else(|| QueryError::corrupt("no time"))?.read("now")?;
        let revision =
            |row: &Row| Ok((row.read("name")?, Revision::new(row.read::<i64>("revision")?.unsigned_abs())));
        let mut ids = ids(&drawn, "id")?;
        let deliveries = ids.split_off(self.items.len());
        Ok(Scene {
            now,
            revisions: begun.iter().map(revision).collect::<Result<_, QueryError>>()?,
            known: Known::read(&known)?,
            lanes: lanes.into_iter().map(Lane::read).collect::<Result<_, _>>()?,
            events: ids,
            deliveries,
        })
    }

    /// Returns the events of items that have no answer yet, each message once, in the order of the items.
    fn fresh<'a>(&'a self, scene: &Scene, answers: &[Option<PublishAnswer>]) -> Vec<NewEvent<'a>> {
        let mut seen = HashSet::new();
        let open = self.items.iter().enumerate().filter(|(number, _)| answers[*number].is_none());
        let first = open.filter(|(_, item)| seen.insert((&item.tenant, &item.event.message_id)));
        first.zip(&scene.events).map(|((number, item), seq)| NewEvent { number, item, seq: *seq }).collect()
    }

    /// Claims new deliveries before they are inserted. One that would overtake others, or for which the holder has no room,
    /// is not held.
    fn hold(
        &self,
        request: &ClaimRequest,
        scene: &Scene,
        fresh: &[NewEvent<'_>],
        rows: &mut [NewDelivery],
    ) -> Result<(Vec<Claim>, Option<Reservation>), QueryError> {
        let now = scene.now;
        let candidate = |lane: &Lane| LaneHeads { firsts: heads_of(lane, rows, now), ..LaneHeads::of(lane) };
        let candidates: Vec<LaneHeads> = scene.lanes.iter().map(candidate).collect();
        let (selection, reservation) = claim::reserve(&self.holders, request, &candidates, now);
        let chosen: HashSet<i64> = selection.taken.iter().map(|(_, head)| head.id).collect();
        let until = now.plus(request.lease);
        for row in rows.iter_mut().filter(|row| chosen.contains(&row.id)) {
            row.held = Some((holder_bytes(request.holder), until));
        }
        let events = fresh.iter().map(|it| (it.seq, Arc::clone(&it.item.event))).collect();
        Ok((claim::claims(&scene.lanes, &selection.taken, &events)?, Some(reservation)))
    }
}

impl Scene {
    /// Judges an item before it is inserted. `None` if it is to be inserted.
    fn judge(&self, item: &Publication) -> Option<PublishAnswer> {
        if let Some(answer) = self.known.answer(item) {
            return Some(answer);
        }
        let revision = self.revisions.get(item.tenant.as_str()).copied().unwrap_or_default();
        if revision != item.routed_at {
            return Some(PublishAnswer::Stale(revision));
        }
        let is_there = |hook: &HookId| self.lane(&item.tenant, *hook).is_some();
        (!item.routing.targets.iter().all(is_there)).then(|| StoreErrorKind::Corrupt.into())
    }

    fn lane(&self, tenant: &TenantId, hook: HookId) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.hook == hook && lane.tenant == *tenant)
    }

    /// Creates a delivery for each event and lane, in the order of the events.
    fn new_rows(&self, fresh: &[NewEvent<'_>]) -> Vec<NewDelivery> {
        let targets = fresh.iter().flat_map(|it| {
            let lanes = it.item.routing.targets.iter().filter_map(|hook| self.lane(&it.item.tenant, *hook));
            lanes.map(move |lane| (it, lane))
        });
        let row = |((it, lane), id): ((&NewEvent<'_>, &Lane), &i64)| NewDelivery {
            id: *id,
            lane: lane.id,
            epoch: lane.epoch,
            event: it.seq,
            origin: None,
            bytes: it.item.event.payload.get().len(),
            due: self.now,
            held: None,
            behind: false,
            expires: self.now.plus(it.item.expires),
        };
        targets.zip(&self.deliveries).map(row).collect()
    }
}

impl Known {
    pub(crate) fn read(rows: &[Row]) -> Result<Self, QueryError> {
        let key =
            |row: &Row| Ok::<_, QueryError>((TenantId::new(row.read::<&str>("tenant")?)?, message(row)?));
        let known = rows.iter().map(|row| Ok((key(row)?, read_known(row)?)));
        known.collect::<Result<_, QueryError>>().map(Self)
    }

    fn answer(&self, item: &Publication) -> Option<PublishAnswer> {
        let known = self.0.get(&key_of(item))?;
        Some(item.judge(&known.digest, known.event.as_deref(), known.receipt))
    }
}

fn key_of(item: &Publication) -> (TenantId, MessageId) {
    (item.tenant.clone(), item.event.message_id.clone())
}

/// Answers the items without an answer whose messages are known.
pub(crate) fn answer_known(items: &[Arc<Publication>], answers: &mut [Option<PublishAnswer>], known: &Known) {
    let open = items.iter().zip(answers).filter(|(_, answer)| answer.is_none());
    open.for_each(|(item, answer)| *answer = known.answer(item));
}

/// Returns the tenant, the message id and the digest of each item, as [`KNOWN`] takes them.
pub(crate) fn messages_of(items: &[Arc<Publication>]) -> (Vec<&str>, Vec<&str>, Vec<&[u8]>) {
    let wanted = items.iter().map(|it| (it.tenant.as_str(), it.event.message_id.as_str(), &it.digest[..]));
    wanted.collect()
}

/// Returns the new deliveries of a lane, if nothing else waits there.
fn heads_of(lane: &Lane, rows: &[NewDelivery], now: Millis) -> Vec<Head> {
    if !lane.is_enabled() || lane.is_limited || !lane.is_idle(now) {
        return Vec::new();
    }
    let head = |row: &NewDelivery| Head {
        id: row.id,
        event: row.event,
        fence: 0,
        attempts: 0,
        retry: RetryState::default(),
        bytes: row.bytes,
    };
    rows.iter().filter(|row| row.lane == lane.id).map(head).collect()
}

fn receipt_of(item: &Publication, now: Millis) -> Receipt {
    Receipt {
        published_at: now.timestamp(),
        targets: item.routing.targets.len(),
        skipped: item.routing.skipped.len(),
    }
}

/// Reads an event that is there: whole if its digest is that of no item. One that the function `publish` wrote has no
/// digest yet.
fn read_known(row: &Row) -> Result<KnownEvent, QueryError> {
    let has_payload = row.read::<Option<&str>>("payload")?.is_some_and(|payload| !payload.is_empty());
    let event = has_payload.then(|| event(row).map(Arc::new)).transpose()?;
    let digest = match row.read::<Option<&[u8]>>("digest")? {
        Some(digest) => digest.try_into().map_err(QueryError::corrupt)?,
        None => event.as_ref().ok_or_else(|| QueryError::corrupt("no payload and no digest"))?.digest(),
    };
    Ok(KnownEvent { digest, receipt: receipt(row)?, event })
}

/// Inserts events with their deliveries and commits. Returns the events that were not there before. Events are inserted in
/// the order of their messages, so that publishers of the same messages do not deadlock.
async fn insert_all(
    tx: &Tx<'_>,
    scene: &Scene,
    fresh: &[NewEvent<'_>],
    rows: &[NewDelivery],
) -> Result<HashSet<i64>, QueryError> {
    let items = || fresh.iter().map(|it| it.item);
    let events = || items().map(|item| &*item.event);
    let seqs: Vec<_> = fresh.iter().map(|it| it.seq).collect();
    let tenants: Vec<_> = items().map(|item| item.tenant.as_str()).collect();
    let messages: Vec<_> = events().map(|event| event.message_id.as_str()).collect();
    let event_ids: Vec<_> = events().map(|event| i64::from(event.event_id.get())).collect();
    let times: Vec<_> = events().map(|event| event.time.as_millis()).collect();
    let departments: Vec<_> = events().map(|event| event.department.map(DeptId::get)).collect();
    let sources: Vec<_> = events().map(|event| event.source.as_ref().map(SourceId::as_str)).collect();
    let actors: Vec<_> = events().map(|event| event.actor.as_deref()).collect();
    let traces = events().map(|event| event.trace.as_ref().map(serde_json::to_string).transpose());
    let traces = traces.collect::<Result<Vec<_>, _>>()?;
    let payloads: Vec<_> = events().map(|event| event.payload.get()).collect();
    let digests: Vec<_> = items().map(|item| &item.digest[..]).collect();
    let targets: Vec<_> = items().map(|item| as_i32(item.routing.targets.len())).collect();
    let skipped = items().map(|item| serde_json::to_string(&item.routing.skipped));
    let skipped = skipped.collect::<Result<Vec<_>, _>>()?;
    let now = scene.now;
    let params: [&(dyn ToSql + Sync); 14] = [
        &tenants,
        &messages,
        &event_ids,
        &times,
        &departments,
        &sources,
        &actors,
        &payloads,
        &digests,
        &targets,
        &skipped,
        &now,
        &seqs,
        &traces,
    ];
    let deliveries = Columns::of(rows);
    let lanes: BTreeSet<LaneId> = rows.iter().map(|row| row.lane).collect();
    let lanes: Vec<LaneId> = lanes.into_iter().collect();
    let [inserted, ..] = tx
        .commit([
            (INSERT, &params),
            (lanes::LOCK_ONLY, &[&lanes]),
            (insert::INSERT, &deliveries.params(&now)),
            (lanes::REFRESH, &[&lanes, &now, &EarliestDue::At(now).bound()]),
        ])
        .await?;
    Ok(ids(&inserted, "seq")?.into_iter().collect())
}

/// Repeats deliveries of one tenant.
pub(crate) struct Redeliver {
    pub(crate) tenant: TenantId,
    pub(crate) items: Vec<Redelivery>,
    /// Whether they stand behind first attempts.
    pub(crate) behind: bool,
}

/// A delivery that is to be repeated.
struct Origin {
    lane: LaneId,
    event: i64,
    bytes: usize,
}

#[async_trait]
impl Operation for Redeliver {
    type Output = Vec<Option<DeliveryId>>;

    async fn run(&self, tx: &Tx<'_>) -> Result<Vec<Option<DeliveryId>>, QueryError> {
        let mut origins = self.origins(tx).await?;
        let wanted: HashSet<LaneId> = origins.values().map(|origin| origin.lane).collect();
        let mut locked = lanes::lock(tx, &wanted.into_iter().collect::<Vec<_>>()).await?;
        locked.retain(|lane| lane.status != DELETED);
        let lanes: HashMap<LaneId, &Lane> = locked.iter().map(|lane| (lane.id, lane)).collect();
        let kept = keep_events(tx, origins.values().map(|origin| origin.event).collect()).await?;
        origins.retain(|_, origin| lanes.contains_key(&origin.lane) && kept.contains(&origin.event));
        let now = tx.now().await?;
        let mut ids = insert::draw_ids(tx, self.items.len()).await?.into_iter();
        let (mut rows, mut answers) = (Vec::new(), Vec::new());
        for item in &self.items {
            let origin = origins.get(&item.origin.get());
            let row = origin.zip(ids.next()).map(|(it, id)| NewDelivery {
                behind: self.behind,
                ..repeated(item, it, lanes[&it.lane], (id, now))
            });
            answers.push(row.as_ref().map(|row| DeliveryId::new(row.id)));
            rows.extend(row);
        }
        insert::insert(tx, &rows, now).await?;
        let touched: Vec<LaneId> = locked.iter().map(|lane| lane.id).collect();
        lanes::refresh(tx, &touched, now, EarliestDue::At(now)).await?;
        Ok(answers)
    }
}

impl Redeliver {
    async fn origins(&self, tx: &Tx<'_>) -> Result<HashMap<i64, Origin>, QueryError> {
        let ids: Vec<i64> = self.items.iter().map(|item| item.origin.get()).collect();
        let rows = tx.rows(ORIGINS, &[&self.tenant.as_str(), &ids]).await?;
        let read = |row: &Row| {
            let origin = Origin {
                lane: row.read("lane")?,
                event: row.read("event")?,
                bytes: usize::try_from(row.read::<i32>("bytes")?)?,
            };
            Ok((row.read("id")?, origin))
        };
        rows.iter().map(read).collect()
    }
}

fn repeated(item: &Redelivery, origin: &Origin, lane: &Lane, (id, now): (i64, Millis)) -> NewDelivery {
    NewDelivery {
        id,
        lane: lane.id,
        epoch: lane.epoch,
        event: origin.event,
        origin: Some(item.origin.get()),
        bytes: origin.bytes,
        due: now,
        held: None,
        behind: false,
        expires: now.plus(item.expires),
    }
}

/// Locks events that are still there, with their payloads, until the transaction ends, and returns them.
async fn keep_events(tx: &Tx<'_>, events: Vec<i64>) -> Result<HashSet<i64>, QueryError> {
    const KEEP: &str = "SELECT seq FROM event WHERE seq = ANY ($1) AND payload <> '' ORDER BY seq FOR SHARE";
    let rows = tx.rows(KEEP, &[&events]).await?;
    rows.iter().map(|row| row.read("seq")).collect()
}

/// Reads the clock and the revisions, and makes sure that each tenant has a row. `OFFSET 0` as in [`found`](crate::rows::found).
const BEGIN: &str = "
    WITH missing AS (
        INSERT INTO tenant (name) SELECT name FROM unnest($1::text[]) AS wanted (name)
            WHERE NOT EXISTS (SELECT FROM tenant WHERE tenant.name = wanted.name OFFSET 0)
        ON CONFLICT DO NOTHING)
    SELECT wanted.name, coalesce(revision, 0) AS revision, (SELECT clock_ms()) AS now
    FROM unnest($1::text[]) AS wanted (name)
        LEFT JOIN LATERAL (SELECT revision FROM tenant WHERE tenant.name = wanted.name OFFSET 0) AS tenant ON true";

pub(crate) const KNOWN: &str = concat!(
    "SELECT event.tenant, digest, ",
    receipt_columns!(),
    ", event.message, event.event_id, event.time, ",
    "event.department, event.source, event.actor, event.trace::text AS trace, ",
    "CASE WHEN digest IS NULL OR digest <> ALL ($3) THEN event.payload END AS payload ",
    "FROM unnest($1::text[], $2::text[]) AS wanted (tenant, message) CROSS JOIN LATERAL ",
    event_of!("wanted.tenant", "wanted.message"),
    " AS event WHERE event.message = wanted.message"
);

const LANES: &str = concat!(
    "SELECT ",
    lane_columns!(),
    " FROM unnest($1::text[], $2::bigint[]) AS wanted (tenant, hook) CROSS JOIN LATERAL (SELECT * FROM lane ",
    "WHERE lane.tenant = wanted.tenant AND lane.hook = wanted.hook AND status < 2 OFFSET 0) AS lane"
);

const DRAW: &str = "SELECT nextval('event_seq_seq') AS id FROM generate_series(1, $1::bigint) \
    UNION ALL SELECT nextval('delivery_id_seq') FROM generate_series(1, $2::bigint)";

const INSERT: &str = "
    INSERT INTO event (seq, tenant, message, event_id, time, department, source, actor, payload, digest,
        targets, skipped, published_at, alive_at, routed_at, trace) OVERRIDING SYSTEM VALUE
    SELECT seq, tenant, message, event_id, time, department, source, actor, payload, digest, targets,
        skipped::json, $12, $12, $12, trace::json
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[],
        $8::text[], $9::bytea[], $10::integer[], $11::text[], $13::bigint[], $14::text[])
        AS fresh (tenant, message, event_id, time, department, source, actor, payload, digest, targets, skipped, seq,
            trace)
    ORDER BY tenant COLLATE \"C\", message COLLATE \"C\"
    ON CONFLICT (tenant, message) DO NOTHING
    RETURNING seq";

const ORIGINS: &str = "SELECT delivery.id, delivery.lane, delivery.event, delivery.bytes FROM delivery \
    JOIN lane ON lane.id = delivery.lane WHERE delivery.id = ANY ($2) AND lane.tenant = $1 AND status < 2";

/// Returns the statements by which publishing reads what there is, for a test that reads their plans.
#[doc(hidden)]
pub fn publish_statements() -> Vec<(&'static str, String)> {
    [("begin", BEGIN), ("known", KNOWN), ("lanes", LANES)].map(|(name, sql)| (name, sql.to_owned())).to_vec()
}
