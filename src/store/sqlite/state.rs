//! The state of the writer: the connection that writes, and what is kept in memory beside it.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, named_params, params};

use super::file::rows::{
    ENABLED, HELD, Lane, LaneId, OpenDelivery, SELECT_LANE, WAITING, class_of, end_number, holder_of,
    registered,
};
use super::file::sql::{Sql, SqlError, optional_time};
use super::routing_leases::RoutingLeases;
use super::schedule::{Schedule, Waiting};
use crate::clock::Clock;
use crate::model::{End, HookId, TenantId, Timestamp};
use crate::registry::{RegisteredWebhook, Revision};
use crate::store::lease::HolderId;

/// The number of webhooks that are kept parsed.
const MAX_HOOKS: usize = 4096;

/// The state of the writer: the only connection that writes, and what is kept in memory beside it.
///
/// The methods are spread over the modules beside this one, by subject. Each runs in a savepoint of the
/// group's transaction; when it fails, its writes are undone and what is in memory is read anew.
pub(super) struct WriterState {
    pub(super) connection: Connection,
    pub(super) schedule: Schedule,
    pub(super) routing_leases: RoutingLeases,
    /// Whether work has come that a dispatcher should hear of once it is committed.
    pub(super) has_new_work: bool,
    clock: Arc<dyn Clock>,
    /// Webhooks as their rows tell, so that not each delivery parses them.
    hooks: HashMap<LaneId, Arc<RegisteredWebhook>>,
    /// Whether the memory may tell of what was rolled back.
    is_stale: bool,
}

/// A tenant as its row tells.
pub(super) struct TenantRow {
    pub(super) id: i64,
    pub(super) revision: Revision,
    pub(super) next_hook: HookId,
}

impl WriterState {
    pub(super) fn new(connection: Connection, clock: Arc<dyn Clock>) -> Self {
        let (schedule, routing_leases, hooks) =
            (Schedule::default(), RoutingLeases::default(), HashMap::new());
        Self { connection, schedule, routing_leases, has_new_work: false, clock, hooks, is_stale: true }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs `work` in a savepoint of the open transaction, so that it takes effect whole or not at all.
    pub(super) fn in_savepoint<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        self.need_transaction()?;
        if self.is_stale {
            self.reload()?;
        }
        self.connection.run("SAVEPOINT item", [])?;
        let mark = self.routing_leases.mark();
        let done = work(self);
        if done.is_err() {
            // An error like a full disk may have ended the transaction, and the savepoint with it.
            if self.connection.is_autocommit() {
                self.invalidate(0);
                return done;
            }
            self.invalidate(mark);
            self.connection.run("ROLLBACK TO item", [])?;
        }
        self.connection.run("RELEASE item", [])?;
        done
    }

    /// Fails without a transaction: each statement would be committed by itself.
    fn need_transaction(&self) -> Result<(), SqlError> {
        if self.connection.is_autocommit() { Err(SqlError::lost("there is no transaction")) } else { Ok(()) }
    }

    /// Has the memory read anew before it is next used, as something was rolled back, and takes back what the file
    /// does not tell of: the routing_leases' changes since `mark`.
    pub(super) fn invalidate(&mut self, mark: usize) {
        self.routing_leases.undo(mark);
        self.is_stale = true;
    }

    /// Reads the schedule from the file: one look at each lane in which deliveries wait, and at each claim. The
    /// routing leases stay, because they are in memory alone.
    fn reload(&mut self) -> Result<(), SqlError> {
        let now = self.now();
        self.schedule = Schedule::default();
        self.hooks.clear();
        for (holder, lane, class) in self.claims()? {
            if let Some(lane) = self.lane(lane)? {
                self.schedule.take(holder, &lane.name, lane.hook, class);
            }
        }
        for lane in self.connection.all(LANES_WITH_WORK, [], |row| Ok(row.get(0)?))? {
            self.refresh(lane, now)?;
        }
        self.is_stale = false;
        Ok(())
    }

