//! Publishing: events with their deliveries, and redeliveries.

use std::sync::Arc;

use rusqlite::{named_params, params};

use super::file::rows::{
    self, HELD, Lane, WAITING, class_number, event_meta, fence_of, holder_bytes, skipped_doc,
};
use super::file::sql::{Sql, SqlError, as_i64, count, number, time};
use super::state::WriterState;
use super::threads::writer::{BYTES_A_ROW, MAX_ROWS};
use crate::delivery::LaneClass;
use crate::model::{DeliveryId, HookId, StampedEvent, TenantId, Timestamp};
use crate::retry::RetryState;
use crate::store::claim::{Claim, ClaimRequest};
use crate::store::error::StoreErrorKind;
use crate::store::lease::HolderId;
use crate::store::publication::{
    Publication, PublishAnswer, Published, Receipt, Recovered, Recovery, Redelivery, is_same,
};
use crate::store::routing::Routing;

/// Deliveries that are held at publish, within what the publisher asked for.
struct Holding<'a> {
    request: &'a ClaimRequest,
    held: Vec<Claim>,
    bytes: usize,
}

/// The claim under which a delivery is written from the start.
struct Lease {
    holder: HolderId,
    class: LaneClass,
    until: Timestamp,
}

/// An event that is being published, and when.
struct NewEvent<'a> {
    seq: i64,
    event: &'a Arc<StampedEvent>,
    now: Timestamp,
    expires: Timestamp,
}

impl WriterState {
    pub(super) fn publish(
        &mut self,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, SqlError> {
        let mut holding = hold.map(|request| Holding { request, held: Vec::new(), bytes: 0 });
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let before = holding.as_ref().map_or(0, |holding| holding.held.len());
            let answer = self.in_savepoint(|state| state.publish_one(item, &mut holding));
            if let (Err(_), Some(holding)) = (&answer, &mut holding) {
                holding.held.truncate(before);
            }
            match answer {
                // With the transaction went the items before this one.
                Err(fault) if self.connection.is_autocommit() => return Err(fault),
                answer => answers.push(answer.unwrap_or_else(|fault| PublishAnswer::Failed(fault.into()))),
            }
        }
        let held = holding.map(|holding| holding.held).unwrap_or_default();
        let published = Published { answers, held };
        self.has_new_work |= published.leaves_work();
        Ok(published)
    }

    fn publish_one(
        &mut self,
        item: &Publication,
        holding: &mut Option<Holding<'_>>,
    ) -> Result<PublishAnswer, SqlError> {
        let tenant = self.enter(&item.tenant)?;
        if let Some((digest, receipt)) = self.published_before(tenant.id, &item.event)? {
            let is_equal = digest == item.digest;
            let first = if is_equal { None } else { self.first_of(tenant.id, &item.event)? };
            return Ok(item.judge(&digest, first.as_deref(), receipt));
        }
        if tenant.revision != item.routed_at {
            return Ok(PublishAnswer::Stale(tenant.revision));
        }
        let Some(lanes) = self.lanes_of(tenant.id, &item.routing.targets)? else {
            return Ok(StoreErrorKind::Corrupt.into());
        };
        let (event, now) = (Arc::new(item.event.clone()), self.now());
        let seq = self.insert_event(tenant.id, &event, item.digest, Some(&item.routing), now)?;
        let fresh = NewEvent { seq, event: &event, now, expires: now.plus(item.expires) };
        for lane in &lanes {
            self.deliver_to(lane, &fresh, holding)?;
        }
        let (targets, skipped) = (item.routing.targets.len(), item.routing.skipped.len());
        Ok(PublishAnswer::Stored(Receipt { published_at: now, targets, skipped }))
    }

    fn published_before(
        &self,
        tenant: i64,
        event: &StampedEvent,
    ) -> Result<Option<([u8; 32], Receipt)>, SqlError> {
        const SELECT: &str = "SELECT digest, published_at, targets, skipped FROM event \
            WHERE tenant = ? AND message = ?";
        let message = event.message_id.as_str();
        self.connection.one(SELECT, params![tenant, message], |row| Ok((row.get("digest")?, receipt(row)?)))
    }

    /// The event that has this one's message id, if its payload is still there.
    fn first_of(&self, tenant: i64, event: &StampedEvent) -> Result<Option<Arc<StampedEvent>>, SqlError> {
        const SELECT: &str = "SELECT message, meta, json FROM event JOIN payload ON payload.event = event.seq \
            WHERE tenant = ? AND message = ?";
        self.connection.one(SELECT, params![tenant, event.message_id.as_str()], rows::event)
    }

    /// The lanes of all these webhooks; `None` when one of them is not there.
    fn lanes_of(&self, tenant: i64, hooks: &[HookId]) -> Result<Option<Vec<Lane>>, SqlError> {
        hooks.iter().map(|hook| self.lane_of(tenant, *hook)).collect()
    }

