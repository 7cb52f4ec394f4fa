//! Settling and releasing claims.

use rusqlite::params;

use super::claim::{ClaimedRow, HELD_BY, HELD_UNDER};
use super::file::rows::{DISABLED, Lane, OpenDelivery, fence_number, holder_bytes};
use super::file::sql::{Sql, SqlError};
use super::state::WriterState;
use crate::delivery::Next;
use crate::model::{Attempt, Timestamp};
use crate::store::lease::HolderId;
use crate::store::settlement::{Disable, Settled, Settlement};

impl WriterState {
    pub(super) fn settle(&mut self, items: &[Settlement]) -> Result<Vec<Settled>, SqlError> {
        items.iter().map(|item| self.settle_one(item)).collect()
    }

    fn settle_one(&mut self, item: &Settlement) -> Result<Settled, SqlError> {
        let (id, now) = (item.id.get(), self.now());
        let held = self.connection.one(HELD_UNDER, [id, fence_number(item.fence)], ClaimedRow::read)?;
        let Some(mut held) = held else { return Ok(Settled::Fenced) };
        held.open.retry = item.retry;
        if let Some(attempt) = &item.attempt {
            held.open.attempts += 1;
            self.write_attempt(&held.open, attempt)?;
        }
        let is_changed = self.settle_lane(&mut held.lane, item, now)?;
        match item.next {
            Next::Again(after) => self.requeue(&held, now.plus(after), now)?,
            Next::End(end) => {
                self.end(&held.open, end, now)?;
                self.give_back(&held);
            }
            Next::Extend(by) => self.extend(&held.open, now.plus(by))?,
            Next::Release => self.requeue(&held, now, now)?,
        }
        if is_changed {
            self.refresh_lane(&held.lane, now)?;
        }
        Ok(Settled::Applied)
    }

    /// Writes an attempt down; the delivery's own row counts it when it is next written.
    fn write_attempt(&self, open: &OpenDelivery, attempt: &Attempt) -> Result<(), SqlError> {
        const REMOVE: &str = "DELETE FROM attempt WHERE delivery = ? AND number = ?";
        const INSERT: &str = "INSERT INTO attempt (delivery, number, doc) VALUES (?, ?, ?)";
        if attempt.replaces_previous() {
            self.connection.run(REMOVE, params![open.id, open.attempts - 1])?;
        }
        self.connection.run(INSERT, params![open.id, open.attempts, serde_json::to_string(attempt)?])?;
        Ok(())
    }

    fn extend(&self, open: &OpenDelivery, until: Timestamp) -> Result<(), SqlError> {
        let extend = "UPDATE delivery SET lease_until = ?, attempts = ?, retry = ? WHERE id = ?";
        let retry = open.retry_doc()?;
        self.connection.run(extend, params![until.as_millis(), open.attempts, retry, open.id])?;
        Ok(())
    }

    /// Writes what the lane learns; most settlements teach it nothing, and write nothing. Tells whether
    /// something changed.
    fn settle_lane(&mut self, lane: &mut Lane, item: &Settlement, now: Timestamp) -> Result<bool, SqlError> {
        let before = (lane.health, lane.backoff_until);
        lane.health = item.health_after(lane.health, now);
        lane.backoff_until = item.backoff_after(Some(lane.backoff_until), now).unwrap_or(now);
        let learns = before != (lane.health, lane.backoff_until);
        if learns {
            let write = "UPDATE lane SET health = ?, paused_until = ? WHERE id = ?";
            let health = serde_json::to_string(&lane.health)?;
            self.connection.run(write, params![health, lane.backoff_until.as_millis(), lane.id])?;
        }
        let is_disabled = match item.disable.filter(|_| lane.is_enabled()) {
            Some(disable) => self.disable(lane, disable)?,
            None => false,
        };
        Ok(learns || is_disabled)
    }

    /// Disables a webhook by hookwire's own decision, if it is still the one that was judged.
    fn disable(&mut self, lane: &mut Lane, disable: Disable) -> Result<bool, SqlError> {
        let hook = self.hook(lane.id)?;
        let Some(disabled) = disable.applied_to(&hook, &lane.health) else { return Ok(false) };
        self.write_hook(lane.id, &disabled)?;
        self.revise(lane.tenant)?;
        lane.status = DISABLED;
        Ok(true)
    }

    pub(super) fn release(&mut self, holder: HolderId) -> Result<(), SqlError> {
        let now = self.now();
        for held in self.connection.all(HELD_BY, [holder_bytes(holder)], ClaimedRow::read)? {
            self.requeue(&held, now, now)?;
        }
        self.routing_leases.remove_holder(holder);
        self.schedule.remove_holder(holder);
        self.has_new_work = true;
        Ok(())
    }
}
