use rusqlite::params;

use super::super::{Disable, HolderId, Settled, Settlement};
use super::claim::{HELD_BY, HELD_UNDER, Held};
use super::desk::Desk;
use super::rows::{Lane, LaneId, end_number, fence_number, holder_bytes};
use super::sql::{Fault, Sql};
use crate::delivery::{Next, Report};
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
        let health = lane.health.after(item.report, now);
        let learns = item.report != Report::Nothing && health != lane.health;
        if learns {
            lane.health = health;
            let write = "UPDATE lane SET health = ? WHERE id = ?";
            self.connection.run(write, params![serde_json::to_string(&health)?, id])?;
        }
        if let Some(pause) = item.pause {
            let until = lane.paused_until.max(now.plus(pause));
            self.connection.run("UPDATE lane SET paused_until = ? WHERE id = ?", [until.as_millis(), id])?;
        }
        let is_disabled = match &item.disable {
            Some(disable) => self.disable(&lane, disable)?,
            None => false,
        };
        Ok(learns || item.pause.is_some() || is_disabled)
    }

    /// Disables a webhook by hookwire's own decision, if it is still the one that was judged.
    fn disable(&self, lane: &Lane, disable: &Disable) -> Result<bool, Fault> {
        let is_judged = lane.version == disable.version && lane.health.confirms(&disable.reason);
        if !lane.is_enabled() || !is_judged {
            return Ok(false);
        }
        let hook = self.hook(lane.id)?.as_ref().clone().disabled_for(disable.reason);
        self.write_hook(lane.id, &hook)?;
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
