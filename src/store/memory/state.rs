//! Everything that the store keeps, and the indexes over it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::queue::Queue;
use crate::delivery::Health;
use crate::model::{Attempt, DeliveryId, End, HookId, MessageId, StampedEvent, TenantId, Timestamp};
use crate::registry::{RegisteredWebhook, Revision};
use crate::retry::RetryState;
use crate::store::lease::{Fence, HolderId};
use crate::store::leases::Leases;
use crate::store::publication::Receipt;
use crate::store::records::RoutingRecord;
use crate::store::schedule::{Schedule, Turn};
use crate::store::statistics::Hour;
use crate::store::time::KeptTime;

/// Everything that the store keeps, and the indexes over it.
#[derive(Default)]
pub(super) struct State {
    /// The time and the date of the present call.
    pub(super) present: KeptTime,
    pub(super) tenants: BTreeMap<TenantId, Tenant>,
    pub(super) lanes: HashMap<LaneKey, Lane>,
    pub(super) rows: BTreeMap<DeliveryId, Row>,
    pub(super) schedule: Schedule<LaneKey>,
    pub(super) leases: Leases<LaneKey>,
    /// When waiting deliveries expire.
    pub(super) expiries: BTreeSet<(Timestamp, DeliveryId)>,
    /// The tenants with events that wait for routing.
    pub(super) unrouted: BTreeSet<TenantId>,
    /// Backlogs that were dropped, whose rows still have to be ended one by one.
    pub(super) dropped: VecDeque<Queue>,
    /// When the events of which nothing is pending ended.
    pub(super) ended: BTreeSet<(Timestamp, TenantId, MessageId)>,
    /// Those of them that still have their payloads.
    pub(super) full: BTreeSet<(Timestamp, TenantId, MessageId)>,
    /// The hours of which something was counted.
    pub(super) counted: BTreeSet<(Hour, LaneKey)>,
    pub(super) last_delivery: i64,
    pub(super) last_event: u64,
}

pub(super) type LaneKey = (TenantId, HookId);

pub(super) struct Tenant {
    pub(super) revision: Revision,
    pub(super) next_hook_id: HookId,
    pub(super) suspended: Option<Timestamp>,
    /// The webhooks that there are, and those deleted ones of which the log still tells.
    pub(super) hooks: BTreeSet<HookId>,
    pub(super) events: HashMap<MessageId, EventRow>,
    pub(super) deliveries: BTreeSet<DeliveryId>,
    pub(super) unrouted: VecDeque<MessageId>,
    pub(super) routing: Option<RoutingLease>,
}

/// The right to route a tenant's oldest unrouted events, in order.
pub(super) struct RoutingLease {
    pub(super) holder: HolderId,
    pub(super) fence: Fence,
    pub(super) until: Timestamp,
    pub(super) left: usize,
}

impl Default for Tenant {
    fn default() -> Self {
        Self {
            revision: Revision::default(),
            next_hook_id: HookId::new(1),
            suspended: None,
            hooks: BTreeSet::new(),
            events: HashMap::new(),
            deliveries: BTreeSet::new(),
            unrouted: VecDeque::new(),
            routing: None,
        }
    }
}

pub(super) struct EventRow {
    /// Its place among all events, in the order of publishing.
    pub(super) number: u64,
    pub(super) event: Arc<StampedEvent>,
    pub(super) digest: [u8; 32],
    pub(super) has_payload: bool,
    pub(super) receipt: Receipt,
    pub(super) routing: RoutingRecord,
    pub(super) deliveries: Vec<DeliveryId>,
    /// How many of them have not ended.
    pub(super) open: usize,
    pub(super) ended_at: Option<Timestamp>,
}

impl EventRow {
    /// The event, if its payload is still there.
    pub(super) fn with_payload(&self) -> Option<&StampedEvent> {
        self.has_payload.then_some(&*self.event)
    }
}

pub(super) struct Lane {
    pub(super) hook: Arc<RegisteredWebhook>,
    pub(super) deleted: bool,
    pub(super) epoch: u64,
    /// When the present epoch began.
    pub(super) epoch_at: KeptTime,
    pub(super) queue: Queue,
    pub(super) backoff_until: Option<Timestamp>,
    pub(super) health: Health,
    /// How many rows the log has of it.
    pub(super) rows: usize,
    /// The attempts and successes that were counted, by the hour.
    pub(super) hours: BTreeMap<Hour, (u64, u64)>,
    pub(super) last_success_at: Option<Timestamp>,
}

