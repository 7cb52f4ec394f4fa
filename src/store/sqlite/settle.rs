use rusqlite::params;

use super::super::{Disable, HolderId, Settled, Settlement};
use super::claim::{HELD_BY, HELD_UNDER, Held};
use super::desk::Desk;
use super::rows::{Lane, LaneId, end_number, fence_number, holder_bytes};
use super::sql::{Fault, Sql};
use crate::delivery::Next;
use crate::model::{Attempt, Timestamp};

impl Desk {
    pub(super) fn settle(&mut self, items: &[Settlement]) -> Result<Vec<Settled>, Fault> {
        items.iter().map(|item| self.settle_one(item)).collect()
    }

    fn settle_one(&mut self, item: &Settlement) -> Result<Settled, Fault> {
        let (id, now) = (item.id.get(), self.now());
        let held = self.connection.one(HELD_UNDER, [id, fence_number(item.fence)], Held::read)?;
        let Some(held) = held else { return Ok(Settled::Fenced) };
        if let Some(attempt) = &item.attempt {
            self.write_attempt(id, attempt)?;
        }
        let is_changed = self.settle_lane(held.lane, item, now)?;
        match item.next {
            Next::Again(after) => self.requeue(&held, now.plus(after), now)?,
            Next::End(end) => {
                self.end(id, held.event, end_number(end), now)?;
                self.give_back(&held);
            }
            Next::Extend(by) => self.extend(id, now.plus(by))?,
            Next::Release => self.requeue(&held, now, now)?,
        }
        if is_changed {
            self.refresh(held.lane, now)?;
        }
        Ok(Settled::Applied)
    }

    fn write_attempt(&self, delivery: i64, attempt: &Attempt) -> Result<(), Fault> {
        let count = "UPDATE delivery SET attempts = attempts + 1 WHERE id = ?";
        self.connection.run(count, [delivery])?;
        const INSERT: &str = "INSERT INTO attempt (delivery, number, doc) \
            SELECT id, attempts, ? FROM delivery WHERE id = ?";
        self.connection.run(INSERT, params![serde_json::to_string(attempt)?, delivery])?;
        Ok(())
    }

    fn extend(&self, delivery: i64, until: Timestamp) -> Result<(), Fault> {
        let extend = "UPDATE delivery SET lease_until = ? WHERE id = ?";
        self.connection.run(extend, [until.as_millis(), delivery])?;
        Ok(())
    }

    /// Writes what the lane learns; most settlements teach it nothing, and write nothing. Tells whether
    /// something changed.
    fn settle_lane(&self, id: LaneId, item: &Settlement, now: Timestamp) -> Result<bool, Fault> {
        let Some(mut lane) = self.lane(id)? else { return Ok(false) };
        let before = (lane.health, lane.paused_until);
        (lane.health, lane.paused_until) = item.lane_after(lane.health, lane.paused_until, now);
        let learns = before != (lane.health, lane.paused_until);
        if learns {
            let write = "UPDATE lane SET health = ?, paused_until = ? WHERE id = ?";
            let (health, paused_until) =
                (serde_json::to_string(&lane.health)?, lane.paused_until.as_millis());
            self.connection.run(write, params![health, paused_until, id])?;
        }
        let is_disabled = match item.disable.filter(|_| lane.is_enabled()) {
            Some(disable) => self.disable(&lane, disable)?,
            None => false,
        };
        Ok(learns || is_disabled)
    }

    /// Disables a webhook by hookwire's own decision, if it is still the one that was judged.
    fn disable(&self, lane: &Lane, disable: Disable) -> Result<bool, Fault> {
        let hook = self.hook(lane.id)?;
        let Some(disabled) = disable.applied_to(&hook, &lane.health) else { return Ok(false) };
        self.write_hook(lane.id, &disabled)?;
        self.revise(lane.tenant)?;
        Ok(true)
    }

    pub(super) fn release(&mut self, holder: HolderId) -> Result<(), Fault> {
        let now = self.now();
        for held in self.connection.all(HELD_BY, [holder_bytes(holder)], Held::read)? {
            self.requeue(&held, now, now)?;
        }
        self.routers.retain(|_, router| router.holder != holder);
        self.rota.leave(holder);
        self.has_news = true;
        Ok(())
    }
}
