//! What a claim sees of ready lanes, and what it makes of them.

use std::collections::HashSet;
use std::sync::LazyLock;

use hookwire::model::{HookId, TenantId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tracing::warn;

use crate::choose::{Choice, Offer};
use crate::fault::Fault;
use crate::hands::Plan;
use crate::rows::{CLASSES, Lane, LaneId, lane_columns, whole};
use crate::session::Tx;
use crate::turns::{Candidate, Fate, MAX_FRESH, Seen};

/// What the holder has seen of the ready lanes, and what it wanted of them.
pub(crate) struct Walk {
    pub(crate) plan: Plan,
    pub(crate) seen: [Seen; 3],
    pub(crate) with_room: HashSet<LaneId>,
    pub(crate) wanted: Vec<LaneId>,
    pub(crate) oldest: i64,
}

impl Walk {
    /// What the claim did with a lane that it saw.
    pub(crate) fn fate(&self, id: LaneId, busy: &[LaneId], offers: &[Offer], choice: &Choice) -> Fate {
        if !self.with_room.contains(&id) {
            return Fate::NoRoom;
        }
        if !self.wanted.contains(&id) {
            return Fate::Left;
        }
        if busy.contains(&id) {
            return Fate::Passed;
        }
        // One that cannot be read offers nothing.
        let Some(number) = offers.iter().position(|offer| offer.lane == id) else { return Fate::NoRoom };
        let taken = choice.taken.iter().filter(|(offer, _)| *offer == number).count();
        match offers[number].heads.len() {
            offered if offered > taken && choice.is_cut => Fate::Left,
            offered if offered > taken => Fate::NoRoom,
            _ if offers[number].is_part && choice.with_room.contains(&number) => Fate::Passed,
            _ => Fate::Served,
        }
    }
}

/// What there is to see of ready lanes, by class; nothing of a class for which there is no room.
pub(crate) async fn see(tx: &Tx<'_>, plan: &Plan) -> Result<[Seen; 3], Fault> {
    let most = |has_room, most| whole(if has_room { most } else { 0 });
    let windows = [0, 1, 2].map(|class| most(plan.has_room[class], plan.turns[class].window()));
    let fresh = plan.has_room.map(|has_room| most(has_room, MAX_FRESH));
    let mut params: Vec<&(dyn ToSql + Sync)> = Vec::new();
    for (class, turn) in plan.turns.iter().enumerate() {
        let (transaction, lane) = (&turn.since.0, &turn.since.1);
        params.extend::<[&(dyn ToSql + Sync); 5]>([
            &turn.cursor,
            &windows[class],
            transaction,
            lane,
            &fresh[class],
        ]);
    }
    let mut seen = [const { Vec::new() }; 3];
    for row in tx.rows(&SEE, &params).await? {
        let class = usize::try_from(row.try_get::<_, i32>("class")?)?;
        if let Some(part) = seen.get_mut(class) {
            Vec::push(part, (row.try_get::<_, i32>("part")?, Candidate::read(&row)?));
        }
    }
    let classes = seen.into_iter().zip(windows);
    let mut classes =
        classes.map(|(lanes, window)| Seen::of(lanes, usize::try_from(window).unwrap_or_default()));
    Ok([(); 3].map(|()| classes.next().unwrap_or_default()))
}

/// Locks those of the lanes that are ready and at which nobody is, and gives the others of them too.
pub(crate) async fn lock_free(tx: &Tx<'_>, wanted: &[LaneId]) -> Result<(Vec<Lane>, Vec<LaneId>), Fault> {
    let (mut lanes, mut busy) = (Vec::new(), Vec::new());
    if wanted.is_empty() {
        return Ok((lanes, busy));
    }
    for row in tx.rows(PICK, &[&wanted]).await? {
        if row.try_get::<_, Option<LaneId>>("id")?.is_some() {
            lanes.extend(read_whole(row));
        } else {
            busy.push(row.try_get("picked")?);
        }
    }
    lanes.sort_by_key(|lane: &Lane| wanted.iter().position(|id| *id == lane.id));
    Ok((lanes, busy))
}

/// A lane with a webhook that can be read too. One that cannot gives nothing, and stops no others.
fn read_whole(row: Row) -> Option<Lane> {
    let id: Option<LaneId> = row.try_get("id").ok();
    let lane = Lane::read(row).and_then(|lane| lane.registered().map(|_| lane));
    if lane.is_err() {
        // Not why: the cause might quote what is not for logs.
        warn!(lane = id, "the row of a lane cannot be read: nothing of it is delivered");
    }
    lane.ok()
}

impl Candidate {
    fn read(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            id: row.try_get("id")?,
            tenant: TenantId::new(row.try_get::<_, &str>("tenant")?).ok(),
            hook: HookId::new(row.try_get("hook")?),
            readied: row.try_get("readied")?,
        })
    }
}

impl Seen {
    /// Of the rows of one class, each with the part of the statement that gave it.
    fn of(rows: Vec<(i32, Candidate)>, window: usize) -> Self {
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

/// Ready lanes of each class: some that became ready since, some behind the cursor, and some from the start.
pub(crate) static SEE: LazyLock<String> = LazyLock::new(|| {
    let parts: Vec<String> = (0..CLASSES.len()).flat_map(see_class).collect();
    parts.join(" UNION ALL ")
});

fn see_class(class: usize) -> [String; 3] {
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

/// Those that others have locked come without a row.
pub(crate) const PICK: &str = concat!(
    "SELECT picked.id AS picked, lane.* FROM unnest($1::bigint[]) AS picked (id) LEFT JOIN LATERAL (SELECT ",
    lane_columns!(),
    " FROM lane WHERE lane.id = picked.id AND ready FOR UPDATE SKIP LOCKED) AS lane ON true"
);
