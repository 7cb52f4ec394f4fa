//! Locks registries and lanes, decides whether a lane is ready, and says when a delivery is free again: once `held_until`
//! has passed.
//!
//! Each kind of locks is taken in one order. The order of all is decided in `store`.

use hookwire::model::TenantId;

use crate::connection::session::Tx;
use crate::error::{QueryError, ReadRow};
use crate::rows::{Lane, LaneId, ids, lane_columns};
use crate::time::Millis;

/// The namespace of this crate's advisory locks. A lock is named by a hash of the tenant; tenants that share a hash wait
/// for each other, which is harmless.
macro_rules! lock_space {
    () => {
        "1752133483" // "hook" in ASCII
    };
}

/// Locks the registries of tenants, shared, until the transaction ends: nobody changes them meanwhile.
///
/// A share lock of the tenant's row would not do: those who take such locks overtake one who waits to change the row,
/// who might wait for ever. Advisory locks have a queue.
pub(crate) const HOLD_REGISTRIES: &str = concat!(
    "SELECT pg_advisory_xact_lock_shared(",
    lock_space!(),
    ", hash) FROM (SELECT DISTINCT hashtext(name) AS hash FROM unnest($1::text[]) AS held (name) ORDER BY hash) AS held"
);

/// Locks a tenant's registry, exclusively, until the transaction ends.
pub(crate) async fn take_registry(tx: &Tx<'_>, tenant: &TenantId) -> Result<(), QueryError> {
    const LOCK: &str = concat!("SELECT pg_advisory_xact_lock(", lock_space!(), ", hashtext($1))");
    tx.rows(LOCK, &[&tenant.as_str()]).await.map(drop)
}

/// Locks the registries of all tenants that have these deliveries, like [`take_registry`], in one order.
pub(crate) async fn take_registries_of(tx: &Tx<'_>, deliveries: &[i64]) -> Result<(), QueryError> {
    const HASHES: &str = "SELECT DISTINCT hashtext(tenant) AS hash FROM delivery \
        JOIN lane ON lane.id = delivery.lane WHERE delivery.id = ANY ($1) ORDER BY hash";
    const LOCK: &str = concat!("SELECT pg_advisory_xact_lock(", lock_space!(), ", $1)");
    for row in tx.rows(HASHES, &[&deliveries]).await? {
        tx.rows(LOCK, &[&row.read::<i32>("hash")?]).await?;
    }
    Ok(())
}

/// Locks lanes in the order of their ids, as everybody does who waits for lanes.
pub(crate) async fn lock(tx: &Tx<'_>, lanes: &[LaneId]) -> Result<Vec<Lane>, QueryError> {
    const LOCK: &str =
        concat!("SELECT ", lane_columns!(), " FROM lane WHERE id = ANY ($1) ORDER BY id FOR UPDATE");
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    tx.rows(LOCK, &[&lanes]).await?.into_iter().map(Lane::read).collect()
}

/// Locks lanes like [`lock`], and returns the ids of those that are there. Their rows are not read.
pub(crate) async fn lock_ids(tx: &Tx<'_>, lanes: &[LaneId]) -> Result<Vec<LaneId>, QueryError> {
    const LOCK: &str = "SELECT id FROM lane WHERE id = ANY ($1) ORDER BY id FOR UPDATE";
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    ids(&tx.rows(LOCK, &[&lanes]).await?, "id")
}
/// Locks lanes like [`lock`], for a transaction that knows them already.
pub(crate) const LOCK_ONLY: &str = "SELECT FROM lane WHERE id = ANY ($1) ORDER BY id FOR UPDATE";

/// Decides anew whether locked lanes are ready, and when they have to be looked at again.
///
/// It has to follow every change that may make a delivery of a lane due, or due earlier; then no delivery is stranded.
pub(crate) async fn refresh(
    tx: &Tx<'_>,
    lanes: &[LaneId],
    now: Millis,
    written: EarliestDue,
) -> Result<(), QueryError> {
    if lanes.is_empty() {
        return Ok(());
    }
    tx.run(REFRESH, &[&lanes, &now, &written.bound()]).await.map(drop)
}

/// The earliest `due` that a transaction has written to the lanes that it refreshes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EarliestDue {
    At(Millis),
    /// No `due` was written.
    Nothing,
    Unknown,
}

impl EarliestDue {
    /// Returns a time before which nothing was written.
    pub(crate) const fn bound(self) -> Millis {
        match self {
            Self::At(due) => due,
            Self::Nothing => Millis::MAX,
            Self::Unknown => Millis::MIN,
        }
    }
}

/// Whether this transaction has locked or written a lane. A lane that it could only skip is left as it is.
macro_rules! is_locked {
    () => {
        "pg_current_xact_id()::xid IN (lane.xmin, lane.xmax)"
    };
}
pub(crate) use is_locked;

