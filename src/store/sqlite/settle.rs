//! Settling and releasing claims.

use std::sync::Arc;

use rusqlite::params;

use super::changes::ClaimedRow;
use super::file::rows::{Lane, Position, end_number};
use super::file::sql::{Sql, SqlError};
use super::transaction::Transaction;
use crate::delivery::Next;
use crate::model::{Attempt, Disabled, End};
use crate::store::settlement::{Disable, Effect, Settled, Settlement};

impl Transaction<'_> {
    pub(super) fn settle(&mut self, items: &[Settlement]) -> Result<Vec<Settled>, SqlError> {
        items.iter().map(|item| self.settle_one(item)).collect()
    }

    fn settle_one(&mut self, item: &Settlement) -> Result<Settled, SqlError> {
        let id = item.id.get();
        let Some(held) = self.held(id).filter(|held| held.fence == item.fence) else {
            return Ok(Settled::Fenced);
        };
        let lane =
            self.lane(held.position.lane)?.ok_or_else(|| SqlError::corrupt("a claim without its lane"))?;
        let attempts = held.attempts + u32::from(item.attempt.is_some());
        // What waits without having been attempted is still a first attempt.
        let position = Position { behind: held.position.behind || item.attempt.is_some(), ..held.position };
        let after = ClaimedRow { position, attempts, retry: item.retry, ..held };
        let first = match &item.attempt {
            Some(attempt) => self.write_attempt(&after, attempt)?,
            None => None,
        };
        let is_dropped = held.position.epoch != lane.epoch;
        let (next, end) = match item.next {
            Next::Again(_) | Next::Release if is_dropped => (None, Some(End::Cancelled)),
            Next::Again(by) => (Some(Position { due: self.now.time.plus(by), ..position }), None),
            Next::End(end) => (None, Some(end)),
            Next::Extend(_) | Next::Release => (Some(position), None),
        };
        self.write_delivery(&held, &after, (next, end), first)?;
        let claim = match item.next {
            Next::Extend(by) => Some(ClaimedRow { until: self.now.time.plus(by), ..after }),
            _ => None,
        };
        if claim.is_none() {
            self.suspects().settle(self.connection, id)?;
            self.changes.waiting.extend(next);
        }
        self.changes.held.insert(id, claim);
        let effect = self.settle_lane(&lane, item)?;
        self.changes.has_new_work |= matches!(item.next, Next::Again(_) | Next::Release);
        Ok(Settled::Applied(Effect { end, ..effect }))
    }

    /// Writes a later attempt down, and gives the text of the first one, which stands in the delivery's own row.
    fn write_attempt(&self, after: &ClaimedRow, attempt: &Attempt) -> Result<Option<String>, SqlError> {
        const REMOVE: &str = "DELETE FROM attempt WHERE delivery = ? AND number = ?";
        const INSERT: &str = "INSERT INTO attempt (delivery, number, doc) VALUES (?, ?, ?)";
        let (id, number, doc) = (after.position.id, after.attempts, serde_json::to_string(attempt)?);
        if number == 1 {
            return Ok(Some(doc));
        }
        if attempt.replaces_previous() {
            self.connection.run(REMOVE, params![id, number - 1])?;
        }
        self.connection.run(INSERT, params![id, number, doc])?;
        Ok(None)
    }

    /// Writes a delivery down as it is now, if that is not how its row has it.
    fn write_delivery(
        &self,
        before: &ClaimedRow,
        after: &ClaimedRow,
        (next, end): (Option<Position>, Option<End>),
        first: Option<String>,
    ) -> Result<(), SqlError> {
        const END: &str = "UPDATE delivery SET state = ?, due = ?, ended_at = ?, attempts = ?, retry = ?, \
            first_attempt = coalesce(?, first_attempt) WHERE id = ?";
        const AGAIN: &str = "UPDATE delivery SET behind = ?, due = ?, attempts = ?, retry = ?, \
            first_attempt = coalesce(?, first_attempt) WHERE id = ?";
        let (id, attempts, retry) = (after.position.id, after.attempts, after.retry.to_doc()?);
        if let Some(end) = end {
            let (time, date) = (self.now.time.as_millis(), self.now.date.as_millis());
            let values = params![end_number(end), time, date, attempts, retry, first, id];
            self.connection.run(END, values)?;
        }
        let is_as_it_was = (before.attempts, before.retry) == (after.attempts, after.retry);
        if let Some(position) = next.filter(|position| *position != before.position || !is_as_it_was) {
            let values = params![position.behind, position.due.as_millis(), attempts, retry, first, id];
            self.connection.run(AGAIN, values)?;
        }
        Ok(())
    }

    /// Writes the lane's health and backoff. Most settlements change neither, and write nothing. Health has dates,
    /// because they are shown; the backoff has the store's own time.
    fn settle_lane(&mut self, lane: &Arc<Lane>, item: &Settlement) -> Result<Effect, SqlError> {
        let health = item.health_after(lane.health, self.now.date);
        let backoff_until = item.backoff_after(lane.backoff_until, self.now.time);
        let mut after = Lane { health, backoff_until, ..Lane::clone(lane) };
        if (lane.health, lane.backoff_until) != (after.health, after.backoff_until) {
            self.write_state(&after)?;
            after = Lane::clone(&self.set_lane(after));
        }
        let disabled = match item.disable.filter(|_| lane.is_enabled()) {
            Some(disable) => self.disable(after, disable)?,
            None => None,
        };
        Ok(Effect { disabled, ..Effect::of_health(lane.health, health) })
    }

    /// Disables a webhook by hookwire's own decision, if it is still the one that was judged.
    fn disable(&mut self, lane: Lane, disable: Disable) -> Result<Option<Disabled>, SqlError> {
        let hook = self.hook(lane.id)?;
        let Some(hook) = disable.applied_to(&hook, &lane.health, self.now.date) else { return Ok(None) };
        self.revise(&lane.name)?;
        self.write_hook(lane, &hook, None)?;
        Ok(hook.disabled)
    }
}