    /// Writes an event down, with what routing decided if that is known: one that goes nowhere has ended.
    fn insert_event(
        &self,
        tenant: i64,
        event: &StampedEvent,
        digest: [u8; 32],
        routing: Option<&Routing>,
        now: Timestamp,
    ) -> Result<i64, SqlError> {
        const INSERT: &str = "
            INSERT INTO event (tenant, message, digest, meta, bytes, published_at, routing, targets, skipped,
                open, ended_at)
            VALUES (:tenant, :message, :digest, :meta, :bytes, :now, :routing, :targets, :skipped, :targets,
                CASE WHEN :targets = 0 AND :routing IS NOT NULL THEN :now END)";
        let payload = event.payload.get();
        let values = named_params! {
            ":tenant": tenant,
            ":message": event.message_id.as_str(),
            ":digest": digest,
            ":meta": event_meta(event)?,
            ":bytes": as_i64(payload.len()),
            ":now": now.as_millis(),
            ":routing": routing.map(|routing| skipped_doc(&routing.skipped)).transpose()?,
            ":targets": as_i64(routing.map_or(0, |routing| routing.targets.len())),
            ":skipped": as_i64(routing.map_or(0, |routing| routing.skipped.len())),
        };
        self.connection.run(INSERT, values)?;
        let seq = self.connection.last_insert_rowid();
        self.connection.run("INSERT INTO payload (event, json) VALUES (?, ?)", params![seq, payload])?;
        Ok(seq)
    }

    fn deliver_to(
        &mut self,
        lane: &Lane,
        fresh: &NewEvent<'_>,
        holding: &mut Option<Holding<'_>>,
    ) -> Result<(), SqlError> {
        if let Some(holding) = holding.as_mut().filter(|it| self.may_hold(lane, fresh, it)) {
            return self.hold(lane, fresh, holding);
        }
        self.wait(lane, fresh.seq, None, (fresh.now, fresh.expires))?;
        Ok(())
    }

    /// Returns whether a delivery may be held: it overtakes no other, and the holder has room for it.
    fn may_hold(&mut self, lane: &Lane, fresh: &NewEvent<'_>, holding: &Holding<'_>) -> bool {
        let request = holding.request;
        let is_idle = lane.is_enabled() && lane.backoff_until <= fresh.now && !self.schedule.has(lane.id);
        let bytes = holding.bytes + fresh.event.payload.get().len();
        if !is_idle || holding.held.len() >= request.limit || bytes > request.max_bytes {
            return false;
        }
        self.schedule.add_holder(request.holder, request.quota);
        self.schedule.room(request.holder, &lane.name, lane.hook, lane.health.class()) > 0
    }

    /// Makes a delivery that is claimed from the start.
    fn hold(&mut self, lane: &Lane, fresh: &NewEvent<'_>, holding: &mut Holding<'_>) -> Result<(), SqlError> {
        let (request, class) = (holding.request, lane.health.class());
        let lease = Lease { holder: request.holder, class, until: fresh.now.plus(request.lease) };
        let id = self.insert_delivery(lane, fresh.seq, None, (fresh.now, fresh.expires), Some(lease))?;
        self.schedule.take(request.holder, &lane.name, lane.hook, class);
        holding.bytes += fresh.event.payload.get().len();
        holding.held.push(Claim {
            id: DeliveryId::new(id),
            fence: fence_of(1),
            tenant: lane.name.clone(),
            hook: self.hook(lane.id)?,
            event: Arc::clone(fresh.event),
            attempts: 0,
            retry: RetryState::default(),
            health: lane.health,
        });
        Ok(())
    }

    /// Makes a delivery that waits, and gives its id.
    pub(super) fn wait(
        &mut self,
        lane: &Lane,
        event: i64,
        origin: Option<DeliveryId>,
        times: (Timestamp, Timestamp),
    ) -> Result<i64, SqlError> {
        let id = self.insert_delivery(lane, event, origin, times, None)?;
        if lane.is_enabled() {
            self.schedule.add(lane.id, lane.gives(times.0), times.0);
        }
        Ok(id)
    }

