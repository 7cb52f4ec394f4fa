use std::collections::{HashMap, HashSet};

use hookwire::model::{HookId, TenantId};

use crate::fault::Fault;
use crate::lanes;
use crate::rows::{Lane, LaneId, small, whole};
use crate::session::Tx;

/// An event that has been routed, to be delivered to the lanes of its webhooks.
pub(crate) struct Fresh {
    pub(crate) event: i64,
    pub(crate) bytes: usize,
    pub(crate) targets: Vec<HookId>,
    pub(crate) expires: i64,
}

/// One delivery to be written.
pub(crate) struct NewRow {
    pub(crate) id: i64,
    pub(crate) lane: LaneId,
    pub(crate) epoch: i64,
    pub(crate) event: i64,
    pub(crate) origin: Option<i64>,
    pub(crate) bytes: usize,
    /// When it is due or, if it is held from the start, when its lease ends.
    pub(crate) due: i64,
    pub(crate) holder: Option<Vec<u8>>,
    pub(crate) expires: i64,
}

/// Ids of deliveries that were never used, ascending.
pub(crate) async fn draw_ids(tx: &Tx<'_>, number: usize) -> Result<Vec<i64>, Fault> {
    const DRAW: &str = "SELECT nextval('delivery_id_seq') AS id FROM generate_series(1, $1::bigint)";
    if number == 0 {
        return Ok(Vec::new());
    }
    let rows = tx.rows(DRAW, &[&whole(number)]).await?;
    let mut ids = rows.iter().map(|row| Ok(row.try_get("id")?)).collect::<Result<Vec<i64>, Fault>>()?;
    ids.sort_unstable();
    Ok(ids)
}

/// Writes deliveries into lanes that are locked.
pub(crate) async fn insert(tx: &Tx<'_>, rows: &[NewRow], now: i64) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&NewRow) -> i64| rows.iter().map(of).collect::<Vec<_>>();
    let (ids, lanes, epochs) = (column(|row| row.id), column(|row| row.lane), column(|row| row.epoch));
    let (events, due, expires) = (column(|row| row.event), column(|row| row.due), column(|row| row.expires));
    let origins: Vec<_> = rows.iter().map(|row| row.origin).collect();
    let bytes: Vec<_> = rows.iter().map(|row| small(row.bytes)).collect();
    let holders: Vec<_> = rows.iter().map(|row| row.holder.as_deref()).collect();
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 10] =
        [&ids, &lanes, &epochs, &events, &origins, &bytes, &due, &holders, &expires, &now];
    tx.run(INSERT, &params).await.map(drop)
}

/// The lanes of a tenant's webhooks that are not deleted.
pub(crate) async fn find_lanes(
    tx: &Tx<'_>,
    tenant: &TenantId,
    hooks: impl Iterator<Item = HookId>,
) -> Result<HashMap<HookId, LaneId>, Fault> {
    const FIND: &str = "SELECT id, hook FROM lane WHERE tenant = $1 AND hook = ANY ($2) AND status < 2";
    let wanted: HashSet<i64> = hooks.map(HookId::get).collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let wanted: Vec<i64> = wanted.into_iter().collect();
    let rows = tx.rows(FIND, &[&tenant.as_str(), &wanted]).await?;
    rows.iter().map(|row| Ok((HookId::new(row.try_get("hook")?), row.try_get("id")?))).collect()
}

/// Writes the deliveries of events to their lanes, where they wait; a webhook that is gone gets none. The
/// registry must be held.
pub(crate) async fn to_lanes(tx: &Tx<'_>, tenant: &TenantId, fresh: &[Fresh], now: i64) -> Result<(), Fault> {
    let hooks = fresh.iter().flat_map(|it| it.targets.iter().copied());
    let ids = find_lanes(tx, tenant, hooks).await?;
    let locked = lanes::lock(tx, &ids.values().copied().collect::<Vec<_>>()).await?;
    let by_hook: HashMap<HookId, &Lane> = locked.iter().map(|lane| (lane.hook, lane)).collect();
    let targets = |it: &Fresh| it.targets.iter().filter_map(|hook| by_hook.get(hook)).count();
    let mut ids = draw_ids(tx, fresh.iter().map(targets).sum()).await?.into_iter();
    let row = |it: &Fresh, lane: &Lane, id| NewRow {
        id,
        lane: lane.id,
        epoch: lane.epoch,
        event: it.event,
        origin: None,
        bytes: it.bytes,
        due: now,
        holder: None,
        expires: it.expires,
    };
    let mut rows = Vec::new();
    for it in fresh {
        let lanes = it.targets.iter().filter_map(|hook| by_hook.get(hook));
        rows.extend(lanes.zip(ids.by_ref()).map(|(lane, id)| row(it, lane, id)));
    }
    insert(tx, &rows, now).await?;
    let touched: Vec<LaneId> = locked.iter().map(|lane| lane.id).collect();
    lanes::refresh(tx, &touched, now, now).await
}

const INSERT: &str = "
    INSERT INTO delivery (id, lane, epoch, event, origin, bytes, due, holder, fence, expires, created_at)
    SELECT id, lane, epoch, event, origin, bytes, due, holder, CASE WHEN holder IS NULL THEN 0 ELSE 1 END,
        expires, $10
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::integer[],
        $7::bigint[], $8::bytea[], $9::bigint[])
        AS fresh (id, lane, epoch, event, origin, bytes, due, holder, expires)";
