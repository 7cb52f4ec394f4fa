use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, named_params, params};

use super::super::HolderId;
use super::rota::{Rota, Waiting};
use super::routers::Routers;
use super::rows::{
    ENABLED, HELD, Lane, LaneId, Open, SELECT_LANE, WAITING, class_of, end_number, holder_of, registered,
};
use super::sql::{Fault, Sql, optional_time};
use crate::clock::Clock;
use crate::model::{End, HookId, TenantId, Timestamp};
use crate::registry::{RegisteredWebhook, Revision};

/// How many webhooks are kept parsed.
const MAX_HOOKS: usize = 4096;

/// What the writer works with: the connection that alone writes, and what is kept in memory beside it.
///
/// The methods are spread over the modules beside this one, by subject. Each runs in a savepoint of the
/// group's transaction; when it fails, its writes are undone and what is in memory is read anew.
pub(super) struct Desk {
    pub(super) connection: Connection,
    pub(super) rota: Rota,
    pub(super) routers: Routers,
    /// Whether work has come that a dispatcher should hear of once it is committed.
    pub(super) has_news: bool,
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

impl Desk {
    pub(super) fn new(connection: Connection, clock: Arc<dyn Clock>) -> Self {
        let (rota, routers, hooks) = (Rota::default(), Routers::default(), HashMap::new());
        Self { connection, rota, routers, has_news: false, clock, hooks, is_stale: true }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Does `work` whole or not at all, within the transaction that is open.
    pub(super) fn whole<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.need_transaction()?;
        if self.is_stale {
            self.reload()?;
        }
        self.connection.run("SAVEPOINT item", [])?;
        let mark = self.routers.mark();
        let done = work(self);
        if done.is_err() {
            // An error like a full disk may have ended the transaction, and the savepoint with it.
            if self.connection.is_autocommit() {
                self.distrust(0);
                return done;
            }
            self.distrust(mark);
            self.connection.run("ROLLBACK TO item", [])?;
        }
        self.connection.run("RELEASE item", [])?;
        done
    }

    /// Without a transaction each statement would be committed by itself.
    fn need_transaction(&self) -> Result<(), Fault> {
        if self.connection.is_autocommit() { Err(Fault::lost("there is no transaction")) } else { Ok(()) }
    }

    /// Has the memory read anew before it is next used, as something was rolled back, and takes back what the file
    /// does not tell of: the routers' changes since `mark`.
    pub(super) fn distrust(&mut self, mark: usize) {
        self.routers.undo(mark);
        self.is_stale = true;
    }

    /// Reads the rota from the file: one look at each lane in which deliveries wait, and at each claim. The routers
    /// stay: nothing but memory tells of them.
    fn reload(&mut self) -> Result<(), Fault> {
        let now = self.now();
        self.rota = Rota::default();
        self.hooks.clear();
        for (holder, lane, class) in self.claims()? {
            if let Some(lane) = self.lane(lane)? {
                self.rota.take(holder, &lane.name, lane.hook, class);
            }
        }
        for lane in self.connection.all(LANES_WITH_WORK, [], |row| Ok(row.get(0)?))? {
            self.refresh(lane, now)?;
        }
        self.is_stale = false;
        Ok(())
    }

    fn claims(&self) -> Result<Vec<(HolderId, LaneId, crate::delivery::LaneClass)>, Fault> {
        const CLAIMS: &str = "SELECT holder, lane, class FROM delivery WHERE state = 1";
        let read = |row: &rusqlite::Row<'_>| {
            Ok((holder_of(row.get("holder")?), row.get("lane")?, class_of(row.get("class")?)))
        };
        self.connection.all(CLAIMS, [], read)
    }

    /// Brings the rota in line with what a lane has to give: the one place that decides whether a lane
    /// is ready. Called after every change of a lane, it strands nothing.
    pub(super) fn refresh(&mut self, id: LaneId, now: Timestamp) -> Result<(), Fault> {
        match self.lane(id)? {
            Some(lane) => self.refresh_lane(&lane, now)?,
            None => self.rota.set(id, None, now),
        }
        Ok(())
    }

    /// The same for a lane that has been read.
    pub(super) fn refresh_lane(&mut self, lane: &Lane, now: Timestamp) -> Result<(), Fault> {
        let first = if lane.is_enabled() { self.first_due(lane)? } else { None };
        self.rota.set(lane.id, first.map(|due| lane.gives(due)), now);
        Ok(())
    }

    fn first_due(&self, lane: &Lane) -> Result<Option<Timestamp>, Fault> {
        let due =
            self.connection.one(FIRST_DUE, params![lane.id, lane.epoch], |row| optional_time(row, "due"))?;
        Ok(due.flatten())
    }

    pub(super) fn lane(&self, id: LaneId) -> Result<Option<Lane>, Fault> {
        self.connection.one(&format!("{SELECT_LANE} lane.id = ?"), [id], Lane::read)
    }

    /// A lane that is not deleted.
    pub(super) fn lane_of(&self, tenant: i64, hook: HookId) -> Result<Option<Lane>, Fault> {
        let sql = format!("{SELECT_LANE} lane.tenant = ? AND hook = ? AND status < 2");
        self.connection.one(&sql, [tenant, hook.get()], Lane::read)
    }

    /// The webhook of a lane, as it is now.
    pub(super) fn hook(&mut self, lane: LaneId) -> Result<Arc<RegisteredWebhook>, Fault> {
        if let Some(hook) = self.hooks.get(&lane) {
            return Ok(Arc::clone(hook));
        }
        let sql = "SELECT doc, secrets, version FROM lane WHERE id = ?";
        let hook = self.connection.one(sql, [lane], registered)?.map(Arc::new);
        let hook = hook.ok_or_else(|| Fault::corrupt("a delivery without its webhook"))?;
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

    pub(super) fn tenant(&self, name: &TenantId) -> Result<Option<TenantRow>, Fault> {
        tenant(&self.connection, name)
    }

    /// The tenant's row, made if there is none yet.
    pub(super) fn enter(&self, name: &TenantId) -> Result<TenantRow, Fault> {
        if let Some(tenant) = self.tenant(name)? {
            return Ok(tenant);
        }
        self.connection.run("INSERT INTO tenant (name) VALUES (?)", [name.as_str()])?;
        let id = self.connection.last_insert_rowid();
        Ok(TenantRow { id, revision: Revision::default(), next_hook: HookId::new(1) })
    }

    /// Ends a delivery that waits or is held.
    pub(super) fn end(&self, open: &Open, end: End, now: Timestamp) -> Result<(), Fault> {
        let (state, now) = (end_number(end), now.as_millis());
        self.connection.run(END_DELIVERY, params![state, now, open.attempts, open.id])?;
        self.connection.run(CLOSE_EVENT, named_params! {":event": open.event, ":now": now})?;
        Ok(())
    }
}

impl Lane {
    /// What the lane has to give, if the first of it is due then.
    pub(super) fn gives(&self, due: Timestamp) -> Waiting {
        let (tenant, hook) = (self.name.clone(), self.hook);
        Waiting { tenant, hook, class: self.health.class(), when: self.backoff_until.max(due) }
    }
}

pub(super) fn tenant(connection: &Connection, name: &TenantId) -> Result<Option<TenantRow>, Fault> {
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
