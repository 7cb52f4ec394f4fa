use std::sync::Arc;

use rusqlite::{named_params, params};

use super::super::{
    Claim, ClaimRequest, Publication, PublishAnswer, Published, Receipt, Redelivery, Routing, StoreErrorKind,
};
use super::desk::Desk;
use super::rows::{
    HELD, Lane, WAITING, class_number, event_meta, fence_of, holder_bytes, registered, skipped_doc,
};
use super::sql::{Fault, Sql, count, time, whole};
use crate::model::{DeliveryId, HookId, PublishedEvent, TenantId, Timestamp};

/// Deliveries that are held at publish, within what the publisher asked for.
struct Holding<'a> {
    request: &'a ClaimRequest,
    held: Vec<Claim>,
    bytes: usize,
}

/// An event that is being published, and when.
struct Fresh<'a> {
    seq: i64,
    event: &'a Arc<PublishedEvent>,
    now: Timestamp,
    expires: Timestamp,
}

impl Desk {
    pub(super) fn publish(
        &mut self,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, Fault> {
        let mut holding = hold.map(|request| Holding { request, held: Vec::new(), bytes: 0 });
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let before = holding.as_ref().map_or(0, |holding| holding.held.len());
            let answer = self.whole(|desk| desk.publish_one(item, &mut holding));
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
        self.has_news |= published.leaves_work();
        Ok(published)
    }

    fn publish_one(
        &mut self,
        item: &Publication,
        holding: &mut Option<Holding<'_>>,
    ) -> Result<PublishAnswer, Fault> {
        let tenant = self.enter(&item.tenant)?;
        if let Some((digest, receipt)) = self.published_before(tenant.id, &item.event)? {
            let same = digest == item.digest;
            return Ok(if same { PublishAnswer::Duplicate(receipt) } else { PublishAnswer::IdReused });
        }
        if tenant.revision != item.routed_at {
            return Ok(PublishAnswer::Stale(tenant.revision));
        }
        let Some(lanes) = self.lanes_of(tenant.id, &item.routing.targets)? else {
            return Ok(StoreErrorKind::Corrupt.into());
        };
        let (event, now) = (Arc::new(item.event.clone()), self.now());
        let seq = self.insert_event(tenant.id, &event, item.digest, now)?;
        self.write_routing(seq, &item.routing, lanes.len(), now)?;
        let fresh = Fresh { seq, event: &event, now, expires: now.plus(item.expires) };
        for lane in &lanes {
            self.deliver_to(lane, &fresh, holding)?;
        }
        let (targets, skipped) = (item.routing.targets.len(), item.routing.skipped.len());
        Ok(PublishAnswer::Stored(Receipt { published_at: now, targets, skipped }))
    }

    fn published_before(
        &self,
        tenant: i64,
        event: &PublishedEvent,
    ) -> Result<Option<([u8; 32], Receipt)>, Fault> {
        const SELECT: &str = "SELECT digest, published_at, targets, skipped FROM event \
            WHERE tenant = ? AND message = ?";
        let message = event.message_id.as_str();
        self.connection.one(SELECT, params![tenant, message], |row| Ok((row.get("digest")?, receipt(row)?)))
    }

    /// The lanes of all these webhooks; `None` when one of them is not there.
    fn lanes_of(&self, tenant: i64, hooks: &[HookId]) -> Result<Option<Vec<Lane>>, Fault> {
        hooks.iter().map(|hook| self.lane_of(tenant, *hook)).collect()
    }

    fn insert_event(
        &self,
        tenant: i64,
        event: &PublishedEvent,
        digest: [u8; 32],
        now: Timestamp,
    ) -> Result<i64, Fault> {
        const INSERT: &str = "INSERT INTO event (tenant, message, digest, meta, bytes, published_at) \
            VALUES (?, ?, ?, ?, ?, ?)";
        let (message, payload) = (event.message_id.as_str(), event.payload.get());
        let size = whole(payload.len());
        let values = params![tenant, message, digest, event_meta(event)?, size, now.as_millis()];
        self.connection.run(INSERT, values)?;
        let seq = self.connection.last_insert_rowid();
        self.connection.run("INSERT INTO payload (event, json) VALUES (?, ?)", params![seq, payload])?;
        Ok(seq)
    }

    /// Writes down what routing decided; an event that goes nowhere has ended.
    pub(super) fn write_routing(
        &self,
        seq: i64,
        routing: &Routing,
        open: usize,
        now: Timestamp,
    ) -> Result<(), Fault> {
        const UPDATE: &str = "UPDATE event SET routing = :routing, targets = :targets, \
            skipped = :skipped, open = :open, ended_at = CASE WHEN :open = 0 THEN :now END WHERE seq = :seq";
        let values = named_params! {
            ":seq": seq,
            ":routing": skipped_doc(&routing.skipped)?,
            ":targets": whole(routing.targets.len()),
            ":skipped": whole(routing.skipped.len()),
            ":open": whole(open),
            ":now": now.as_millis(),
        };
        self.connection.run(UPDATE, values)?;
        Ok(())
    }

    fn deliver_to(
        &mut self,
        lane: &Lane,
        fresh: &Fresh<'_>,
        holding: &mut Option<Holding<'_>>,
    ) -> Result<(), Fault> {
        if let Some(holding) = holding.as_mut().filter(|it| self.may_hold(lane, fresh, it)) {
            return self.hold(lane, fresh, holding);
        }
        self.wait(lane, fresh.seq, None, (fresh.now, fresh.expires))?;
        Ok(())
    }

    /// What would overtake others, or take more than the holder has room for, is not held.
    fn may_hold(&mut self, lane: &Lane, fresh: &Fresh<'_>, holding: &Holding<'_>) -> bool {
        let request = holding.request;
        let is_idle = lane.is_enabled() && lane.paused_until <= fresh.now && !self.rota.has(lane.id);
        let bytes = holding.bytes + fresh.event.payload.get().len();
        if !is_idle || holding.held.len() >= request.limit || bytes > request.max_bytes {
            return false;
        }
        self.rota.enroll(request.holder, request.quota);
        self.rota.room(request.holder, &lane.name, lane.hook, lane.health.class()) > 0
    }

    /// Makes a delivery that is claimed from the start.
    fn hold(&mut self, lane: &Lane, fresh: &Fresh<'_>, holding: &mut Holding<'_>) -> Result<(), Fault> {
        let (request, class) = (holding.request, lane.health.class());
        let id = self.insert_delivery(lane, fresh.seq, None, (fresh.now, fresh.expires), HELD)?;
        const HOLD: &str =
            "UPDATE delivery SET fence = 1, holder = ?, class = ?, lease_until = ? WHERE id = ?";
        let until = fresh.now.plus(request.lease).as_millis();
        let holder = holder_bytes(request.holder);
        self.connection.run(HOLD, params![holder, class_number(class), until, id])?;
        self.rota.take(request.holder, &lane.name, lane.hook, class);
        holding.bytes += fresh.event.payload.get().len();
        holding.held.push(Claim {
            id: DeliveryId::new(id),
            fence: fence_of(1),
            tenant: lane.name.clone(),
            hook: self.hook(lane.id)?,
            event: Arc::clone(fresh.event),
            attempts: 0,
            health: lane.health,
        });
        Ok(())
    }

    /// The webhook of a lane, as it is now.
    pub(super) fn hook(&self, lane: i64) -> Result<Arc<crate::registry::Registered>, Fault> {
        let sql = "SELECT doc, secrets, version FROM lane WHERE id = ?";
        let hook = self.connection.one(sql, [lane], registered)?;
        hook.map(Arc::new).ok_or_else(|| Fault::corrupt("a delivery without its webhook"))
    }

    /// Makes a delivery that waits, and gives its id.
    pub(super) fn wait(
        &mut self,
        lane: &Lane,
        event: i64,
        origin: Option<DeliveryId>,
        times: (Timestamp, Timestamp),
    ) -> Result<i64, Fault> {
        let id = self.insert_delivery(lane, event, origin, times, WAITING)?;
        if lane.is_enabled() {
            self.rota.add(lane.id, lane.gives(times.0), times.0);
        }
        Ok(id)
    }

    fn insert_delivery(
        &self,
        lane: &Lane,
        event: i64,
        origin: Option<DeliveryId>,
        (now, expires): (Timestamp, Timestamp),
        state: i64,
    ) -> Result<i64, Fault> {
        const INSERT: &str = "
            INSERT INTO delivery (tenant, lane, epoch, event, origin, state, due, created_at, expires)
            VALUES (:tenant, :lane, :epoch, :event, :origin, :state, :now, :now, :expires)";
        let values = named_params! {
            ":tenant": lane.tenant,
            ":lane": lane.id,
            ":epoch": lane.epoch,
            ":event": event,
            ":origin": origin.map(DeliveryId::get),
            ":state": state,
            ":now": now.as_millis(),
            ":expires": expires.as_millis(),
        };
        self.connection.run(INSERT, values)?;
        Ok(self.connection.last_insert_rowid())
    }

    pub(super) fn publish_unrouted(&mut self, name: &TenantId, event: &PublishedEvent) -> Result<(), Fault> {
        let (tenant, now) = (self.enter(name)?, self.now());
        if self.published_before(tenant.id, event)?.is_none() {
            self.insert_event(tenant.id, event, event.digest(), now)?;
            self.has_news = true;
        }
        Ok(())
    }

    pub(super) fn redeliver(
        &mut self,
        name: &TenantId,
        items: &[Redelivery],
    ) -> Result<Vec<Option<DeliveryId>>, Fault> {
        let Some(tenant) = self.tenant(name)? else { return Ok(vec![None; items.len()]) };
        self.has_news = true;
        items.iter().map(|item| self.redeliver_one(tenant.id, item)).collect()
    }

    fn redeliver_one(&mut self, tenant: i64, item: &Redelivery) -> Result<Option<DeliveryId>, Fault> {
        const ORIGIN: &str = "SELECT lane, event FROM delivery WHERE id = ? AND tenant = ?";
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

pub(super) fn receipt(row: &rusqlite::Row<'_>) -> Result<Receipt, Fault> {
    let published_at = time(row, "published_at")?;
    Ok(Receipt { published_at, targets: count(row, "targets")?, skipped: count(row, "skipped")? })
}