    fn insert_delivery(
        &self,
        lane: &Lane,
        event: i64,
        origin: Option<DeliveryId>,
        (now, expires): (Timestamp, Timestamp),
        lease: Option<Lease>,
    ) -> Result<i64, SqlError> {
        const INSERT: &str = "
            INSERT INTO delivery (tenant, lane, epoch, event, origin, state, due, created_at, expires,
                fence, holder, class, lease_until)
            VALUES (:tenant, :lane, :epoch, :event, :origin, :state, :now, :now, :expires,
                :fence, :holder, :class, :until)";
        let values = named_params! {
            ":tenant": lane.tenant,
            ":lane": lane.id,
            ":epoch": lane.epoch,
            ":event": event,
            ":origin": origin.map(DeliveryId::get),
            ":state": if lease.is_some() { HELD } else { WAITING },
            ":now": now.as_millis(),
            ":expires": expires.as_millis(),
            ":fence": i64::from(lease.is_some()),
            ":holder": lease.as_ref().map(|lease| holder_bytes(lease.holder)),
            ":class": lease.as_ref().map(|lease| class_number(lease.class)),
            ":until": lease.map(|lease| lease.until.as_millis()),
        };
        self.connection.run(INSERT, values)?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Tells whether what the tenant has under this message id is this event.
    pub(super) fn publish_unrouted(
        &mut self,
        name: &TenantId,
        event: &StampedEvent,
    ) -> Result<bool, SqlError> {
        let (tenant, now, digest) = (self.enter(name)?, self.now(), event.digest());
        let before = self.published_before(tenant.id, event)?;
        if before.is_none() {
            self.insert_event(tenant.id, event, digest, None, now)?;
            self.has_new_work = true;
        }
        let Some((first_digest, _)) = before else { return Ok(true) };
        let first = if digest == first_digest { None } else { self.first_of(tenant.id, event)? };
        Ok(is_same(event, &digest, &first_digest, first.as_deref()))
    }

    pub(super) fn redeliver(
        &mut self,
        name: &TenantId,
        items: &[Redelivery],
    ) -> Result<Vec<Option<DeliveryId>>, SqlError> {
        let Some(tenant) = self.tenant(name)? else { return Ok(vec![None; items.len()]) };
        self.has_new_work = true;
        items.iter().map(|item| self.redeliver_one(tenant.id, item)).collect()
    }

    /// Looks at some of what the webhook has missed, newest first.
    pub(super) fn recover(&mut self, name: &TenantId, recovery: &Recovery) -> Result<Recovered, SqlError> {
        let before = recovery.page.cursor_as()?.unwrap_or(i64::MAX);
        let Some(tenant) = self.tenant(name)? else { return Ok(Recovered::default()) };
        let limit = recovery.page.limit();
        let values = named_params! {
            ":tenant": tenant.id,
            ":hook": recovery.hook.get(),
            ":since": recovery.since.as_millis(),
            ":before": before,
            ":most": as_i64(limit + 1),
        };
        let mut missed = self.connection.all(MISSED, values, number)?;
        let has_more = missed.len() > limit;
        missed.truncate(limit);
        let mut made = 0;
        for origin in &missed {
            let again = Redelivery { origin: DeliveryId::new(*origin), expires: recovery.expires };
            made += usize::from(self.redeliver_one(tenant.id, &again)?.is_some());
        }
        self.has_new_work |= made > 0;
        let next = missed.last().filter(|_| has_more).map(i64::to_string);
        Ok(Recovered { made, next })
    }

    fn redeliver_one(&mut self, tenant: i64, item: &Redelivery) -> Result<Option<DeliveryId>, SqlError> {
        const ORIGIN: &str = "SELECT lane, event FROM delivery WHERE id = ? AND tenant = ? \
            AND EXISTS (SELECT 1 FROM payload WHERE payload.event = delivery.event)";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>("lane")?, row.get::<_, i64>("event")?));
        let origin = self.connection.one(ORIGIN, [item.origin.get(), tenant], read)?;
        let Some((lane, event)) = origin else { return Ok(None) };
        let Some(lane) = self.lane(lane)?.filter(|lane| lane.status < 2) else { return Ok(None) };
        let now = self.now();
        let id = self.wait(&lane, event, Some(item.origin), (now, now.plus(item.expires)))?;
        let reopen = "UPDATE event SET open = open + 1, ended_at = NULL WHERE seq = ?";
        self.connection.run(reopen, [event])?;
        Ok(Some(DeliveryId::new(id)))
    }
}

const MISSED: &str = "SELECT delivery.id FROM delivery JOIN lane ON lane.id = delivery.lane \
    WHERE lane.tenant = :tenant AND hook = :hook AND delivery.id < :before AND state IN (4, 5) \
    AND delivery.ended_at >= :since AND NOT EXISTS \
        (SELECT 1 FROM delivery AS later WHERE later.event = delivery.event AND later.origin = delivery.id) \
    ORDER BY delivery.id DESC LIMIT :most";

pub(super) fn receipt(row: &rusqlite::Row<'_>) -> Result<Receipt, SqlError> {
    let published_at = time(row, "published_at")?;
    Ok(Receipt { published_at, targets: count(row, "targets")?, skipped: count(row, "skipped")? })
}

/// Parts of which each makes a group of the writer's, so that others come in between.
pub(super) fn parts(items: &[Publication]) -> Vec<&[Publication]> {
    let (mut parts, mut start, mut weight) = (Vec::new(), 0, 0);
    for (number, item) in items.iter().enumerate() {
        let (rows, bytes) = size_of(std::slice::from_ref(item));
        weight += rows + bytes / BYTES_A_ROW;
        if weight >= MAX_ROWS {
            parts.push(&items[start..=number]);
            (start, weight) = (number + 1, 0);
        }
    }
    parts.extend((start < items.len()).then(|| &items[start..]));
    parts
}

/// How many rows they make, and how many bytes of payload they have.
pub(super) fn size_of(items: &[Publication]) -> (usize, usize) {
    let rows = items.iter().map(|item| 1 + item.routing.targets.len()).sum();
    (rows, items.iter().map(|item| item.event.payload.get().len()).sum())
}
