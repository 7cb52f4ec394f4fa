//! Publishes events with their deliveries, and repeats deliveries.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use hookwire::model::{DeliveryId, DeptId, HookId, MessageId, SourceId, StampedEvent, TenantId};
use hookwire::registry::Revision;
use hookwire::retry::RetryState;
use hookwire::store::{Claim, ClaimRequest, Publication, PublishAnswer, Receipt, Redelivery, StoreErrorKind};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::claim;
use crate::connection::session::{Operation, Tx};
use crate::error::{QueryError, ReadRow};
use crate::insert::{self, NewDelivery, find_lanes};
use crate::registry::ensure_tenant;
use crate::rows::{DELETED, Lane, LaneId, as_i32, event, holder_bytes, message, receipt, receipt_columns};
use crate::schedule::holders::{Holders, Reservation};
use crate::schedule::lanes::{self, EarliestDue};
use crate::schedule::select::{Head, LaneHeads};
use crate::time::Millis;

/// Writes events of one tenant with their deliveries.
pub(crate) struct Publish {
    pub(crate) tenant: TenantId,
    pub(crate) items: Vec<Arc<Publication>>,
    pub(crate) hold: Option<ClaimRequest>,
    pub(crate) holders: Arc<Holders>,
}

/// The answer for each item, and the deliveries that are held for the publisher.
pub(crate) struct Written {
    pub(crate) answers: Vec<PublishAnswer>,
    pub(crate) held: Vec<Claim>,
    pub(crate) reservation: Option<Reservation>,
}

/// Events that are there already.
type Known = HashMap<MessageId, KnownEvent>;

struct KnownEvent {
    digest: [u8; 32],
    receipt: Receipt,
    /// The event, if it may be needed to judge another and its payload is still there.
    event: Option<StampedEvent>,
}

/// An event that was inserted: its number among the items, and its row.
struct NewEvent<'a> {
    number: usize,
    item: &'a Publication,
    seq: i64,
}

#[async_trait]
impl Operation for Publish {
    type Output = Written;

    async fn run(&self, tx: &Tx<'_>) -> Result<Written, QueryError> {
        lanes::hold_registry(tx, &self.tenant).await?;
        let (revision, now) = self.begin(tx).await?;
        let mut known = self.known(tx).await?;
        let hooks = self.items.iter().flat_map(|item| item.routing.targets.iter().copied());
        let by_hook = find_lanes(tx, &self.tenant, hooks).await?;
        let mut answers: Vec<Option<PublishAnswer>> =
            self.items.iter().map(|item| judge(item, &known, revision, &by_hook)).collect();
        let mut fresh = self.insert(tx, &answers, now).await?;
        fresh.sort_unstable_by_key(|it| it.number);
        let (held, reservation) = self.deliver(tx, &fresh, &by_hook, now).await?;
        for it in &fresh {
            let receipt = receipt_of(it.item, now);
            answers[it.number] = Some(PublishAnswer::Stored(receipt));
            let event = Some(it.item.event.clone());
            known.insert(
                it.item.event.message_id.clone(),
                KnownEvent { digest: it.item.digest, receipt, event },
            );
        }
        if answers.iter().any(Option::is_none) {
            // Their ids are those of other items here, or of events that were inserted just before.
            known.extend(self.known(tx).await?);
        }
        let answer = |(item, answer): (&Arc<Publication>, Option<PublishAnswer>)| {
            answer
                .or_else(|| known_before(item, &known))
                .unwrap_or_else(|| StoreErrorKind::Unavailable.into())
        };
        let answers = self.items.iter().zip(answers).map(answer).collect();
        Ok(Written { answers, held, reservation })
    }
}

impl Publish {
    /// Reads the revision of the registry and the clock, and makes sure that the tenant has a row.
    async fn begin(&self, tx: &Tx<'_>) -> Result<(Revision, Millis), QueryError> {
        const SELECT: &str = "SELECT clock_ms() AS now, (SELECT revision FROM tenant WHERE name = $1)";
        let row = tx.first(SELECT, &[&self.tenant.as_str()]).await?;
        let row = row.ok_or_else(|| QueryError::corrupt("no time"))?;
        let revision: Option<i64> = row.read("revision")?;
        if revision.is_none() {
            ensure_tenant(tx, &self.tenant).await?;
        }
        Ok((Revision::new(revision.unwrap_or_default().unsigned_abs()), row.read("now")?))
    }

    async fn known(&self, tx: &Tx<'_>) -> Result<Known, QueryError> {
        let messages: Vec<&str> = self.items.iter().map(|item| item.event.message_id.as_str()).collect();
        let digests: Vec<&[u8]> = self.items.iter().map(|item| &item.digest[..]).collect();
        let rows = tx.rows(KNOWN, &[&self.tenant.as_str(), &messages, &digests]).await?;
        rows.iter().map(read_known).collect()
    }

