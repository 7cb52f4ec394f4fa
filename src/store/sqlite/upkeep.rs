//! Upkeep: expiring, sweeping, removing and erasing.

use rusqlite::Row;

use super::claim::{ClaimedRow, HELD_OF_EVENT};
use super::file::rows::{Lane, LaneId, OpenDelivery, SELECT_LANE};
use super::file::sql::{Sql, SqlError, as_i64, number, time};
use super::state::WriterState;
use crate::model::{End, TenantId, Timestamp};
use crate::store::records::{Erased, TendRequest, Tended};

/// A waiting delivery that is to end.
struct Ending {
    open: OpenDelivery,
    lane: LaneId,
}

impl WriterState {
    pub(super) fn tend(&mut self, request: &TendRequest) -> Result<Tended, SqlError> {
        let now = self.now();
        let expired = self.expire(request.limit, now)?;
        let swept = self.sweep(request.limit)?;
        let removed = self.remove_ended(request, now)?;
        let stripped = self.strip_ended(request, now)?;
        let more = [expired, swept, removed, stripped].contains(&request.limit);
        Ok(Tended { expired, swept, removed, stripped, more })
    }

    /// Ends waiting deliveries whose time is up. ClaimedRow ones are ended by whoever holds them, and those of a
    /// dropped backlog are swept: they read as cancelled before, and stay so.
    fn expire(&mut self, limit: usize, now: Timestamp) -> Result<usize, SqlError> {
        let over = self.connection.all(EXPIRED, [now.as_millis(), as_i64(limit)], Ending::read)?;
        for over in &over {
            self.end(&over.open, End::Expired, now)?;
            self.refresh(over.lane, now)?;
        }
        Ok(over.len())
    }

    /// Ends what waits in backlogs that were dropped: they ended when the new epoch began, as they read before.
    fn sweep(&self, limit: usize) -> Result<usize, SqlError> {
        let read = |row: &Row<'_>| Ok((OpenDelivery::read(row)?, time(row, "epoch_at")?));
        let mut swept = 0;
        while let Some((lane, below)) = self.next_dropped()?.filter(|_| swept < limit) {
            let over = self.connection.all(DROPPED, [lane, below, as_i64(limit - swept)], read)?;
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

    fn next_dropped(&self) -> Result<Option<(LaneId, i64)>, SqlError> {
        let next = "SELECT lane, below FROM dropped ORDER BY lane LIMIT 1";
        self.connection.one(next, [], |row| Ok((row.get("lane")?, row.get("below")?)))
    }

    fn remove_ended(&mut self, request: &TendRequest, now: Timestamp) -> Result<usize, SqlError> {
        let before = now.minus(request.keep).as_millis();
        let old = self.connection.all(OLD, [before, as_i64(request.limit)], number)?;
        for event in &old {
            self.remove_event(*event, now)?;
        }
        Ok(old.len())
    }

    /// Removes payloads of events that have ended.
    fn strip_ended(&self, request: &TendRequest, now: Timestamp) -> Result<usize, SqlError> {
        let before = now.minus(request.keep_payloads).as_millis();
        let old = self.connection.all(FULL, [before, as_i64(request.limit)], number)?;
        for event in &old {
            self.connection.run("DELETE FROM payload WHERE event = ?", [event])?;
        }
        Ok(old.len())
    }

    /// Removes an event with its deliveries, held ones too.
    fn remove_event(&mut self, event: i64, now: Timestamp) -> Result<(), SqlError> {
        for held in self.connection.all(HELD_OF_EVENT, [event], ClaimedRow::read)? {
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

    pub(super) fn erase(&mut self, name: &TenantId, limit: usize) -> Result<Erased, SqlError> {
        let Some(tenant) = self.tenant(name)? else { return Ok(Erased { more: false }) };
        let now = self.now();
        self.delete_webhooks(tenant.id, now)?;
        self.routing_leases.remove(name);
        const SOME: &str = "SELECT seq FROM event WHERE tenant = ? LIMIT ?";
        // One more than asked for tells whether there is more.
        let events = self.connection.all(SOME, [tenant.id, as_i64(limit.saturating_add(1))], number)?;
        for event in events.iter().take(limit) {
            self.remove_event(*event, now)?;
        }
        Ok(Erased { more: events.len() > limit })
    }

    fn delete_webhooks(&mut self, tenant: i64, now: Timestamp) -> Result<(), SqlError> {
        let live = format!("{SELECT_LANE} lane.tenant = ? AND status < 2");
        let live = self.connection.all(&live, [tenant], Lane::read)?;
        if !live.is_empty() {
            self.revise(tenant)?;
        }
        live.iter().try_for_each(|lane| self.delete_lane(lane, now))
    }
}

impl Ending {
    fn read(row: &Row<'_>) -> Result<Self, SqlError> {
        Ok(Self { open: OpenDelivery::read(row)?, lane: row.get("lane")? })
    }
}

const EXPIRED: &str = "SELECT delivery.id AS delivery, event, attempts, retry, lane \
    FROM delivery JOIN lane ON lane.id = delivery.lane AND lane.epoch = delivery.epoch \
    WHERE state < 2 AND state = 0 AND expires <= ? ORDER BY expires LIMIT ?";

const DROPPED: &str = "SELECT delivery.id AS delivery, event, attempts, retry, epoch_at \
    FROM delivery JOIN lane ON lane.id = delivery.lane \
    WHERE state = 0 AND lane = ? AND delivery.epoch < ? LIMIT ?";

const OLD: &str = "SELECT seq FROM event WHERE ended_at < ? ORDER BY ended_at LIMIT ?";

const FULL: &str = "SELECT seq FROM event WHERE ended_at < ? \
    AND EXISTS (SELECT 1 FROM payload WHERE payload.event = seq) ORDER BY ended_at LIMIT ?";

/// Others of an event may have ended after one that was dropped: the last end counts.
const DATE_EVENT: &str = "UPDATE event SET ended_at = \
    (SELECT max(ended_at) FROM delivery WHERE delivery.event = event.seq) WHERE seq = ? AND ended_at IS NOT NULL";

const REMOVE_EVENT: [&str; 4] = [
    "DELETE FROM attempt WHERE delivery IN (SELECT id FROM delivery WHERE event = ?)",
    "DELETE FROM delivery WHERE event = ?",
    "DELETE FROM payload WHERE event = ?",
    "DELETE FROM event WHERE seq = ?",
];

#[cfg(test)]
mod tests {
    use super::super::file::sql::{new_file, query_plan};
    use super::*;

    #[test]
    fn upkeep_scans_no_table_whatever_the_log() {
        let connection = new_file();
        for sql in [EXPIRED, DROPPED, OLD, FULL, DATE_EVENT] {
            let plan = query_plan(&connection, sql);
            let scans = |line: &&String| line.starts_with("SCAN") || line.contains("TEMP B-TREE");
            assert_eq!(plan.iter().find(scans), None, "{sql}: {plan:?}");
        }
    }
}
