//! Publishing: events with their deliveries.

use std::sync::Arc;

use rusqlite::{named_params, params};

use super::file::rows::{Lane, Position, event, event_meta, receipt, skipped_doc};
use super::file::sql::{Cells, Sql, SqlError, as_i64};
use super::transaction::Transaction;
use crate::model::{DeliveryId, HookId, StampedEvent, TenantId, Timestamp};
use crate::store::error::StoreErrorKind;
use crate::store::publication::{Publication, PublishAnswer, Receipt, is_same};

/// What a publish wrote: the answers, and the deliveries that may be held once they are committed.
#[derive(Default)]
pub(super) struct Written {
    pub(super) answers: Vec<PublishAnswer>,
    pub(super) fresh: Vec<Fresh>,
}

/// A delivery that was just written, with its event at hand.
pub(super) struct Fresh {
    pub(super) position: Position,
    pub(super) event: Arc<StampedEvent>,
}

/// What an event's row tells of its routing.
struct EventRow<'a> {
    digest: &'a [u8; 32],
    routed: Option<Timestamp>,
    routing: Option<String>,
    /// The number of its first delivery.
    first: i64,
    /// How many deliveries it has: one for each target.
    targets: usize,
    skipped: usize,
}

impl Transaction<'_> {
    pub(super) fn publish(&mut self, items: &[Publication]) -> Result<Written, SqlError> {
        let mut written = Written::default();
        for item in items {
            let answer = self.publish_one(item, &mut written.fresh)?;
            written.answers.push(answer);
        }
        Ok(written)
    }

    fn publish_one(&mut self, item: &Publication, fresh: &mut Vec<Fresh>) -> Result<PublishAnswer, SqlError> {
        let lanes = match self.targets(item)? {
            Ok(lanes) => lanes,
            Err(refused) => return Ok(refused),
        };
        let tenant = self.enter(&item.tenant)?.id;
        let first = self.numbers().next_deliveries(lanes.len());
        let (targets, skipped) = (lanes.len(), item.routing.skipped.len());
        let row = EventRow {
            digest: &item.digest,
            routed: Some(self.now.time),
            routing: skipped_doc(&item.routing.skipped)?,
            first,
            targets,
            skipped,
        };
        let Some(number) = self.insert_event(tenant, &item.event, &row)? else {
            let known = self.published_before(tenant, item)?;
            return known.ok_or_else(|| SqlError::corrupt("an event that is there and is not"));
        };
        for (lane, id) in lanes.iter().zip(first..) {
            let position = lane.position(id, self.now.time);
            self.insert_delivery(position, number, None, self.now.time.plus(item.expires))?;
            fresh.push(Fresh { position, event: Arc::clone(&item.event) });
        }
        Ok(PublishAnswer::Stored(Receipt { published_at: self.now.date, targets, skipped }))
    }

    /// The lanes of all targets, or the answer to an item that is refused before anything is written. Whatever the
    /// registry has become, what was published before is known.
    fn targets(&mut self, item: &Publication) -> Result<Result<Vec<Arc<Lane>>, PublishAnswer>, SqlError> {
        let tenant = self.tenant(&item.tenant)?;
        let revision = tenant.map(|row| row.revision).unwrap_or_default();
        let is_current = revision == item.routed_at;
        let lanes = match tenant {
            Some(row) if is_current => self.lanes_of(row.id, &item.routing.targets)?,
            _ => (is_current && item.routing.targets.is_empty()).then(Vec::new),
        };
        if let Some(lanes) = lanes {
            return Ok(Ok(lanes));
        }
        let known = tenant.map(|row| self.published_before(row.id, item)).transpose()?.flatten();
        let refused = || match is_current {
            true => StoreErrorKind::Corrupt.into(),
            false => PublishAnswer::Stale(revision),
        };
        Ok(Err(known.unwrap_or_else(refused)))
    }

    /// The answer to what the tenant has published under this message id; `None` if it has published nothing.
    fn published_before(&self, tenant: i64, item: &Publication) -> Result<Option<PublishAnswer>, SqlError> {
        let Some((digest, receipt)) = self.known(tenant, &item.event)? else { return Ok(None) };
        let is_equal = digest == item.digest;
        let first = if is_equal { None } else { self.first_of(tenant, &item.event)? };
        Ok(Some(item.judge(&digest, first.as_ref(), receipt)))
    }

    fn known(&self, tenant: i64, event: &StampedEvent) -> Result<Option<([u8; 32], Receipt)>, SqlError> {
        const SELECT: &str = "SELECT digest, published_at, targets, skipped FROM event \
            WHERE tenant = ? AND message = ?";
        let read = |cells: &mut Cells<'_>| Ok((cells.get()?, receipt(cells)?));
        self.connection.one(SELECT, params![tenant, event.message_id.as_str()], read)
    }

    /// The event that has this one's message id, if its payload is still there.
    fn first_of(&self, tenant: i64, first: &StampedEvent) -> Result<Option<StampedEvent>, SqlError> {
        const SELECT: &str = "SELECT message, meta, payload FROM event \
            WHERE tenant = ? AND message = ? AND payload IS NOT NULL";
        self.connection.one(SELECT, params![tenant, first.message_id.as_str()], event)
    }

    /// The lanes of all these webhooks; `None` when one of them is not there.
    fn lanes_of(&mut self, tenant: i64, hooks: &[HookId]) -> Result<Option<Vec<Arc<Lane>>>, SqlError> {
        hooks.iter().map(|hook| self.lane_of(tenant, *hook)).collect()
    }

    /// Writes an event down, and gives its number; `None` if the tenant has used its message id.
    fn insert_event(
        &mut self,
        tenant: i64,
        event: &StampedEvent,
        row: &EventRow<'_>,
    ) -> Result<Option<i64>, SqlError> {
        const INSERT: &str = "
            INSERT INTO event (id, tenant, message, digest, published_at, routed, first, made, targets,
                skipped, meta, routing, payload)
            VALUES (:id, :tenant, :message, :digest, :now, :routed, :first, :made, :targets, :skipped,
                :meta, :routing, :payload)
            ON CONFLICT (tenant, message) DO NOTHING";
        let id = self.numbers().next_event();
        let values = named_params! {
            ":id": id,
            ":tenant": tenant,
            ":message": event.message_id.as_str(),
            ":digest": row.digest,
            ":now": self.now.date.as_millis(),
            ":routed": row.routed.map(Timestamp::as_millis),
            ":first": row.first,
            ":made": as_i64(row.targets),
            ":targets": as_i64(row.targets),
            ":skipped": as_i64(row.skipped),
            ":meta": event_meta(event)?,
            ":routing": row.routing,
            ":payload": event.payload.get(),
        };
        Ok((self.connection.run(INSERT, values)? > 0).then_some(id))
    }

    fn insert_delivery(
        &self,
        position: Position,
        event: i64,
        origin: Option<DeliveryId>,
        expires: Timestamp,
    ) -> Result<(), SqlError> {
        const INSERT: &str = "
            INSERT INTO delivery (id, event, lane, epoch, behind, due, expires, created_at, origin)
            VALUES (:id, :event, :lane, :epoch, :behind, :due, :expires, :now, :origin)";
        let values = named_params! {
            ":id": position.id,
            ":event": event,
            ":lane": position.lane,
            ":epoch": position.epoch,
            ":behind": position.behind,
            ":due": position.due.as_millis(),
            ":expires": expires.as_millis(),
            ":now": self.now.date.as_millis(),
            ":origin": origin.map(DeliveryId::get),
        };
        self.connection.run(INSERT, values)?;
        Ok(())
    }

    /// Makes a delivery that waits.
    pub(super) fn wait(
        &mut self,
        position: Position,
        event: i64,
        origin: Option<DeliveryId>,
        expires: Timestamp,
    ) -> Result<(), SqlError> {
        self.insert_delivery(position, event, origin, expires)?;
        self.changes.waiting.push(position);
        Ok(())
    }

    /// Writes an event without routing it. Returns `false` if the tenant has used the message id for another event.
    pub(super) fn publish_unrouted(
        &mut self,
        name: &TenantId,
        event: &StampedEvent,
    ) -> Result<bool, SqlError> {
        let (tenant, digest) = (self.enter(name)?.id, event.digest());
        let row = EventRow { digest: &digest, routed: None, routing: None, first: 0, targets: 0, skipped: 0 };
        if self.insert_event(tenant, event, &row)?.is_some() {
            (self.changes.has_new_work, self.changes.has_unrouted) = (true, true);
            return Ok(true);
        }
        let Some((known, _)) = self.known(tenant, event)? else { return Ok(false) };
        let first = if known == digest { None } else { self.first_of(tenant, event)? };
        Ok(is_same(event, &digest, &known, first.as_ref()))
    }
}
