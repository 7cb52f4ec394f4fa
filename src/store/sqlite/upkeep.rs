use rusqlite::Row;

use super::super::{Erased, TendRequest, Tended};
use super::claim::{HELD_OF_EVENT, Held};
use super::desk::Desk;
use super::rows::{Lane, LaneId, Open, SELECT_LANE};
use super::sql::{Fault, Sql, number, time, whole};
use crate::model::{End, TenantId, Timestamp};

/// A waiting delivery that is to end.
struct Over {
    open: Open,
    lane: LaneId,
}

impl Desk {
    pub(super) fn tend(&mut self, request: &TendRequest) -> Result<Tended, Fault> {
        let now = self.now();
        let expired = self.expire(request.limit, now)?;
        let swept = self.sweep(request.limit)?;
        let removed = self.remove_ended(request, now)?;
        let more = [expired, swept, removed].contains(&request.limit);
        Ok(Tended { expired, swept, removed, more })
    }

    /// Ends waiting deliveries whose time is up. Held ones are ended by whoever holds them, and those of a
    /// dropped backlog are swept: they read as cancelled before, and stay so.
    fn expire(&mut self, limit: usize, now: Timestamp) -> Result<usize, Fault> {
        let over = self.connection.all(EXPIRED, [now.as_millis(), whole(limit)], Over::read)?;
        for over in &over {
            self.end(&over.open, End::Expired, now)?;
            self.refresh(over.lane, now)?;
        }
        Ok(over.len())
    }

    /// Ends what waits in backlogs that were dropped: they ended when the new epoch began, as they read before.
    fn sweep(&self, limit: usize) -> Result<usize, Fault> {
        let read = |row: &Row<'_>| Ok((Open::read(row)?, time(row, "epoch_at")?));
        let mut swept = 0;
        while let Some((lane, below)) = self.next_dropped()?.filter(|_| swept < limit) {
            let over = self.connection.all(DROPPED, [lane, below, whole(limit - swept)], read)?;
            for (open, dropped_at) in &over {
                self.end(open, End::Cancelled, *dropped_at)?;
                self.connection.run(DATE_EVENT, [open.event])?;
            }
            swept += over.len();
            if over.is_empty() {
                self.connection.run("DELETE FROM dropped WHERE lane = ?", [lane])?;
            }
        }
        Ok(swept)
    }

    fn next_dropped(&self) -> Result<Option<(LaneId, i64)>, Fault> {
        let next = "SELECT lane, below FROM dropped ORDER BY lane LIMIT 1";
        self.connection.one(next, [], |row| Ok((row.get("lane")?, row.get("below")?)))
    }

    fn remove_ended(&mut self, request: &TendRequest, now: Timestamp) -> Result<usize, Fault> {
        let before = now.minus(request.keep).as_millis();
        let old = self.connection.all(OLD, [before, whole(request.limit)], number)?;
        for event in &old {
            self.remove_event(*event, now)?;
        }
        Ok(old.len())
    }

    /// Removes an event with its deliveries, held ones too.
    fn remove_event(&mut self, event: i64, now: Timestamp) -> Result<(), Fault> {
        for held in self.connection.all(HELD_OF_EVENT, [event], Held::read)? {
            self.give_back(&held);
        }
        let lanes = "SELECT DISTINCT lane FROM delivery WHERE event = ?";
        let lanes = self.connection.all(lanes, [event], number)?;
        for remove in REMOVE_EVENT {
            self.connection.run(remove, [event])?;
        }
        for lane in lanes {
            self.refresh(lane, now)?;
            self.forget_lane(lane)?;
        }
        Ok(())
    }

    pub(super) fn erase(&mut self, name: &TenantId, limit: usize) -> Result<Erased, Fault> {
        let Some(tenant) = self.tenant(name)? else { return Ok(Erased { more: false }) };
        let now = self.now();
        self.delete_webhooks(tenant.id, now)?;
        self.routers.remove(name);
        const SOME: &str = "SELECT seq FROM event WHERE tenant = ? LIMIT ?";
        // One more than asked for tells whether there is more.
        let events = self.connection.all(SOME, [tenant.id, whole(limit.saturating_add(1))], number)?;
        for event in events.iter().take(limit) {
            self.remove_event(*event, now)?;
        }
        Ok(Erased { more: events.len() > limit })
    }

    fn delete_webhooks(&mut self, tenant: i64, now: Timestamp) -> Result<(), Fault> {
        let live = format!("{SELECT_LANE} lane.tenant = ? AND status < 2");
        let live = self.connection.all(&live, [tenant], Lane::read)?;
        if !live.is_empty() {
            self.revise(tenant)?;
        }
        live.iter().try_for_each(|lane| self.delete_lane(lane, now))
    }
}

impl Over {
    fn read(row: &Row<'_>) -> Result<Self, Fault> {
        Ok(Self { open: Open::read(row)?, lane: row.get("lane")? })
    }
}

pub(super) const EXPIRED: &str = "SELECT delivery.id AS delivery, event, attempts, lane \
    FROM delivery JOIN lane ON lane.id = delivery.lane AND lane.epoch = delivery.epoch \
    WHERE state < 2 AND state = 0 AND expires <= ? ORDER BY expires LIMIT ?";

pub(super) const DROPPED: &str = "SELECT delivery.id AS delivery, event, attempts, epoch_at \
    FROM delivery JOIN lane ON lane.id = delivery.lane \
    WHERE state = 0 AND lane = ? AND delivery.epoch < ? LIMIT ?";

pub(super) const OLD: &str = "SELECT seq FROM event WHERE ended_at < ? ORDER BY ended_at LIMIT ?";

/// Others of an event may have ended after one that was dropped: the last end counts.
pub(super) const DATE_EVENT: &str = "UPDATE event SET ended_at = \
    (SELECT max(ended_at) FROM delivery WHERE delivery.event = event.seq) WHERE seq = ? AND ended_at IS NOT NULL";

const REMOVE_EVENT: [&str; 4] = [
    "DELETE FROM attempt WHERE delivery IN (SELECT id FROM delivery WHERE event = ?)",
    "DELETE FROM delivery WHERE event = ?",
    "DELETE FROM payload WHERE event = ?",
    "DELETE FROM event WHERE seq = ?",
];
