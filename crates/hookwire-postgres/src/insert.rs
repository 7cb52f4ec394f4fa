//! Deliveries as they are inserted into lanes.

use std::collections::{HashMap, HashSet};

use hookwire::model::{HookId, TenantId};
use tokio_postgres::types::ToSql;

use crate::connection::session::Tx;
use crate::error::{QueryError, ReadRow};
use crate::rows::{Lane, LaneId, as_i32, as_i64, ids};
use crate::schedule::lanes::{self, EarliestDue};
use crate::time::Millis;

/// An event that has been routed, and has no deliveries yet.
pub(crate) struct RoutedEvent {
    pub(crate) event: i64,
    pub(crate) bytes: usize,
    pub(crate) targets: Vec<HookId>,
    pub(crate) expires: Millis,
}

/// A delivery that is to be inserted.
pub(crate) struct NewDelivery {
    pub(crate) id: i64,
    pub(crate) lane: LaneId,
    pub(crate) epoch: i64,
    pub(crate) event: i64,
    pub(crate) origin: Option<i64>,
    pub(crate) bytes: usize,
    pub(crate) due: Millis,
    /// The holder, if it is held from the start, and the end of the lease.
    pub(crate) held: Option<(Vec<u8>, Millis)>,
    /// Whether it stands behind first attempts.
    pub(crate) behind: bool,
    pub(crate) expires: Millis,
}

/// Draws ids of deliveries that were never used, in ascending order.
pub(crate) async fn draw_ids(tx: &Tx<'_>, number: usize) -> Result<Vec<i64>, QueryError> {
    const DRAW: &str = "SELECT nextval('delivery_id_seq') AS id FROM generate_series(1, $1::bigint)";
    if number == 0 {
        return Ok(Vec::new());
    }
    let rows = tx.rows(DRAW, &[&as_i64(number)]).await?;
    let mut ids = ids(&rows, "id")?;
    ids.sort_unstable();
    Ok(ids)
}

/// The values of deliveries by column, as [`INSERT`] takes them.
#[derive(Default)]
pub(crate) struct Columns<'a> {
    ids: Vec<i64>,
    lanes: Vec<LaneId>,
    epochs: Vec<i64>,
    events: Vec<i64>,
    origins: Vec<Option<i64>>,
    bytes: Vec<i32>,
    due: Vec<Millis>,
    holders: Vec<Option<&'a [u8]>>,
    held_until: Vec<Option<Millis>>,
    behind: Vec<Option<bool>>,
    expires: Vec<Millis>,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(rows: &'a [NewDelivery]) -> Self {
        let mut columns = Self::default();
        for row in rows {
            columns.ids.push(row.id);
            columns.lanes.push(row.lane);
            columns.epochs.push(row.epoch);
            columns.events.push(row.event);
            columns.origins.push(row.origin);
            columns.bytes.push(as_i32(row.bytes));
            columns.due.push(row.due);
            columns.holders.push(row.held.as_ref().map(|(holder, _)| &**holder));
            columns.held_until.push(row.held.as_ref().map(|(_, until)| *until));
            columns.behind.push(row.behind.then_some(true));
            columns.expires.push(row.expires);
        }
        columns
    }

    pub(crate) fn params<'p>(&'p self, now: &'p Millis) -> [&'p (dyn ToSql + Sync); 12] {
        let Self { ids, lanes, epochs, events, origins, bytes, due, holders, held_until, behind, expires } =
            self;
        [ids, lanes, epochs, events, origins, bytes, due, holders, expires, now, held_until, behind]
    }
}

/// Inserts deliveries into lanes that are locked.
pub(crate) async fn insert(tx: &Tx<'_>, rows: &[NewDelivery], now: Millis) -> Result<(), QueryError> {
    if rows.is_empty() {
        return Ok(());
    }
    tx.run(INSERT, &Columns::of(rows).params(&now)).await.map(drop)
}

/// Finds the lanes of those webhooks of a tenant that are not deleted.
pub(crate) async fn find_lanes(
    tx: &Tx<'_>,
    tenant: &TenantId,
    hooks: impl Iterator<Item = HookId>,
) -> Result<HashMap<HookId, LaneId>, QueryError> {
    const FIND: &str = "SELECT id, hook FROM lane WHERE tenant = $1 AND hook = ANY ($2) AND status < 2";
    let wanted: HashSet<i64> = hooks.map(HookId::get).collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let wanted: Vec<i64> = wanted.into_iter().collect();
    let rows = tx.rows(FIND, &[&tenant.as_str(), &wanted]).await?;
    rows.iter().map(|row| Ok((HookId::new(row.read("hook")?), row.read("id")?))).collect()
}

/// Inserts the deliveries of events into their lanes, due at once. A webhook that is gone gets none. The registry must be
/// locked.
pub(crate) async fn insert_routed(
    tx: &Tx<'_>,
    tenant: &TenantId,
    fresh: &[RoutedEvent],
    now: Millis,
) -> Result<(), QueryError> {
    let hooks = fresh.iter().flat_map(|it| it.targets.iter().copied());
    let ids = find_lanes(tx, tenant, hooks).await?;
    let locked = lanes::lock(tx, &ids.values().copied().collect::<Vec<_>>()).await?;
    let by_hook: HashMap<HookId, &Lane> = locked.iter().map(|lane| (lane.hook, lane)).collect();
    let targets = |it: &RoutedEvent| it.targets.iter().filter_map(|hook| by_hook.get(hook)).count();
    let mut ids = draw_ids(tx, fresh.iter().map(targets).sum()).await?.into_iter();
    let row = |it: &RoutedEvent, lane: &Lane, id| NewDelivery {
        id,
        lane: lane.id,
        epoch: lane.epoch,
        event: it.event,
        origin: None,
        bytes: it.bytes,
        due: now,
        held: None,
        behind: false,
        expires: it.expires,
    };
    let mut rows = Vec::new();
    for it in fresh {
        let lanes = it.targets.iter().filter_map(|hook| by_hook.get(hook));
        rows.extend(lanes.zip(ids.by_ref()).map(|(lane, id)| row(it, lane, id)));
    }
    insert(tx, &rows, now).await?;
    let touched: Vec<LaneId> = locked.iter().map(|lane| lane.id).collect();
    lanes::refresh(tx, &touched, now, EarliestDue::At(now)).await
}

/// Leaves out the deliveries of events that are not there.
pub(crate) const INSERT: &str = "
    INSERT INTO delivery (id, lane, epoch, event, origin, bytes, due, holder, fence, expires, created_at,
        held_until, behind)
    SELECT id, lane, epoch, fresh.event, origin, bytes, due, holder, CASE WHEN holder IS NULL THEN 0 ELSE 1 END,
        expires, $10, held_until, behind
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::integer[],
        $7::bigint[], $8::bytea[], $9::bigint[], $11::bigint[], $12::boolean[])
        AS fresh (id, lane, epoch, event, origin, bytes, due, holder, expires, held_until, behind)
        JOIN event ON event.seq = fresh.event";