    fn claims(&self) -> Result<Vec<(HolderId, LaneId, crate::delivery::LaneClass)>, SqlError> {
        const CLAIMS: &str = "SELECT holder, lane, class FROM delivery WHERE state = 1";
        let read = |row: &rusqlite::Row<'_>| {
            Ok((holder_of(row.get("holder")?), row.get("lane")?, class_of(row.get("class")?)))
        };
        self.connection.all(CLAIMS, [], read)
    }

    /// Brings the schedule in line with what a lane has to give: the one place that decides whether a lane
    /// is ready. Called after every change of a lane, it strands nothing.
    pub(super) fn refresh(&mut self, id: LaneId, now: Timestamp) -> Result<(), SqlError> {
        match self.lane(id)? {
            Some(lane) => self.refresh_lane(&lane, now)?,
            None => self.schedule.set(id, None, now),
        }
        Ok(())
    }

    /// The same for a lane that has been read.
    pub(super) fn refresh_lane(&mut self, lane: &Lane, now: Timestamp) -> Result<(), SqlError> {
        let first = if lane.is_enabled() { self.first_due(lane)? } else { None };
        self.schedule.set(lane.id, first.map(|due| lane.gives(due)), now);
        Ok(())
    }

    fn first_due(&self, lane: &Lane) -> Result<Option<Timestamp>, SqlError> {
        let due =
            self.connection.one(FIRST_DUE, params![lane.id, lane.epoch], |row| optional_time(row, "due"))?;
        Ok(due.flatten())
    }

    pub(super) fn lane(&self, id: LaneId) -> Result<Option<Lane>, SqlError> {
        self.connection.one(&format!("{SELECT_LANE} lane.id = ?"), [id], Lane::read)
    }

    /// A lane that is not deleted.
    pub(super) fn lane_of(&self, tenant: i64, hook: HookId) -> Result<Option<Lane>, SqlError> {
        let sql = format!("{SELECT_LANE} lane.tenant = ? AND hook = ? AND status < 2");
        self.connection.one(&sql, [tenant, hook.get()], Lane::read)
    }

    /// The webhook of a lane, as it is now.
    pub(super) fn hook(&mut self, lane: LaneId) -> Result<Arc<RegisteredWebhook>, SqlError> {
        if let Some(hook) = self.hooks.get(&lane) {
            return Ok(Arc::clone(hook));
        }
        let sql = "SELECT doc, secrets, version FROM lane WHERE id = ?";
        let hook = self.connection.one(sql, [lane], registered)?.map(Arc::new);
        let hook = hook.ok_or_else(|| SqlError::corrupt("a delivery without its webhook"))?;
        if self.hooks.len() >= MAX_HOOKS {
            self.hooks.clear();
        }
        self.hooks.insert(lane, Arc::clone(&hook));
        Ok(hook)
    }

    /// Has the webhook of a lane read anew: its row is about to change.
    pub(super) fn forget_hook(&mut self, lane: LaneId) {
        self.hooks.remove(&lane);
    }

    pub(super) fn tenant(&self, name: &TenantId) -> Result<Option<TenantRow>, SqlError> {
        tenant(&self.connection, name)
    }

    /// The tenant's row, made if there is none yet.
    pub(super) fn enter(&self, name: &TenantId) -> Result<TenantRow, SqlError> {
        if let Some(tenant) = self.tenant(name)? {
            return Ok(tenant);
        }
        self.connection.run("INSERT INTO tenant (name) VALUES (?)", [name.as_str()])?;
        let id = self.connection.last_insert_rowid();
        Ok(TenantRow { id, revision: Revision::default(), next_hook: HookId::new(1) })
    }

    /// Ends a delivery that waits or is held.
    pub(super) fn end(&self, open: &OpenDelivery, end: End, now: Timestamp) -> Result<(), SqlError> {
        let (state, now) = (end_number(end), now.as_millis());
        self.connection.run(END_DELIVERY, params![state, now, open.attempts, open.id])?;
        self.connection.run(CLOSE_EVENT, named_params! {":event": open.event, ":now": now})?;
        Ok(())
    }
}

impl Lane {
    /// Returns the lane's entry in the schedule when its first delivery is due at `due`.
    pub(super) fn gives(&self, due: Timestamp) -> Waiting {
        let (tenant, hook) = (self.name.clone(), self.hook);
        Waiting { tenant, hook, class: self.health.class(), when: self.backoff_until.max(due) }
    }
}

pub(super) fn tenant(connection: &Connection, name: &TenantId) -> Result<Option<TenantRow>, SqlError> {
    const SELECT: &str = "SELECT id, revision, next_hook FROM tenant WHERE name = ?";
    connection.one(SELECT, [name.as_str()], |row| {
        Ok(TenantRow {
            id: row.get("id")?,
            revision: Revision::new(row.get::<_, i64>("revision")?.unsigned_abs()),
            next_hook: HookId::new(row.get("next_hook")?),
        })
    })
}

/// Leaps from lane to lane along the index: as many steps as there are lanes with waiting deliveries,
/// whatever their number.
pub(super) const LANES_WITH_WORK: &str = "
    WITH RECURSIVE work (lane) AS (
        SELECT min(lane) FROM delivery WHERE state = 0
        UNION ALL
        SELECT (SELECT min(lane) FROM delivery WHERE state = 0 AND lane > work.lane)
        FROM work WHERE work.lane IS NOT NULL
    )
    SELECT lane FROM work WHERE lane IS NOT NULL";

pub(super) const FIRST_DUE: &str =
    "SELECT min(due) AS due FROM delivery WHERE lane = ? AND epoch = ? AND state = 0";

const END_DELIVERY: &str = "UPDATE delivery SET state = ?, ended_at = ?, attempts = ?, holder = NULL, \
    lease_until = NULL, class = NULL WHERE id = ?";

const CLOSE_EVENT: &str = "UPDATE event SET open = open - 1, \
    ended_at = CASE WHEN open = 1 THEN :now END WHERE seq = :event";

const _: () = assert!(WAITING == 0 && HELD == 1 && ENABLED == 1, "statements hold these as literals");