impl Lane {
    pub(super) fn new(hook: Arc<RegisteredWebhook>, now: KeptTime) -> Self {
        Self {
            hook,
            deleted: false,
            epoch: 0,
            epoch_at: now,
            queue: Queue::default(),
            backoff_until: None,
            health: Health::default(),
            rows: 0,
            hours: BTreeMap::new(),
            last_success_at: None,
        }
    }
}

pub(super) struct Row {
    pub(super) lane: LaneKey,
    pub(super) epoch: u64,
    pub(super) event: Arc<StampedEvent>,
    pub(super) state: RowState,
    /// Where it stands in its lane's queue while it waits.
    pub(super) turn: Turn,
    pub(super) retry: RetryState,
    /// How many attempts were made. The log may keep fewer.
    pub(super) made: u32,
    pub(super) attempts: Vec<Attempt>,
    /// The date on which it was made.
    pub(super) created_at: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) origin: Option<DeliveryId>,
    /// Whether there is a delivery with this one as its origin.
    pub(super) is_repeated: bool,
}

impl Row {
    pub(super) fn log(&mut self, attempt: &Attempt) {
        self.made = self.made.saturating_add(1);
        self.turn = Turn::Retry;
        if attempt.replaces_previous() {
            self.attempts.pop();
        }
        // Most deliveries have one.
        self.attempts.reserve_exact(usize::from(self.attempts.is_empty()));
        self.attempts.push(attempt.clone());
    }

    pub(super) const fn end(&self) -> Option<End> {
        match self.state {
            RowState::Ended(end, _) => Some(end),
            RowState::Due(_) | RowState::Held => None,
        }
    }

    const fn ended_at(&self) -> Option<Timestamp> {
        match self.state {
            RowState::Ended(_, at) => Some(at.time),
            RowState::Due(_) | RowState::Held => None,
        }
    }
}

#[derive(Clone, Copy)]
pub(super) enum RowState {
    Due(Timestamp),
    Ended(End, KeptTime),
    Held,
}

impl State {
    pub(super) fn next_delivery(&mut self) -> DeliveryId {
        self.last_delivery += 1;
        DeliveryId::new(self.last_delivery)
    }

    /// Makes a waiting delivery on a lane that is not deleted, and gives its id.
    pub(super) fn insert_row(
        &mut self,
        lane_key: &LaneKey,
        event: &Arc<StampedEvent>,
        origin: Option<DeliveryId>,
        turn: Turn,
        (now, expires): (Timestamp, Timestamp),
    ) -> Option<DeliveryId> {
        let id = self.next_delivery();
        let lane = self.lanes.get_mut(lane_key).filter(|lane| !lane.deleted)?;
        let tenant = self.tenants.get_mut(&lane_key.0)?;
        let record = tenant.events.get_mut(&event.message_id)?;
        lane.rows += 1;
        lane.queue.insert(turn, (now, id));
        record.deliveries.push(id);
        record.open += 1;
        if let Some(ended_at) = record.ended_at.take() {
            let key = (ended_at, lane_key.0.clone(), event.message_id.clone());
            self.ended.remove(&key);
            self.full.remove(&key);
        }
        tenant.deliveries.insert(id);
        self.expiries.insert((expires, id));
        let row = Row {
            lane: lane_key.clone(),
            epoch: lane.epoch,
            event: Arc::clone(event),
            state: RowState::Due(now),
            turn,
            retry: RetryState::default(),
            made: 0,
            attempts: Vec::new(),
            created_at: self.present.date,
            expires,
            origin,
            is_repeated: false,
        };
        self.rows.insert(id, row);
        if let Some(origin) = origin.and_then(|origin| self.rows.get_mut(&origin)) {
            origin.is_repeated = true;
        }
        Some(id)
    }

    /// Ends a row that neither waits in its lane nor is held any more.
    pub(super) fn end_row(&mut self, id: DeliveryId, end: End, at: KeptTime) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        row.state = RowState::Ended(end, at);
        self.expiries.remove(&(row.expires, id));
        let (tenant, message) = (row.lane.0.clone(), row.event.message_id.clone());
        let events = self.tenants.get_mut(&tenant).map(|tenant| &mut tenant.events);
        let Some(record) = events.and_then(|events| events.get_mut(&message)) else { return };
        record.open = record.open.saturating_sub(1);
        if record.open == 0 {
            // What was dropped ended before it is ended here: others may have ended since.
            let ends = record.deliveries.iter().filter_map(|id| self.rows.get(id)?.ended_at());
            let last = ends.max().unwrap_or(at.time);
            record.ended_at = Some(last);
            self.note_ended((last, tenant, message));
        }
    }

    /// Indexes an event that has ended, with its payload.
    pub(super) fn note_ended(&mut self, key: (Timestamp, TenantId, MessageId)) {
        self.full.insert(key.clone());
        self.ended.insert(key);
    }
}
