//! A transaction of the writer: what its jobs read, and what they change.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::changes::{Changes, ClaimedRow, Cursors, Numbers, RoutingLease, TenantRow};
use super::file::rows::{DELETED, Lane, LaneId, SELECT_HOOK, SELECT_LANE, end_number, registered};
use super::file::sql::{Sql, SqlError};
use super::memory::{Memory, tenant};
use super::suspects::Suspects;
use crate::model::{End, HookId, TenantId};
use crate::registry::RegisteredWebhook;
use crate::store::time::KeptTime;

/// A transaction under way. Its jobs write to the file, and read the memory as the last commit left it, with what the
/// jobs before them have changed. Nothing can change the memory itself before the commit.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a Connection,
    memory: &'a Memory,
    pub(super) changes: Changes,
    pub(super) now: KeptTime,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(connection: &'a Connection, memory: &'a Memory, now: KeptTime) -> Self {
        Self { connection, memory, changes: Changes::default(), now }
    }

    /// Returns a lane as it is now, deleted or not.
    pub(super) fn lane(&mut self, id: LaneId) -> Result<Option<Arc<Lane>>, SqlError> {
        if let Some(lane) = self.changes.lanes.get(&id).or_else(|| self.memory.lane(id)) {
            return Ok(Some(Arc::clone(lane)));
        }
        let lane = self.connection.one(&format!("{SELECT_LANE} lane.id = ?"), [id], Lane::read)?;
        Ok(lane.map(|lane| self.set_lane(lane)))
    }

    /// Returns a lane that is not deleted.
    pub(super) fn lane_of(&mut self, tenant: i64, hook: HookId) -> Result<Option<Arc<Lane>>, SqlError> {
        let lane = match self.memory.lane_of(tenant, hook) {
            Some(known) => self.lane(known)?,
            None => {
                let sql = format!("{SELECT_LANE} lane.tenant = ? AND hook = ?");
                let lane = self.connection.one(&sql, [tenant, hook.get()], Lane::read)?;
                lane.map(|lane| self.set_lane(lane))
            }
        };
        Ok(lane.filter(|lane| lane.status != DELETED))
    }

    /// Notes how a lane is now.
    pub(super) fn set_lane(&mut self, lane: Lane) -> Arc<Lane> {
        let lane = Arc::new(lane);
        self.changes.lanes.insert(lane.id, Arc::clone(&lane));
        lane
    }

    /// Returns the webhook of a lane, as it is now.
    pub(super) fn hook(&self, lane: LaneId) -> Result<RegisteredWebhook, SqlError> {
        let hook = self.connection.one(&format!("{SELECT_HOOK} id = ?"), [lane], registered)?;
        hook.ok_or_else(|| SqlError::corrupt("a lane without its webhook"))
    }

    pub(super) fn tenant(&mut self, name: &TenantId) -> Result<Option<TenantRow>, SqlError> {
        if let Some(known) = self.changes.tenants.get(name).or_else(|| self.memory.tenant(name)) {
            return Ok(Some(*known));
        }
        let found = tenant(self.connection, name)?;
        self.changes.tenants.extend(found.map(|row| (name.clone(), row)));
        Ok(found)
    }

    /// Returns the tenant's row, made if there is none yet.
    pub(super) fn enter(&mut self, name: &TenantId) -> Result<TenantRow, SqlError> {
        if let Some(known) = self.tenant(name)? {
            return Ok(known);
        }
        self.connection.run("INSERT INTO tenant (name) VALUES (?)", [name.as_str()])?;
        let row = TenantRow::new(self.connection.last_insert_rowid());
        self.changes.tenants.insert(name.clone(), row);
        Ok(row)
    }

    /// Returns a claim that has not ended.
    pub(super) fn held(&self, id: i64) -> Option<ClaimedRow> {
        match self.changes.held.get(&id) {
            Some(changed) => *changed,
            None => self.memory.held(id).copied(),
        }
    }

    pub(super) fn suspects(&self) -> &Suspects {
        &self.memory.suspects
    }

    pub(super) fn held_count(&self) -> usize {
        self.memory.held_count()
    }

    pub(super) fn routing_lease(&self, name: &TenantId) -> Option<RoutingLease> {
        match self.changes.routing.get(name) {
            Some(changed) => *changed,
            None => self.memory.routing_lease(name),
        }
    }

    pub(super) fn cursors(&self) -> Cursors {
        self.changes.cursors.unwrap_or_else(|| self.memory.cursors())
    }

    pub(super) fn set_cursors(&mut self, set: impl FnOnce(&mut Cursors)) {
        set(self.changes.cursors.get_or_insert_with(|| self.memory.cursors()));
    }

    /// Returns the numbers from which new rows are counted.
    pub(super) fn numbers(&mut self) -> &mut Numbers {
        self.changes.numbers.get_or_insert_with(|| self.memory.numbers())
    }

    /// Ends a delivery, whose claim goes with it.
    pub(super) fn end(&self, id: i64, end: End) -> Result<(), SqlError> {
        let (time, date) = (self.now.time.as_millis(), self.now.date.as_millis());
        self.connection.run(END, params![end_number(end), time, date, id])?;
        Ok(())
    }
}

const END: &str = "UPDATE delivery SET state = ?, due = ?, ended_at = ? WHERE id = ?";