    /// Inserts the events of items that have no answer yet, in the order of their ids, so that publishers of the same ids
    /// do not deadlock. An event that somebody else has inserted meanwhile is left out.
    async fn insert<'a>(
        &'a self,
        tx: &Tx<'_>,
        answers: &[Option<PublishAnswer>],
        now: Millis,
    ) -> Result<Vec<NewEvent<'a>>, QueryError> {
        let mut first: HashMap<&str, (usize, &Publication)> = HashMap::new();
        for (number, item) in self.items.iter().enumerate().filter(|(number, _)| answers[*number].is_none()) {
            first.entry(item.event.message_id.as_str()).or_insert((number, item));
        }
        if first.is_empty() {
            return Ok(Vec::new());
        }
        let items = first.values().map(|(_, item)| *item).collect();
        let rows = insert_events(tx, &self.tenant, items, now).await?;
        let fresh = rows.iter().map(|row| {
            let (number, item) = first
                .get(row.read::<&str>("message")?)
                .ok_or_else(|| QueryError::corrupt("an event that nobody wrote"))?;
            Ok(NewEvent { number: *number, item, seq: row.read("seq")? })
        });
        fresh.collect()
    }

    /// Inserts the deliveries of new events. On idle lanes they are held for the publisher's dispatcher, if it has one.
    async fn deliver(
        &self,
        tx: &Tx<'_>,
        fresh: &[NewEvent<'_>],
        by_hook: &HashMap<HookId, LaneId>,
        now: Millis,
    ) -> Result<(Vec<Claim>, Option<Reservation>), QueryError> {
        let targets = fresh.iter().flat_map(|it| &it.item.routing.targets);
        let wanted: HashSet<LaneId> = targets.filter_map(|hook| by_hook.get(hook)).copied().collect();
        let locked = lanes::lock(tx, &wanted.into_iter().collect::<Vec<_>>()).await?;
        let mut rows = new_rows(tx, fresh, &locked, now).await?;
        let (held, reservation) = match &self.hold {
            Some(request) => self.hold(request, fresh, &locked, &mut rows, now)?,
            None => (Vec::new(), None),
        };
        insert::insert(tx, &rows, now).await?;
        let touched: Vec<LaneId> = locked.iter().map(|lane| lane.id).collect();
        lanes::refresh(tx, &touched, now, EarliestDue::At(now)).await?;
        Ok((held, reservation))
    }

    /// Claims new deliveries before they are inserted. One that would overtake others, or for which the holder has no room,
    /// is not held.
    fn hold(
        &self,
        request: &ClaimRequest,
        fresh: &[NewEvent<'_>],
        lanes: &[Lane],
        rows: &mut [NewDelivery],
        now: Millis,
    ) -> Result<(Vec<Claim>, Option<Reservation>), QueryError> {
        let candidate = |lane: &Lane| LaneHeads { heads: heads_of(lane, rows, now), ..LaneHeads::of(lane) };
        let candidates: Vec<LaneHeads> = lanes.iter().map(candidate).collect();
        let (selection, reservation) = claim::reserve(&self.holders, request, &candidates, now);
        let chosen: HashSet<i64> = selection.taken.iter().map(|(_, head)| head.id).collect();
        let until = now.plus(request.lease);
        for row in rows.iter_mut().filter(|row| chosen.contains(&row.id)) {
            (row.due, row.holder) = (until, Some(holder_bytes(request.holder)));
        }
        let events = fresh.iter().map(|it| (it.seq, Arc::new(it.item.event.clone()))).collect();
        Ok((claim::claims(lanes, &selection.taken, &events)?, Some(reservation)))
    }
}

/// Creates a delivery for each event and lane, in the order of the events.
async fn new_rows(
    tx: &Tx<'_>,
    fresh: &[NewEvent<'_>],
    lanes: &[Lane],
    now: Millis,
) -> Result<Vec<NewDelivery>, QueryError> {
    let by_hook: HashMap<HookId, &Lane> = lanes.iter().map(|lane| (lane.hook, lane)).collect();
    let targets = fresh.iter().flat_map(|it| {
        let lanes = it.item.routing.targets.iter().filter_map(|hook| by_hook.get(hook));
        lanes.map(move |lane| (it, *lane))
    });
    let targets: Vec<_> = targets.collect();
    let ids = insert::draw_ids(tx, targets.len()).await?;
    let row = |((it, lane), id): (&(&NewEvent<'_>, &Lane), i64)| NewDelivery {
        id,
        lane: lane.id,
        epoch: lane.epoch,
        event: it.seq,
        origin: None,
        bytes: it.item.event.payload.get().len(),
        due: now,
        holder: None,
        expires: now.plus(it.item.expires),
    };
    Ok(targets.iter().zip(ids).map(row).collect())
}

/// Returns the new deliveries of a lane, if nothing else waits there.
fn heads_of(lane: &Lane, rows: &[NewDelivery], now: Millis) -> Vec<Head> {
    if !lane.is_enabled() || !lane.is_idle(now) {
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

/// Judges an item before it is inserted. `None` if it is to be inserted.
fn judge(
    item: &Publication,
    known: &Known,
    revision: Revision,
    by_hook: &HashMap<HookId, LaneId>,
) -> Option<PublishAnswer> {
    if let Some(answer) = known_before(item, known) {
        return Some(answer);
    }
    if revision != item.routed_at {
        return Some(PublishAnswer::Stale(revision));
    }
    let is_there = |hook| by_hook.contains_key(hook);
    (!item.routing.targets.iter().all(is_there)).then(|| StoreErrorKind::Corrupt.into())
}

fn known_before(item: &Publication, known: &Known) -> Option<PublishAnswer> {
    let known = known.get(&item.event.message_id)?;
    Some(item.judge(&known.digest, known.event.as_ref(), known.receipt))
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
fn read_known(row: &Row) -> Result<(MessageId, KnownEvent), QueryError> {
    let has_payload = row.read::<Option<&str>>("payload")?.is_some_and(|payload| !payload.is_empty());
    let event = has_payload.then(|| event(row)).transpose()?;
    let digest = match row.read::<Option<&[u8]>>("digest")? {
        Some(digest) => digest.try_into().map_err(QueryError::corrupt)?,
        None => event.as_ref().ok_or_else(|| QueryError::corrupt("no payload and no digest"))?.digest(),
    };
    Ok((message(row)?, KnownEvent { digest, receipt: receipt(row)?, event }))
}

/// Inserts events, and returns the rows of those that were not there before.
async fn insert_events(
    tx: &Tx<'_>,
    tenant: &TenantId,
    items: Vec<&Publication>,
    now: Millis,
) -> Result<Vec<Row>, QueryError> {
    let events = || items.iter().map(|item| &item.event);
    let messages: Vec<_> = events().map(|event| event.message_id.as_str()).collect();
    let event_ids: Vec<_> = events().map(|event| i64::from(event.event_id.get())).collect();
    let times: Vec<_> = events().map(|event| event.time.as_millis()).collect();
    let departments: Vec<_> = events().map(|event| event.department.map(DeptId::get)).collect();
    let sources: Vec<_> = events().map(|event| event.source.as_ref().map(SourceId::as_str)).collect();
    let actors: Vec<_> = events().map(|event| event.actor.as_deref()).collect();
    let payloads: Vec<_> = events().map(|event| event.payload.get()).collect();
    let digests: Vec<_> = items.iter().map(|item| &item.digest[..]).collect();
    let targets: Vec<_> = items.iter().map(|item| as_i32(item.routing.targets.len())).collect();
    let skipped = items.iter().map(|item| serde_json::to_string(&item.routing.skipped));
    let skipped = skipped.collect::<Result<Vec<_>, _>>()?;
    let params: [&(dyn ToSql + Sync); 12] = [
        &tenant.as_str(),
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
    ];
    tx.rows(INSERT, &params).await
}

/// Repeats deliveries of one tenant.
pub(crate) struct Redeliver {
    pub(crate) tenant: TenantId,
    pub(crate) items: Vec<Redelivery>,
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
            let row = origin.zip(ids.next()).map(|(it, id)| repeated(item, it, lanes[&it.lane], (id, now)));
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
        holder: None,
        expires: now.plus(item.expires),
    }
}

/// Locks events that are still there, with their payloads, until the transaction ends, and returns them.
async fn keep_events(tx: &Tx<'_>, events: Vec<i64>) -> Result<HashSet<i64>, QueryError> {
    const KEEP: &str = "SELECT seq FROM event WHERE seq = ANY ($1) AND payload <> '' ORDER BY seq FOR SHARE";
    let rows = tx.rows(KEEP, &[&events]).await?;
    rows.iter().map(|row| row.read("seq")).collect()
}

const KNOWN: &str = concat!(
    "SELECT event.message, digest, ",
    receipt_columns!(),
    ", event.event_id, event.time, ",
    "event.department, event.source, event.actor, ",
    "CASE WHEN digest IS NULL OR digest <> ALL ($3) THEN event.payload END AS payload ",
    "FROM event WHERE tenant = $1 AND message = ANY ($2)"
);

const INSERT: &str = "
    INSERT INTO event (tenant, message, event_id, time, department, source, actor, payload, digest,
        targets, skipped, published_at, alive_at, routed_at)
    SELECT $1, message, event_id, time, department, source, actor, payload, digest, targets,
        skipped::json, $12, $12, $12
    FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[],
        $9::bytea[], $10::integer[], $11::text[])
        AS fresh (message, event_id, time, department, source, actor, payload, digest, targets, skipped)
    ORDER BY message COLLATE \"C\"
    ON CONFLICT (tenant, message) DO NOTHING
    RETURNING seq, message";

const ORIGINS: &str = "SELECT delivery.id, delivery.lane, delivery.event, delivery.bytes FROM delivery \
    JOIN lane ON lane.id = delivery.lane WHERE delivery.id = ANY ($2) AND lane.tenant = $1 AND status < 2";
