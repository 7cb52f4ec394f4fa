//! Upkeep: expires deliveries, ends dropped ones, removes events after retention, and erases payloads and tenants.

use rusqlite::params;

use super::changes::Walk;
use super::file::rows::{CANCELLED, DELETED, Lane, LaneId, Position, SELECT_LANE};
use super::file::sql::{Cells, Sql, SqlError, as_i64, number};
use super::transaction::Transaction;
use crate::model::{Attempt, End, MessageId, TenantId, Timestamp};
use crate::store::error::StoreErrorKind;
use crate::store::records::{Erased, TendRequest, Tended};

/// The most rows that one step looks at in each of its walks, for all that it finds nothing to do.
const MAX_LOOKS: usize = 4096;

/// A backlog that was dropped.
struct Dropped {
    lane: LaneId,
    below: i64,
    since: i64,
    ended_at: i64,
}

/// An event as a walk sees it.
struct Seen {
    id: i64,
    /// Whether it was routed, and whether it ended, before the limit.
    is_old: bool,
    is_over: bool,
}

impl Transaction<'_> {
    pub(super) fn tend(&mut self, request: &TendRequest) -> Result<Tended, SqlError> {
        let expired = self.expire(request.limit)?;
        let swept = self.sweep(request.limit)?;
        let (removed, all_removed) = self.remove_ended(request)?;
        let (stripped, all_stripped) = self.strip_ended(request)?;
        let hours = self.remove_hours(request)?;
        let more = !all_removed || !all_stripped || [expired, swept, hours].contains(&request.limit);
        Ok(Tended { expired, swept, removed, stripped, more })
    }

    /// Ends expired deliveries that no claim has found yet. The walk goes on where the last step stopped. It leaves
    /// held deliveries to their holders, and those of dropped backlogs to [`sweep`](Self::sweep).
    fn expire(&mut self, limit: usize) -> Result<usize, SqlError> {
        let from = self.cursors().waiting;
        let position =
            params![from.lane, from.epoch, from.behind, from.due.as_millis(), from.id, as_i64(MAX_LOOKS)];
        let read = |cells: &mut Cells<'_>| Ok((Position::read(cells)?, cells.time()?));
        let seen: Vec<(Position, Timestamp)> = self.connection.all(WAITING_FROM, position, read)?;
        let (mut expired, mut last) = (0, Position::START);
        for (position, expires) in &seen {
            if expired == limit {
                break;
            }
            last = *position;
            expired += usize::from(*expires <= self.now.time && self.expire_one(*position)?);
        }
        let is_at_end = seen.len() < MAX_LOOKS && expired < limit;
        self.set_cursors(|it| it.waiting = if is_at_end { Position::START } else { last });
        Ok(expired)
    }

    /// Ends a delivery as expired, unless it is held or has been dropped.
    pub(super) fn expire_one(&mut self, position: Position) -> Result<bool, SqlError> {
        let is_dropped = self.lane(position.lane)?.is_none_or(|lane| lane.epoch != position.epoch);
        if is_dropped || self.held(position.id).is_some() {
            return Ok(false);
        }
        self.end(position.id, End::Expired)?;
        self.changes.gone.push(position);
        Ok(true)
    }

    /// Ends the waiting deliveries of dropped backlogs. Their end is the beginning of the new epoch, as the log has
    /// shown.
    fn sweep(&self, limit: usize) -> Result<usize, SqlError> {
        let (mut swept, mut after) = (0, 0);
        while let Some(dropped) = self.next_dropped(after)?.filter(|_| swept < limit) {
            after = dropped.lane;
            let of = [dropped.lane, dropped.below, as_i64(limit - swept + self.held_count())];
            let waiting = self.connection.all(WAITING_BELOW, of, number)?;
            let free: Vec<_> = waiting.iter().filter(|id| self.held(**id).is_none()).collect();
            for id in free.iter().take(limit - swept) {
                let values = params![CANCELLED, dropped.since, dropped.ended_at, id];
                self.connection
                    .run("UPDATE delivery SET state = ?, due = ?, ended_at = ? WHERE id = ?", values)?;
            }
            swept += free.len().min(limit - swept);
            if waiting.is_empty() {
                self.connection.run("DELETE FROM dropped WHERE lane = ?", [dropped.lane])?;
            }
        }
        Ok(swept)
    }

    fn next_dropped(&self, after: LaneId) -> Result<Option<Dropped>, SqlError> {
        const NEXT: &str = "SELECT lane, below, since, coalesce(epoch_at, since) FROM dropped \
            LEFT JOIN lane ON lane.id = dropped.lane WHERE lane > ? ORDER BY lane LIMIT 1";
        let read = |cells: &mut Cells<'_>| {
            Ok(Dropped {
                lane: cells.get()?,
                below: cells.get()?,
                since: cells.get()?,
                ended_at: cells.get()?,
            })
        };
        self.connection.one(NEXT, [after], read)
    }

    /// Removes events that ended long ago, and tells how many, and whether another step would find no more now.
    fn remove_ended(&mut self, request: &TendRequest) -> Result<(usize, bool), SqlError> {
        let (before, walk) = (self.now.time.minus(request.keep), self.cursors().removing);
        let (over, walk, is_done) = self.ended(before, walk, request.limit, false)?;
        self.remove_events(&over)?;
        self.set_cursors(|it| it.removing = walk);
        Ok((over.len(), is_done))
    }

    /// Removes the payloads of events that ended long ago. Returns the same as [`remove_ended`](Self::remove_ended).
    fn strip_ended(&mut self, request: &TendRequest) -> Result<(usize, bool), SqlError> {
        if request.keep_payloads >= request.keep {
            return Ok((0, true));
        }
        let (before, walk) = (self.now.time.minus(request.keep_payloads), self.cursors().stripping);
        let (over, walk, is_done) = self.ended(before, walk, request.limit, true)?;
        for event in &over {
            self.connection.run("UPDATE event SET payload = NULL WHERE id = ?", [event])?;
        }
        self.set_cursors(|it| it.stripping = walk);
        Ok((over.len(), is_done))
    }

    /// Finds events that ended before a time. Returns them, the new position of the walk, and whether it finds no more
    /// now. Events become old in the order of their numbers. A second walk looks again at old ones that had not ended.
    fn ended(
        &self,
        before: Timestamp,
        walk: Walk,
        limit: usize,
        with_payload: bool,
    ) -> Result<(Vec<i64>, Walk, bool), SqlError> {
        let again = self.events((walk.revisit, walk.frontier), before, with_payload)?;
        let fresh = self.events((walk.frontier, i64::MAX), before, with_payload)?;
        let over = again.iter().chain(&fresh).filter(|event| event.is_over);
        let over: Vec<i64> = over.map(|event| event.id).take(limit).collect();
        if over.len() == limit {
            return Ok((over, walk, false));
        }
        let frontier = fresh.iter().rfind(|event| event.is_old).map_or(walk.frontier, |event| event.id);
        let revisit = again.last().filter(|_| again.len() == MAX_LOOKS).map_or(0, |event| event.id);
        let is_done = fresh.len() < MAX_LOOKS || fresh.last().is_none_or(|last| last.id != frontier);
        Ok((over, Walk { frontier, revisit }, is_done))
    }

    fn events(
        &self,
        (after, up_to): (i64, i64),
        before: Timestamp,
        with_payload: bool,
    ) -> Result<Vec<Seen>, SqlError> {
        let values = params![before.as_millis(), after, up_to, as_i64(MAX_LOOKS), with_payload];
        self.connection.all(EVENTS, values, |cells| {
            Ok(Seen { id: cells.get()?, is_old: cells.get()?, is_over: cells.get()? })
        })
    }

    /// Removes events with their deliveries, held ones too.
    fn remove_events(&mut self, events: &[i64]) -> Result<(), SqlError> {
        for event in events {
            self.remove_event(*event)?;
        }
        if !events.is_empty() {
            let numbers = *self.numbers();
            let note = "UPDATE meta SET last_event = ?, last_delivery = ?";
            self.connection.run(note, [numbers.event, numbers.delivery])?;
        }
        Ok(())
    }

    fn remove_event(&mut self, event: i64) -> Result<(), SqlError> {
        for position in self.connection.all(DELIVERIES, [event], Position::read)? {
            for remove in ["DELETE FROM attempt WHERE delivery = ?", "DELETE FROM delivery WHERE id = ?"] {
                self.connection.run(remove, [position.id])?;
            }
            if self.held(position.id).is_some() {
                self.changes.held.insert(position.id, None);
            }
            self.changes.gone.push(position);
            if self.lane(position.lane)?.is_some_and(|lane| lane.status == DELETED) {
                self.forget_lane(position.lane)?;
            }
        }
        self.connection.run("DELETE FROM event WHERE id = ?", [event])?;
        Ok(())
    }

    /// Removes the payload of an event and the answers of its receivers, and ends its pending deliveries.
    pub(super) fn erase_payload(&mut self, name: &TenantId, message: &MessageId) -> Result<bool, SqlError> {
        const FIND: &str = "SELECT event.id, routed IS NULL FROM event JOIN tenant ON tenant.id = event.tenant \
            WHERE tenant.name = ? AND message = ?";
        let read = |cells: &mut Cells<'_>| Ok((cells.get::<i64>()?, cells.get::<bool>()?));
        let found = self.connection.one(FIND, [name.as_str(), message.as_str()], read)?;
        let Some((event, is_waiting)) = found else { return Ok(false) };
        if is_waiting {
            return Err(StoreErrorKind::Conflict.into());
        }
        for position in self.connection.all(DELIVERIES, [event], Position::read)? {
            self.erase_answers(position.id)?;
            self.end_erased(position)?;
        }
        self.connection.run("UPDATE event SET payload = NULL WHERE id = ?", [event])?;
        Ok(true)
    }

    /// Ends a delivery as erased, unless it has ended or was dropped.
    fn end_erased(&mut self, position: Position) -> Result<(), SqlError> {
        const WAITS: &str = "SELECT state = 0 FROM delivery WHERE id = ?";
        let waits = self.connection.one(WAITS, [position.id], |cells| cells.get::<bool>())?;
        let is_held = self.held(position.id).is_some();
        let is_dropped = self.lane(position.lane)?.is_none_or(|lane| lane.epoch != position.epoch);
        if waits != Some(true) || is_dropped && !is_held {
            return Ok(());
        }
        self.end(position.id, End::Erased)?;
        if is_held {
            self.changes.held.insert(position.id, None);
        }
        self.changes.gone.push(position);
        Ok(())
    }

    fn erase_answers(&self, delivery: i64) -> Result<(), SqlError> {
        const FIRST: &str =
            "SELECT 1, first_attempt FROM delivery WHERE id = ? AND first_attempt IS NOT NULL";
        const LATER: &str = "SELECT number, doc FROM attempt WHERE delivery = ?";
        const SET_FIRST: &str = "UPDATE delivery SET first_attempt = ? WHERE id = ? AND ? = 1";
        const SET_LATER: &str = "UPDATE attempt SET doc = ? WHERE delivery = ? AND number = ?";
        for (select, set) in [(FIRST, SET_FIRST), (LATER, SET_LATER)] {
            let read = |cells: &mut Cells<'_>| Ok((cells.get::<i64>()?, cells.json::<Attempt>()?));
            for (number, attempt) in self.connection.all(select, [delivery], read)? {
                let doc = serde_json::to_string(&attempt.without_answer())?;
                self.connection.run(set, params![doc, delivery, number])?;
            }
        }
        Ok(())
    }

    pub(super) fn erase(&mut self, name: &TenantId, limit: usize) -> Result<Erased, SqlError> {
        let Some(tenant) = self.tenant(name)? else { return Ok(Erased { more: false }) };
        self.delete_webhooks(name, tenant.id)?;
        self.changes.routing.insert(name.clone(), None);
        const SOME: &str = "SELECT id FROM event WHERE tenant = ? LIMIT ?";
        // One more than asked for tells whether there is more.
        let events = self.connection.all(SOME, [tenant.id, as_i64(limit.saturating_add(1))], number)?;
        self.remove_events(&events[..events.len().min(limit)])?;
        Ok(Erased { more: events.len() > limit })
    }

    fn delete_webhooks(&mut self, name: &TenantId, tenant: i64) -> Result<(), SqlError> {
        let live = format!("{SELECT_LANE} lane.tenant = ? AND status < 2");
        let live = self.connection.all(&live, [tenant], Lane::read)?;
        if !live.is_empty() {
            self.revise(name)?;
        }
        live.iter().try_for_each(|lane| self.delete_lane(lane))
    }
}

