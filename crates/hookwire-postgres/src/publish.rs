use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use hookwire::model::{DeliveryId, DeptId, HookId, MessageId, SourceId, TenantId, Timestamp};
use hookwire::registry::Revision;
use hookwire::store::{Claim, ClaimRequest, Publication, PublishAnswer, Receipt, Redelivery, StoreErrorKind};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::choose::{Head, Offer};
use crate::claim;
use crate::deliver::{self, NewRow, find_lanes};
use crate::fault::Fault;
use crate::hands::{Hands, Reserved};
use crate::lanes;
use crate::route::enter;
use crate::rows::{DELETED, Lane, LaneId, event, holder_bytes, small};
use crate::session::{Tx, Work};

/// Writes some of one tenant's events with their deliveries.
pub(crate) struct Publish {
    pub(crate) tenant: TenantId,
    pub(crate) items: Vec<Arc<Publication>>,
    pub(crate) hold: Option<ClaimRequest>,
    pub(crate) hands: Arc<Hands>,
}

/// An answer for each item, and what was claimed on the way.
pub(crate) struct Written {
    pub(crate) answers: Vec<PublishAnswer>,
    pub(crate) held: Vec<Claim>,
    pub(crate) reserved: Option<Reserved>,
}

/// An event of the past: its digest, and what was written for it.
type Known = HashMap<MessageId, ([u8; 32], Receipt)>;

/// An item that is being written: its number among the items, and its event.
struct Fresh<'a> {
    number: usize,
    item: &'a Publication,
    seq: i64,
}

#[async_trait]
impl Work for Publish {
    type Done = Written;

    async fn on(&self, tx: &Tx<'_>) -> Result<Written, Fault> {
        lanes::hold_registry(tx, &self.tenant).await?;
        let (revision, now) = self.enter(tx).await?;
        let mut known = self.known(tx).await?;
        let hooks = self.items.iter().flat_map(|item| item.routing.targets.iter().copied());
        let by_hook = find_lanes(tx, &self.tenant, hooks).await?;
        let mut answers: Vec<Option<PublishAnswer>> =
            self.items.iter().map(|item| judge(item, &known, revision, &by_hook)).collect();
        let mut fresh = self.insert(tx, &answers, now).await?;
        fresh.sort_unstable_by_key(|it| it.number);
        let (held, reserved) = self.deliver(tx, &fresh, &by_hook, now).await?;
        for it in &fresh {
            let receipt = receipt_of(it.item, now);
            answers[it.number] = Some(PublishAnswer::Stored(receipt));
            known.insert(it.item.event.message_id.clone(), (it.item.digest, receipt));
        }
        if answers.iter().any(Option::is_none) {
            // Of the same id as another of these items, or as one that came in just before it.
            known.extend(self.known(tx).await?);
        }
        let answer = |(item, answer): (&Arc<Publication>, Option<PublishAnswer>)| {
            answer
                .or_else(|| known_before(item, &known))
                .unwrap_or_else(|| StoreErrorKind::Unavailable.into())
        };
        let answers = self.items.iter().zip(answers).map(answer).collect();
        Ok(Written { answers, held, reserved })
    }
}

impl Publish {
    /// The revision of the registry, and the time.
    async fn enter(&self, tx: &Tx<'_>) -> Result<(Revision, i64), Fault> {
        const SELECT: &str = "SELECT clock_ms() AS now, (SELECT revision FROM tenant WHERE name = $1)";
        let row = tx.first(SELECT, &[&self.tenant.as_str()]).await?;
        let row = row.ok_or_else(|| Fault::corrupt("no time"))?;
        let revision: Option<i64> = row.try_get("revision")?;
        if revision.is_none() {
            enter(tx, &self.tenant).await?;
        }
        Ok((Revision::new(revision.unwrap_or_default().unsigned_abs()), row.try_get("now")?))
    }

    async fn known(&self, tx: &Tx<'_>) -> Result<Known, Fault> {
        let messages: Vec<&str> = self.items.iter().map(|item| item.event.message_id.as_str()).collect();
        let rows = tx.rows(KNOWN, &[&self.tenant.as_str(), &messages]).await?;
        rows.iter().map(read_known).collect()
    }