/// Which half of its lane a delivery is in: 0 for first attempts, 1 for what stands behind them. It has to read as in
/// index `delivery_due`.
macro_rules! kind {
    () => {
        "(CASE WHEN delivery.attempts > 0 OR delivery.behind THEN 1 ELSE 0 END)"
    };
}
pub(crate) use kind;

/// Whether nobody holds a delivery at `$now`.
macro_rules! unheld {
    ($now:literal) => {
        concat!("(held_until IS NULL OR held_until <= ", $now, ")")
    };
}
pub(crate) use unheld;

/// Joins two times to each half of a lane: when its first delivery is free, because it is due or its lease ends
/// (`free.at`), and a time before which none is due (`first.due`). None is due before `$from`. If one is free at
/// `$now`, held ones are not read; if none is, all due ones are held.
macro_rules! free {
    ($from:literal, $now:literal) => {
        concat!(
            "CROSS JOIN LATERAL (SELECT due FROM delivery ",
            half!(),
            " AND due >= ",
            $from,
            " ORDER BY due, delivery.id LIMIT 1) AS first \
            LEFT JOIN LATERAL (SELECT due FROM delivery ",
            half!(),
            " AND due >= first.due AND ",
            unheld!($now),
            " ORDER BY due, delivery.id LIMIT 1) AS waiting ON true \
            CROSS JOIN LATERAL (SELECT least(waiting.due, min(held_until)) AS at FROM delivery ",
            half!(),
            " AND due >= first.due AND due <= CASE WHEN waiting.due <= ",
            $now,
            " THEN -9223372036854775808 ELSE ",
            $now,
            " END) AS free "
        )
    };
}
pub(crate) use free;

/// Selects the pending deliveries of a half of a lane, along index `delivery_due`.
macro_rules! half {
    () => {
        concat!(
            "WHERE delivery.lane = lane.id AND delivery.epoch = lane.epoch AND state = 0 AND ",
            kind!(),
            " = half.kind"
        )
    };
}
pub(crate) use half;

/// When a slot of the lane's rate is free; null if one is at `$now`, or if it has no rate.
macro_rules! slot_free {
    ($now:literal) => {
        concat!(
            "(SELECT until FROM unnest(lane.slots) AS slot (until) WHERE lane.rate IS NOT NULL AND until > ",
            $now,
            " ORDER BY until DESC OFFSET lane.rate - 1 LIMIT 1)"
        )
    };
}
pub(crate) use slot_free;

/// The time by which the lane's limit in flight has room, because a lease ends. Null if it has room at `$now`, or if
/// there is no limit.
macro_rules! place_free {
    ($now:literal) => {
        concat!(
            "(SELECT held_until FROM delivery AS held WHERE lane.cap IS NOT NULL AND held.lane = lane.id \
                AND held.limited AND held.state = 0 AND held_until > ",
            $now,
            " ORDER BY held_until DESC OFFSET lane.cap - 1 LIMIT 1)"
        )
    };
}
pub(crate) use place_free;

/// Sets `readied` where a lane becomes ready, so that dispatchers find the lane. Scans begin at the floors, because the
/// index entries before them are dead.
pub(crate) const REFRESH: &str = concat!(
    "
    WITH fresh AS MATERIALIZED (
        SELECT lane.ctid AS place, heads.first, heads.behind, CASE WHEN status = 1 AND heads.at IS NOT NULL
            THEN greatest(heads.at, paused_until, limits.free_at) END AS at
        FROM lane CROSS JOIN LATERAL (
            SELECT min(free.at) AS at, min(first.due) FILTER (WHERE kind = 0) AS first,
                min(first.due) FILTER (WHERE kind = 1) AS behind
            FROM (VALUES (0, lane.floor), (1, lane.floor_behind)) AS half (kind, floor) ",
    free!("least(half.floor, $3)", "$2"),
    ") AS heads CROSS JOIN LATERAL (SELECT greatest(",
    slot_free!("$2"),
    ", ",
    place_free!("$2"),
    ") AS free_at) AS limits
        WHERE lane.id = ANY ($1) AND ",
    is_locked!(),
    ")
    UPDATE lane SET ready = coalesce(at <= $2, false), wake_at = CASE WHEN at > $2 THEN at END,
        floor = fresh.first, floor_behind = fresh.behind,
        readied = CASE WHEN at <= $2 AND NOT ready THEN pg_current_xact_id()::text::bigint ELSE readied END
    FROM fresh WHERE lane.ctid = fresh.place AND (ready, wake_at, floor, floor_behind) IS DISTINCT FROM
        (coalesce(at <= $2, false), CASE WHEN at > $2 THEN at END, fresh.first, fresh.behind)
    RETURNING wake_at"
);