pub(super) const WAITING_FROM: &str = "SELECT lane, epoch, behind, due, id, expires FROM delivery \
    WHERE state = 0 AND (lane, epoch, behind, due, id) > (?, ?, ?, ?, ?) \
    ORDER BY lane, epoch, behind, due, id LIMIT ?";

const WAITING_BELOW: &str = "SELECT id FROM delivery WHERE state = 0 AND lane = ? AND epoch < ? LIMIT ?";

/// An event's own deliveries follow each other; `delivery_again` has those that were made again.
const EVENTS: &str = "SELECT id, coalesce(routed < ?1, 0), coalesce(routed < ?1, 0)
        AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.id >= first AND delivery.id < first + made
            AND (state = 0 OR due >= ?1))
        AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.event = event.id AND origin IS NOT NULL
            AND (state = 0 OR due >= ?1))
        AND (NOT ?5 OR payload IS NOT NULL)
    FROM event WHERE id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4";

const DELIVERIES: &str = "SELECT lane, epoch, behind, due, id FROM delivery WHERE id IN (
    SELECT own.id FROM event JOIN delivery AS own ON own.id >= first AND own.id < first + made WHERE event.id = ?1
    UNION ALL SELECT id FROM delivery WHERE event = ?1 AND origin IS NOT NULL)";

#[cfg(test)]
mod tests {
    use super::super::file::sql::{new_file, query_plan};
    use super::*;

    #[test]
    fn upkeep_scans_no_table_whatever_the_log() {
        let connection = new_file();
        for sql in [WAITING_FROM, WAITING_BELOW, EVENTS, DELIVERIES] {
            let plan = query_plan(&connection, sql);
            let scans = |line: &&String| line.starts_with("SCAN") || line.contains("TEMP B-TREE");
            assert_eq!(plan.iter().find(scans), None, "{sql}: {plan:?}");
        }
        let walk = query_plan(&connection, WAITING_FROM).join("; ");
        assert!(walk.contains("COVERING INDEX delivery_due"), "{walk}");
    }
}