    /// Writes the events of items that have no answer yet, in the order of their ids, so that nobody who
    /// writes the same waits crosswise. Those that somebody else has written meanwhile are left out.
    async fn insert<'a>(
        &'a self,
        tx: &Tx<'_>,
        answers: &[Option<PublishAnswer>],
        now: i64,
    ) -> Result<Vec<Fresh<'a>>, Fault> {
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
                .get(row.try_get::<_, &str>("message")?)
                .ok_or_else(|| Fault::corrupt("an event that nobody wrote"))?;
            Ok(Fresh { number: *number, item, seq: row.try_get("seq")? })
        });
        fresh.collect()
    }

    /// Writes the deliveries of new events: on idle lanes held for the publisher's dispatcher, if it is
    /// there.
    async fn deliver(
        &self,
        tx: &Tx<'_>,
        fresh: &[Fresh<'_>],
        by_hook: &HashMap<HookId, LaneId>,
        now: i64,
    ) -> Result<(Vec<Claim>, Option<Reserved>), Fault> {
        let targets = fresh.iter().flat_map(|it| &it.item.routing.targets);
        let wanted: HashSet<LaneId> = targets.filter_map(|hook| by_hook.get(hook)).copied().collect();
        let locked = lanes::lock(tx, &wanted.into_iter().collect::<Vec<_>>()).await?;
        let mut rows = new_rows(tx, fresh, &locked, now).await?;
        let (held, reserved) = match &self.hold {
            Some(request) => self.hold(request, fresh, &locked, &mut rows, now)?,
            None => (Vec::new(), None),
        };
        deliver::insert(tx, &rows, now).await?;
        let touched: Vec<LaneId> = locked.iter().map(|lane| lane.id).collect();
        lanes::refresh(tx, &touched, now, now).await?;
        Ok((held, reserved))
    }

    /// Claims new rows before they are written. What would overtake others, or take more than the holder
    /// has room for, is not held.
    fn hold(
        &self,
        request: &ClaimRequest,
        fresh: &[Fresh<'_>],
        lanes: &[Lane],
        rows: &mut [NewRow],
        now: i64,
    ) -> Result<(Vec<Claim>, Option<Reserved>), Fault> {
        let offer = |lane: &Lane| Offer { heads: heads_of(lane, rows, now), ..Offer::of(lane) };
        let offers: Vec<Offer> = lanes.iter().map(offer).collect();
        let (choice, reserved) = claim::reserve(&self.hands, request, &offers, now);
        let chosen: HashSet<i64> = choice.taken.iter().map(|(_, head)| head.id).collect();
        let until = Timestamp::from_millis(now).plus(request.lease).as_millis();
        for row in rows.iter_mut().filter(|row| chosen.contains(&row.id)) {
            (row.due, row.holder) = (until, Some(holder_bytes(request.holder)));
        }
        let events = fresh.iter().map(|it| (it.seq, Arc::new(it.item.event.clone()))).collect();
        Ok((claim::claims(lanes, &choice.taken, &events)?, Some(reserved)))
    }
}

/// A row for each event and lane, in the order of the events.
async fn new_rows(tx: &Tx<'_>, fresh: &[Fresh<'_>], lanes: &[Lane], now: i64) -> Result<Vec<NewRow>, Fault> {
    let by_hook: HashMap<HookId, &Lane> = lanes.iter().map(|lane| (lane.hook, lane)).collect();
    let targets = fresh.iter().flat_map(|it| {
        let lanes = it.item.routing.targets.iter().filter_map(|hook| by_hook.get(hook));
        lanes.map(move |lane| (it, *lane))
    });
    let targets: Vec<_> = targets.collect();
    let ids = deliver::draw_ids(tx, targets.len()).await?;
    let row = |((it, lane), id): (&(&Fresh<'_>, &Lane), i64)| NewRow {
        id,
        lane: lane.id,
        epoch: lane.epoch,
        event: it.seq,
        origin: None,
        bytes: it.item.event.payload.get().len(),
        due: now,
        holder: None,
        expires: Timestamp::from_millis(now).plus(it.item.expires).as_millis(),
    };
    Ok(targets.iter().zip(ids).map(row).collect())
}

/// What is new in a lane, if nothing else waits there.
fn heads_of(lane: &Lane, rows: &[NewRow], now: i64) -> Vec<Head> {
    if !lane.is_enabled() || !lane.is_idle(now) {
        return Vec::new();
    }
    let head = |row: &NewRow| Head { id: row.id, event: row.event, fence: 0, attempts: 0, bytes: row.bytes };
    rows.iter().filter(|row| row.lane == lane.id).map(head).collect()
}

/// What can be said of an item before it is written; `None` of one that is to be written.
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
    let (digest, receipt) = known.get(&item.event.message_id)?;
    let is_same = *digest == item.digest;
    Some(if is_same { PublishAnswer::Duplicate(*receipt) } else { PublishAnswer::IdReused })
}

fn receipt_of(item: &Publication, now: i64) -> Receipt {
    Receipt {
        published_at: Timestamp::from_millis(now),
        targets: item.routing.targets.len(),
        skipped: item.routing.skipped.len(),
    }
}

/// What was written through the function has no digest yet, and is read whole.
fn read_known(row: &Row) -> Result<(MessageId, ([u8; 32], Receipt)), Fault> {
    let digest = match row.try_get::<_, Option<&[u8]>>("digest")? {
        Some(digest) => digest.try_into().map_err(Fault::corrupt)?,
        None => event(row)?.digest(),
    };
    Ok((crate::rows::message(row)?, (digest, receipt(row)?)))
}

/// Reads `published_at`, `targets` and `passed_over`.
pub(crate) fn receipt(row: &Row) -> Result<Receipt, Fault> {
    Ok(Receipt {
        published_at: crate::rows::time(row, "published_at")?,
        targets: usize::try_from(row.try_get::<_, i32>("targets")?)?,
        skipped: usize::try_from(row.try_get::<_, i32>("passed_over")?)?,
    })
}

