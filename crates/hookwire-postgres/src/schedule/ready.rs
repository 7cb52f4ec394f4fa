//! Reads ready lanes, and locks those that are available.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::connection::session::Tx;
use crate::error::{QueryError, ReadRow};
use crate::rows::{CLASSES, Lane, LaneId, as_i64, lane_columns};
use crate::schedule::cursor::{LaneOutcome, MAX_FRESH, ReadyLane, ReadyLanes};
use crate::schedule::holders::Plan;
use crate::schedule::select::{LaneHeads, Selection};
use hookwire::model::{HookId, TenantId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// The ready lanes that a claim has read, and those that it chose to lock.
pub(crate) struct ReadyScan {
    pub(crate) plan: Plan,
    pub(crate) ready: [ReadyLanes; 3],
    pub(crate) with_room: HashSet<LaneId>,
    pub(crate) wanted: Vec<LaneId>,
    pub(crate) oldest: i64,
}

impl ReadyScan {
    /// Returns the outcome of the claim for a lane that it read.
    pub(crate) fn outcome(
        &self,
        id: LaneId,
        busy: &[LaneId],
        candidates: &[LaneHeads],
        selection: &Selection,
    ) -> LaneOutcome {
        if !self.with_room.contains(&id) {
            return LaneOutcome::NoRoom;
        }
        if !self.wanted.contains(&id) {
            return LaneOutcome::Left;
        }
        if busy.contains(&id) {
            return LaneOutcome::Passed;
        }
        // A lane whose row cannot be read is no candidate.
        let Some(number) = candidates.iter().position(|candidate| candidate.lane == id) else {
            return LaneOutcome::NoRoom;
        };
        let taken = selection.taken.iter().filter(|(candidate, _)| *candidate == number).count();
        match candidates[number].heads.len() {
            offered if offered > taken && selection.is_cut => LaneOutcome::Left,
            offered if offered > taken => LaneOutcome::NoRoom,
            _ if candidates[number].is_part && selection.with_room.contains(&number) => LaneOutcome::Passed,
            _ => LaneOutcome::Served,
        }
    }
}

/// Reads ready lanes by class. It reads none of a class for which there is no room.
pub(crate) async fn read_ready(tx: &Tx<'_>, plan: &Plan) -> Result<[ReadyLanes; 3], QueryError> {
    let most = |has_room, most| as_i64(if has_room { most } else { 0 });
    let windows = [0, 1, 2].map(|class| most(plan.has_room[class], plan.cursors[class].window()));
    let fresh = plan.has_room.map(|has_room| most(has_room, MAX_FRESH));
    let mut params: Vec<&(dyn ToSql + Sync)> = Vec::new();
    for (class, cursor) in plan.cursors.iter().enumerate() {
        let (transaction, lane) = (&cursor.since.0, &cursor.since.1);
        params.extend::<[&(dyn ToSql + Sync); 5]>([
            &cursor.cursor,
            &windows[class],
            transaction,
            lane,
            &fresh[class],
        ]);
    }
    let mut rows = [const { Vec::new() }; 3];
    for row in tx.rows(&READY, &params).await? {
        let class = usize::try_from(row.read::<i32>("class")?)?;
        if let Some(part) = rows.get_mut(class) {
            Vec::push(part, (row.read::<i32>("part")?, ReadyLane::read(&row)?));
        }
    }
    let classes = rows.into_iter().zip(windows);
    let mut classes =
        classes.map(|(lanes, window)| ReadyLanes::of(lanes, usize::try_from(window).unwrap_or_default()));
    Ok([(); 3].map(|()| classes.next().unwrap_or_default()))
}

/// The lanes that a claim wanted to lock.
#[derive(Default)]
pub(crate) struct Locked {
    pub(crate) lanes: Vec<Lane>,
    /// Those that others have locked.
    pub(crate) busy: Vec<LaneId>,
    /// Those whose rows cannot be read. They are left out, so that they stop no others.
    pub(crate) unreadable: Vec<LaneId>,
}

/// Locks those of the lanes that are ready and not locked by others.
pub(crate) async fn lock_available(tx: &Tx<'_>, wanted: &[LaneId]) -> Result<Locked, QueryError> {
    let mut locked = Locked::default();
    if wanted.is_empty() {
        return Ok(locked);
    }
    for row in tx.rows(LOCK_AVAILABLE, &[&wanted]).await? {
        let picked = row.read("picked")?;
        if row.read::<Option<LaneId>>("id")?.is_none() {
            locked.busy.push(picked);
            continue;
        }
        // The webhook is read here, so that it can be read later.
        match Lane::read(row).and_then(|lane| lane.registered().map(|_| lane)) {
            Ok(lane) => locked.lanes.push(lane),
            Err(_) => locked.unreadable.push(picked),
        }
    }
    locked.lanes.sort_by_key(|lane| wanted.iter().position(|id| *id == lane.id));
    Ok(locked)
}

impl ReadyLane {
    fn read(row: &Row) -> Result<Self, QueryError> {
        Ok(Self {
            id: row.read("id")?,
            tenant: TenantId::new(row.read::<&str>("tenant")?).ok(),
            hook: HookId::new(row.read("hook")?),
            readied: row.read("readied")?,
        })
    }
}

impl ReadyLanes {
    /// Builds them from the rows of one class, each with the part of the statement that it came from.
    fn of(rows: Vec<(i32, ReadyLane)>, window: usize) -> Self {
        let mut parts = [const { Vec::new() }; 3];
        for (part, lane) in rows {
            parts[usize::try_from(part).unwrap_or_default().min(2)].push(lane);
        }
        let [mut fresh, mut ring, mut behind] = parts;
        fresh.sort_unstable_by_key(|it| (it.readied, it.id));
        ring.sort_unstable_by_key(|it| it.id);
        behind.sort_unstable_by_key(|it| it.id);
        let ahead = ring.len();
        ring.append(&mut behind);
        let is_whole = ahead < window && ring.len() <= window;
        ring.truncate(window);
        Self { fresh, ring, ahead, is_whole }
    }
}

/// Reads, of each class, lanes that became ready since the last claim, lanes after the cursor, and lanes from the start.
pub(crate) static READY: LazyLock<String> = LazyLock::new(|| {
    let parts: Vec<String> = (0..CLASSES.len()).flat_map(ready_of_class).collect();
    parts.join(" UNION ALL ")
});

fn ready_of_class(class: usize) -> [String; 3] {
    let [cursor, window, transaction, lane, fresh] = [1, 2, 3, 4, 5].map(|parameter| parameter + 5 * class);
    let since = format!("(readied, id) > (${transaction}::bigint, ${lane}::bigint)");
    let parts = [
        (0, format!("{since} ORDER BY readied, id LIMIT ${fresh}")),
        (1, format!("id + 0 > ${cursor} ORDER BY id + 0 LIMIT ${window}")),
        (2, format!("id + 0 <= ${cursor} ORDER BY id + 0 LIMIT ${window}")),
    ];
    parts.map(|(part, condition)| {
        format!(
            "(SELECT id, tenant, hook, readied, {class} AS class, {part} AS part FROM lane \
                WHERE ready AND class = {class} AND {condition}::bigint)"
        )
    })
}

/// Lanes that others have locked come without a row.
pub(crate) const LOCK_AVAILABLE: &str = concat!(
    "SELECT picked.id AS picked, lane.* FROM unnest($1::bigint[]) AS picked (id) LEFT JOIN LATERAL (SELECT ",
    lane_columns!(),
    " FROM lane WHERE lane.id = picked.id AND ready FOR UPDATE SKIP LOCKED) AS lane ON true"
);
