//! Locks, and the one place that decides whether a lane is ready.

use hookwire::model::TenantId;

use crate::fault::Fault;
use crate::rows::{Lane, LaneId, lane_columns};
use crate::session::Tx;

/// The namespace of this crate's advisory locks, which go by a hash of the tenant: tenants that share one
/// wait for each other, and no more than that.
macro_rules! space {
    () => {
        "1752133483" // "hook" in ASCII
    };
}

/// Keeps a tenant's registry as it is until the transaction ends.
///
/// Not a share lock of its row: those who take such locks pass by one who waits to change the row, who
/// might wait for ever. This lock has a queue.
pub(crate) async fn hold_registry(tx: &Tx<'_>, tenant: &TenantId) -> Result<(), Fault> {
    const LOCK: &str = concat!("SELECT pg_advisory_xact_lock_shared(", space!(), ", hashtext($1))");
    tx.rows(LOCK, &[&tenant.as_str()]).await.map(drop)
}

/// Keeps a tenant's registry for one's own changes until the transaction ends.
pub(crate) async fn take_registry(tx: &Tx<'_>, tenant: &TenantId) -> Result<(), Fault> {
    const LOCK: &str = concat!("SELECT pg_advisory_xact_lock(", space!(), ", hashtext($1))");
    tx.rows(LOCK, &[&tenant.as_str()]).await.map(drop)
}

/// Like [`take_registry`], of all tenants that have these deliveries, in the order of the locks.
pub(crate) async fn take_registries_of(tx: &Tx<'_>, deliveries: &[i64]) -> Result<(), Fault> {
    const HASHES: &str = "SELECT DISTINCT hashtext(tenant) AS hash FROM delivery \
        JOIN lane ON lane.id = delivery.lane WHERE delivery.id = ANY ($1) ORDER BY hash";
    const LOCK: &str = concat!("SELECT pg_advisory_xact_lock(", space!(), ", $1)");
    for row in tx.rows(HASHES, &[&deliveries]).await? {
        tx.rows(LOCK, &[&row.try_get::<_, i32>("hash")?]).await?;
    }
    Ok(())
}

/// Locks lanes, in the order in which everybody who waits for lanes locks them.
pub(crate) async fn lock(tx: &Tx<'_>, lanes: &[LaneId]) -> Result<Vec<Lane>, Fault> {
    const LOCK: &str =
        concat!("SELECT ", lane_columns!(), " FROM lane WHERE id = ANY ($1) ORDER BY id FOR UPDATE");
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    tx.rows(LOCK, &[&lanes]).await?.into_iter().map(Lane::read).collect()
}

/// Brings locked lanes in line with what they have to give. `lowest` is the earliest due that was written
/// in them, [`NOTHING`] if none was. Called after every change that may make a lane give more, or give
/// earlier, it strands nothing.
pub(crate) async fn refresh(tx: &Tx<'_>, lanes: &[LaneId], now: i64, lowest: i64) -> Result<(), Fault> {
    if lanes.is_empty() {
        return Ok(());
    }
    tx.run(REFRESH, &[&lanes, &now, &lowest]).await.map(drop)
}

/// The earliest due where none was written.
pub(crate) const NOTHING: i64 = i64::MAX;
/// The earliest due where nobody knows what was written.
pub(crate) const ANYTHING: i64 = i64::MIN;

/// Dispatchers find out by `readied` which lanes became ready since they last looked.
///
/// The floor spares the scan what lies before it in the index: the dead entries of all that was delivered.
pub(crate) const REFRESH: &str = "
    WITH fresh AS MATERIALIZED (
        SELECT lane.id, head.due,
            CASE WHEN status = 1 AND head.due IS NOT NULL THEN greatest(head.due, paused_until) END AS at
        FROM lane LEFT JOIN LATERAL (
            SELECT due FROM delivery
            WHERE delivery.lane = lane.id AND delivery.epoch = lane.epoch AND state = 0
                AND due >= least(lane.floor, $3)
            ORDER BY due, delivery.id LIMIT 1
        ) AS head ON true
        WHERE lane.id = ANY ($1)
    )
    UPDATE lane SET ready = coalesce(at <= $2, false), wake_at = CASE WHEN at > $2 THEN at END,
        floor = fresh.due,
        readied = CASE WHEN at <= $2 AND NOT ready THEN pg_current_xact_id()::text::bigint ELSE readied END
    FROM fresh WHERE lane.id = fresh.id AND (ready, wake_at, floor) IS DISTINCT FROM
        (coalesce(at <= $2, false), CASE WHEN at > $2 THEN at END, fresh.due)";
