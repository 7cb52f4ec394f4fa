//! Recovering: deliveries that are made again, and those that are added to events of before.

use rusqlite::params;

use super::file::rows::{DELETED, Position};
use super::file::sql::{Cells, Sql, SqlError, as_i64};
use super::transaction::Transaction;
use crate::model::{DeliveryId, TenantId};
use crate::store::publication::{Addition, Recovered, Recovery, Redelivery};

/// The origin of a delivery that repeats none and is not one of those that were made with its event.
const ADDED: DeliveryId = DeliveryId::new(0);

impl Transaction<'_> {
    pub(super) fn redeliver(
        &mut self,
        name: &TenantId,
        items: &[Redelivery],
    ) -> Result<Vec<Option<DeliveryId>>, SqlError> {
        let Some(tenant) = self.tenant(name)? else { return Ok(vec![None; items.len()]) };
        self.changes.has_new_work = true;
        items.iter().map(|item| self.redeliver_one(tenant.id, item, false)).collect()
    }

    /// Looks at some of what the webhook has missed, newest first. What it makes goes behind first attempts.
    pub(super) fn recover(&mut self, name: &TenantId, recovery: &Recovery) -> Result<Recovered, SqlError> {
        let before: i64 = recovery.page.cursor_as()?.unwrap_or(i64::MAX);
        let lane = match self.tenant(name)? {
            Some(tenant) => self.lane_of(tenant.id, recovery.hook)?,
            None => None,
        };
        let Some(lane) = lane else { return Ok(Recovered::default()) };
        let look = params![recovery.since.as_millis(), lane.id, before, as_i64(MAX_LOOKED_AT)];
        let read = |cells: &mut Cells<'_>| Ok((cells.get::<i64>()?, cells.get::<bool>()?));
        let older = self.connection.all(OLDER, look, read)?;
        let (mut made, mut last) = (0, None);
        for (id, is_missed) in &older {
            if made == recovery.page.limit() {
                break;
            }
            last = Some(*id);
            let again = Redelivery { origin: DeliveryId::new(*id), expires: recovery.expires };
            made += usize::from(*is_missed && self.redeliver_one(lane.tenant, &again, true)?.is_some());
        }
        self.changes.has_new_work |= made > 0;
        let is_end = older.len() < MAX_LOOKED_AT && older.last().map(|(id, _)| *id) == last;
        Ok(Recovered { made, next: last.filter(|_| !is_end).map(|last| last.to_string()) })
    }

    fn redeliver_one(
        &mut self,
        tenant: i64,
        item: &Redelivery,
        behind: bool,
    ) -> Result<Option<DeliveryId>, SqlError> {
        const ORIGIN: &str = "SELECT lane, event FROM delivery JOIN event ON event.id = delivery.event \
            WHERE delivery.id = ? AND payload IS NOT NULL";
        let read = |cells: &mut Cells<'_>| Ok((cells.get()?, cells.get()?));
        let Some((lane, event)) = self.connection.one(ORIGIN, [item.origin.get()], read)? else {
            return Ok(None);
        };
        let Some(lane) = self.lane(lane)?.filter(|it| it.tenant == tenant && it.status != DELETED) else {
            return Ok(None);
        };
        let (id, now) = (self.numbers().next_deliveries(1), self.now.time);
        let position = Position { behind, ..lane.position(id, now) };
        self.wait(position, event, Some(item.origin), now.plus(item.expires))?;
        Ok(Some(DeliveryId::new(id)))
    }

    pub(super) fn add(
        &mut self,
        name: &TenantId,
        items: &[Addition],
    ) -> Result<Vec<Option<DeliveryId>>, SqlError> {
        let Some(tenant) = self.tenant(name)? else { return Ok(vec![None; items.len()]) };
        self.changes.has_new_work = true;
        items.iter().map(|item| self.add_one(tenant.id, item)).collect()
    }

    fn add_one(&mut self, tenant: i64, item: &Addition) -> Result<Option<DeliveryId>, SqlError> {
        let Some(lane) = self.lane_of(tenant, item.hook)? else { return Ok(None) };
        let values = params![tenant, item.message.as_str(), lane.id];
        let Some(event) = self.connection.one(ADDABLE, values, |cells| cells.get())? else { return Ok(None) };
        let (id, now) = (self.numbers().next_deliveries(1), self.now.time);
        let position = Position { behind: true, ..lane.position(id, now) };
        self.wait(position, event, Some(ADDED), now.plus(item.expires))?;
        Ok(Some(DeliveryId::new(id)))
    }
}

/// An event that was routed and has its payload, if the lane has no delivery of it.
pub(super) const ADDABLE: &str = "SELECT id FROM event \
    WHERE tenant = ?1 AND message = ?2 AND payload IS NOT NULL AND routed IS NOT NULL \
        AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.id >= first AND delivery.id < first + made AND lane = ?3) \
        AND NOT EXISTS (SELECT 1 FROM delivery \
            WHERE delivery.event = event.id AND origin IS NOT NULL AND lane = ?3)";

/// The most deliveries at which one step of recovering looks.
const MAX_LOOKED_AT: usize = 1000;

/// A lane's deliveries, newest first, and whether each was missed and not made again yet.
pub(super) const OLDER: &str = "SELECT id, state IN (4, 5) AND ended_at >= ?1 AND NOT EXISTS \
        (SELECT 1 FROM delivery AS later WHERE later.event = delivery.event AND later.origin = delivery.id) \
    FROM delivery WHERE lane = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4";

#[cfg(test)]
mod tests {
    use super::super::file::sql::{new_file, query_plan};
    use super::*;

    #[test]
    fn recovering_scans_no_table_whatever_the_log() {
        let connection = new_file();
        for sql in [ADDABLE, OLDER] {
            let plan = query_plan(&connection, sql);
            assert_eq!(plan.iter().find(|line| line.starts_with("SCAN")), None, "{sql}: {plan:?}");
        }
    }
}