/// Writes events, column by column, and gives the rows of those that nobody has written before.
async fn insert_events(
    tx: &Tx<'_>,
    tenant: &TenantId,
    items: Vec<&Publication>,
    now: i64,
) -> Result<Vec<Row>, Fault> {
    let events = || items.iter().map(|item| &item.event);
    let messages: Vec<_> = events().map(|event| event.message_id.as_str()).collect();
    let event_ids: Vec<_> = events().map(|event| i64::from(event.event_id.get())).collect();
    let times: Vec<_> = events().map(|event| event.time.as_millis()).collect();
    let departments: Vec<_> = events().map(|event| event.department.map(DeptId::get)).collect();
    let sources: Vec<_> = events().map(|event| event.source.as_ref().map(SourceId::as_str)).collect();
    let actors: Vec<_> = events().map(|event| event.actor.as_deref()).collect();
    let payloads: Vec<_> = events().map(|event| event.payload.get()).collect();
    let digests: Vec<_> = items.iter().map(|item| &item.digest[..]).collect();
    let targets: Vec<_> = items.iter().map(|item| small(item.routing.targets.len())).collect();
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

/// Makes new deliveries of old ones.
pub(crate) struct Redeliver {
    pub(crate) tenant: TenantId,
    pub(crate) items: Vec<Redelivery>,
}

/// A delivery of which there is to be another.
struct Origin {
    lane: LaneId,
    event: i64,
    bytes: usize,
}

#[async_trait]
impl Work for Redeliver {
    type Done = Vec<Option<DeliveryId>>;

    async fn on(&self, tx: &Tx<'_>) -> Result<Vec<Option<DeliveryId>>, Fault> {
        let mut origins = self.origins(tx).await?;
        let wanted: HashSet<LaneId> = origins.values().map(|origin| origin.lane).collect();
        let mut locked = lanes::lock(tx, &wanted.into_iter().collect::<Vec<_>>()).await?;
        locked.retain(|lane| lane.status != DELETED);
        let lanes: HashMap<LaneId, &Lane> = locked.iter().map(|lane| (lane.id, lane)).collect();
        let kept = keep_events(tx, origins.values().map(|origin| origin.event).collect()).await?;
        origins.retain(|_, origin| lanes.contains_key(&origin.lane) && kept.contains(&origin.event));
        let now = tx.now().await?;
        let mut ids = deliver::draw_ids(tx, self.items.len()).await?.into_iter();
        let (mut rows, mut answers) = (Vec::new(), Vec::new());
        for item in &self.items {
            let origin = origins.get(&item.origin.get());
            let row = origin.zip(ids.next()).map(|(it, id)| again(item, it, lanes[&it.lane], (id, now)));
            answers.push(row.as_ref().map(|row| DeliveryId::new(row.id)));
            rows.extend(row);
        }
        deliver::insert(tx, &rows, now).await?;
        let touched: Vec<LaneId> = locked.iter().map(|lane| lane.id).collect();
        lanes::refresh(tx, &touched, now, now).await?;
        Ok(answers)
    }
}

impl Redeliver {
    async fn origins(&self, tx: &Tx<'_>) -> Result<HashMap<i64, Origin>, Fault> {
        let ids: Vec<i64> = self.items.iter().map(|item| item.origin.get()).collect();
        let rows = tx.rows(ORIGINS, &[&self.tenant.as_str(), &ids]).await?;
        let read = |row: &Row| {
            let (lane, event) = (row.try_get("lane")?, row.try_get("event")?);
            let bytes = usize::try_from(row.try_get::<_, i32>("bytes")?)?;
            Ok((row.try_get("id")?, Origin { lane, event, bytes }))
        };
        rows.iter().map(read).collect()
    }
}

fn again(item: &Redelivery, origin: &Origin, lane: &Lane, (id, now): (i64, i64)) -> NewRow {
    NewRow {
        id,
        lane: lane.id,
        epoch: lane.epoch,
        event: origin.event,
        origin: Some(item.origin.get()),
        bytes: origin.bytes,
        due: now,
        holder: None,
        expires: Timestamp::from_millis(now).plus(item.expires).as_millis(),
    }
}

/// Those of the events that are still there, and stay until the transaction ends.
async fn keep_events(tx: &Tx<'_>, events: Vec<i64>) -> Result<HashSet<i64>, Fault> {
    const KEEP: &str = "SELECT seq FROM event WHERE seq = ANY ($1) ORDER BY seq FOR SHARE";
    let rows = tx.rows(KEEP, &[&events]).await?;
    rows.iter().map(|row| Ok(row.try_get("seq")?)).collect()
}

const KNOWN: &str = concat!(
    "SELECT event.message, digest, published_at, targets, ",
    "coalesce(json_array_length(skipped), 0) AS passed_over, event.event_id, event.time, ",
    "event.department, event.source, event.actor, ",
    "CASE WHEN digest IS NULL THEN event.payload END AS payload ",
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
