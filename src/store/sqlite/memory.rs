//! The indexes in memory beside the file: who holds what, who is served next, and how lanes are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::Connection;

use super::changes::{Changes, ClaimedRow, Cursors, Numbers, RoutingLease, TenantRow, Walk};
use super::file::rows::{DELETED, Lane, LaneId, Position, SELECT_HOOK, SELECT_LANE, registered};
use super::file::sql::{Cells, Sql, SqlError, number};
use super::queue::Queue;
use super::suspects::Suspects;
use crate::model::{DeliveryId, HookId, TenantId, Timestamp};
use crate::registry::{RegisteredWebhook, Revision};
use crate::retry::RetryState;
use crate::store::lease::{Fence, HolderId};
use crate::store::leases::Leases;
use crate::store::pace::WINDOW;
use crate::store::schedule::{Schedule, Turn, Waiting};

/// The number of webhooks that are kept parsed, and of lanes and tenants that are kept although nothing waits there.
const MAX_KEPT: usize = 4096;

/// The state that the store keeps in memory. It has committed changes only: a transaction's come by
/// [`apply`](Self::apply). Claims change it directly, because they are not in the file.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) schedule: Schedule<LaneId>,
    pub(super) leases: Leases<LaneId>,
    pub(super) routing: HashMap<TenantId, RoutingLease>,
    pub(super) queues: HashMap<LaneId, Queue>,
    pub(super) suspects: Suspects,
    lanes: HashMap<LaneId, Arc<Lane>>,
    lanes_by_hook: HashMap<(i64, HookId), LaneId>,
    tenants: HashMap<TenantId, TenantRow>,
    hooks: HashMap<LaneId, Arc<RegisteredWebhook>>,
    held: HashMap<i64, ClaimedRow>,
    numbers: Numbers,
    cursors: Cursors,
    /// Whether events may wait for routing, so that most claims need not look for them.
    pub(super) has_unrouted: bool,
}

impl Memory {
    /// Reads what there is to know of a file that was opened for the `boot`th time: one look at each lane in which
    /// deliveries wait, whatever their number. All of them are free.
    pub(super) fn read(
        file: &Connection,
        boot: u64,
        suspects: Suspects,
        now: Timestamp,
    ) -> Result<Self, SqlError> {
        let numbers = |cells: &mut Cells<'_>| Ok(Numbers { event: cells.get()?, delivery: cells.get()? });
        let numbers =
            file.one(LAST_NUMBERS, [], numbers)?.ok_or_else(|| SqlError::corrupt("meta is empty"))?;
        let mut memory = Self {
            schedule: Schedule::default(),
            leases: Leases::of_boot(boot),
            routing: HashMap::new(),
            queues: HashMap::new(),
            suspects,
            lanes: HashMap::new(),
            lanes_by_hook: HashMap::new(),
            tenants: HashMap::new(),
            hooks: HashMap::new(),
            held: HashMap::new(),
            numbers,
            cursors: Cursors {
                waiting: Position::START,
                removing: Walk::default(),
                stripping: Walk::default(),
            },
            has_unrouted: true,
        };
        memory.schedule.keep_rates_until(now.plus(WINDOW));
        for lane in file.all(LANES_WITH_WORK, [], number)? {
            let lane = file.one(&format!("{SELECT_LANE} lane.id = ?"), [lane], Lane::read)?;
            if let Some(lane) = lane {
                memory.queues.insert(lane.id, Queue::unread(lane.epoch));
                memory.set_lane(Arc::new(lane), now);
            }
        }
        Ok(memory)
    }

    pub(super) fn lane(&self, id: LaneId) -> Option<&Arc<Lane>> {
        self.lanes.get(&id)
    }

    pub(super) fn lane_of(&self, tenant: i64, hook: HookId) -> Option<LaneId> {
        self.lanes_by_hook.get(&(tenant, hook)).copied()
    }

    pub(super) fn tenant(&self, name: &TenantId) -> Option<&TenantRow> {
        self.tenants.get(name)
    }

    pub(super) fn held(&self, id: i64) -> Option<&ClaimedRow> {
        self.held.get(&id)
    }

    /// Returns what is held, and until when.
    pub(super) fn all_held(&self) -> HashMap<i64, Timestamp> {
        self.held.iter().map(|(id, held)| (*id, held.until)).collect()
    }

    pub(super) fn held_count(&self) -> usize {
        self.held.len()
    }

    pub(super) fn routing_lease(&self, name: &TenantId) -> Option<RoutingLease> {
        self.routing.get(name).copied()
    }

    pub(super) const fn numbers(&self) -> Numbers {
        self.numbers
    }

    pub(super) const fn cursors(&self) -> Cursors {
        self.cursors
    }

    /// Returns the first delivery of a lane, which is read if it has to be.
    pub(super) fn read_first(
        &mut self,
        file: &Connection,
        lane: LaneId,
        turn: Turn,
    ) -> Result<Option<Position>, SqlError> {
        let Some(queue) = self.queues.get_mut(&lane) else { return Ok(None) };
        queue.read_first(file, lane, turn, |id| self.held.contains_key(&id))
    }

    /// Returns whether nothing may be claimed, because one delivery is to run alone: it runs, or others still do.
    pub(super) fn waits_for_one(&self) -> bool {
        self.suspects.alone.is_some() && !self.held.is_empty()
    }

    /// Returns the webhook of a lane.
    pub(super) fn hook(
        &mut self,
        file: &Connection,
        lane: LaneId,
    ) -> Result<Arc<RegisteredWebhook>, SqlError> {
        if let Some(hook) = self.hooks.get(&lane) {
            return Ok(Arc::clone(hook));
        }
        let hook = file.one(&format!("{SELECT_HOOK} id = ?"), [lane], registered)?.map(Arc::new);
        let hook = hook.ok_or_else(|| SqlError::corrupt("a delivery without its webhook"))?;
        if self.hooks.len() >= MAX_KEPT {
            self.hooks.clear();
        }
        self.hooks.insert(lane, Arc::clone(&hook));
        Ok(hook)
    }

    /// Takes over what a transaction has changed, once it is committed.
    pub(super) fn apply(&mut self, changes: Changes, now: Timestamp) {
        self.tenants.extend(changes.tenants);
        changes.hooks.iter().for_each(|lane| drop(self.hooks.remove(lane)));
        changes.lanes.into_values().for_each(|lane| self.set_lane(lane, now));
        for (id, held) in changes.held {
            match held {
                Some(held) => self.change(held),
                None => {
                    self.give_back(id, now);
                    self.suspects.settled(id);
                }
            }
        }
        changes.waiting.into_iter().for_each(|position| self.wait(position, now));
        changes.gone.into_iter().for_each(|position| self.remove(position, now));
        changes.forgotten.into_iter().for_each(|lane| self.forget_lane(lane));
        for (tenant, lease) in changes.routing {
            match lease {
                Some(lease) => drop(self.routing.insert(tenant, lease)),
                None => drop(self.routing.remove(&tenant)),
            }
        }
        self.numbers = changes.numbers.unwrap_or(self.numbers);
        self.has_unrouted |= changes.has_unrouted;
        if let Some(cursors) = changes.cursors {
            self.cursors = cursors;
            self.schedule.forget_idle_holders(now);
        }
    }

    fn set_lane(&mut self, lane: Arc<Lane>, now: Timestamp) {
        let id = lane.id;
        self.lanes_by_hook.insert((lane.tenant, lane.hook), id);
        if self.queues.get(&id).is_some_and(|queue| queue.epoch != lane.epoch) {
            self.queues.remove(&id);
        }
        self.lanes.insert(id, lane);
        self.refresh(id, now);
    }

    fn forget_lane(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.remove(&id) {
            self.lanes_by_hook.remove(&(lane.tenant, lane.hook));
        }
    }

    /// Removes cached tenants and lanes once there are many. Lanes with waiting or held deliveries stay.
    pub(super) fn forget_idle(&mut self) {
        if self.tenants.len() > MAX_KEPT {
            self.tenants.clear();
        }
        if self.lanes.len() > MAX_KEPT + self.queues.len() + self.held.len() {
            let held: HashSet<_> = self.held.values().map(|held| held.position.lane).collect();
            self.lanes.retain(|id, _| self.queues.contains_key(id) || held.contains(id));
            self.lanes_by_hook.retain(|_, id| self.lanes.contains_key(id));
        }
    }

    /// Lets a delivery wait that nobody holds. One of a backlog that was dropped has ended.
    pub(super) fn wait(&mut self, position: Position, now: Timestamp) {
        let Some(epoch) = self.lanes.get(&position.lane).map(|lane| lane.epoch) else { return };
        if epoch == position.epoch {
            self.queues.entry(position.lane).or_insert_with(|| Queue::empty(epoch)).add(position);
            self.refresh(position.lane, now);
        }
    }

    /// Takes out a delivery that waits no longer.
    pub(super) fn remove(&mut self, position: Position, now: Timestamp) {
        if let Some(queue) = self.queues.get_mut(&position.lane).filter(|it| it.epoch == position.epoch) {
            queue.remove(position);
            self.refresh(position.lane, now);
        }
    }

    /// Returns whether nothing is due in a lane.
    pub(super) fn is_idle(&self, id: LaneId, now: Timestamp) -> bool {
        let Some(queue) = self.queues.get(&id) else { return true };
        [Turn::FirstAttempt, Turn::Retry]
            .into_iter()
            .all(|turn| queue.first(turn).is_none_or(|due| due > now))
    }

    /// Updates the schedule entry of a lane. Only this method decides whether a lane is ready. It must be called after
    /// every change of a lane, so that no delivery is stranded.
    pub(super) fn refresh(&mut self, id: LaneId, now: Timestamp) {
        if self.queues.get(&id).is_some_and(Queue::is_empty) {
            self.queues.remove(&id);
        }
        let waiting = match (self.lanes.get(&id), self.queues.get(&id)) {
            (Some(lane), Some(queue)) if lane.is_enabled() => Some(gives(lane, queue)),
            _ => None,
        };
        self.schedule.set(&id, waiting, now);
    }

    /// Puts a delivery under a claim. `None` if the schedule knows nothing of its lane.
    pub(super) fn take(
        &mut self,
        holder: HolderId,
        (position, turn): (Position, Turn),
        (attempts, retry): (u32, RetryState),
        (until, now): (Timestamp, Timestamp),
    ) -> Option<Fence> {
        let place = self.schedule.take(holder, &position.lane, turn, now)?;
        let fence = self.leases.take(DeliveryId::new(position.id), place, until);
        self.held.insert(position.id, ClaimedRow { fence, until, position, attempts, retry });
        self.remove(position, now);
        Some(fence)
    }

    /// Changes a claim that goes on.
    fn change(&mut self, held: ClaimedRow) {
        let id = held.position.id;
        if let Some(present) = self.held.get_mut(&id) {
            *present = held;
            self.leases.extend(DeliveryId::new(id), held.until);
        }
    }

    /// Ends a claim, and gives what was held under it.
    pub(super) fn give_back(&mut self, id: i64, now: Timestamp) -> Option<ClaimedRow> {
        let lease = self.leases.remove(DeliveryId::new(id))?;
        self.schedule.give_back(&lease.place, now);
        self.held.remove(&id)
    }

    /// Ends claims, whose deliveries wait again where they waited before.
    pub(super) fn end_claims(&mut self, ids: &[DeliveryId], now: Timestamp) {
        for id in ids {
            if let Some(held) = self.give_back(id.get(), now) {
                self.suspects.given_back(id.get());
                self.wait(held.position, now);
            }
        }
    }

    pub(super) fn release(&mut self, holder: HolderId, now: Timestamp) {
        let held: Vec<_> = self.leases.of(holder).collect();
        self.end_claims(&held, now);
        self.routing.retain(|_, lease| lease.holder != holder);
        self.schedule.remove_holder(holder);
    }
}

/// The entry in the schedule of a lane in which something waits.
fn gives(lane: &Lane, queue: &Queue) -> Waiting {
    let when = |turn| queue.first(turn).map(|due| lane.backoff_until.map_or(due, |until| until.max(due)));
    Waiting {
        tenant: lane.name.clone(),
        hook: lane.hook,
        class: lane.health.class(),
        pace: lane.pace,
        first_attempt: when(Turn::FirstAttempt),
        retry: when(Turn::Retry),
    }
}

pub(super) fn tenant(file: &Connection, name: &TenantId) -> Result<Option<TenantRow>, SqlError> {
    const SELECT: &str = "SELECT id, revision, next_hook, suspended_at FROM tenant WHERE name = ?";
    file.one(SELECT, [name.as_str()], |cells| {
        let (id, revision) = (cells.get()?, cells.get::<i64>()?);
        let revision = Revision::new(revision.unsigned_abs());
        let (next_hook, suspended) = (HookId::new(cells.get()?), cells.optional_time()?);
        Ok(TenantRow { id, revision, next_hook, suspended })
    })
}

/// What was removed may have had the highest numbers.
const LAST_NUMBERS: &str = "SELECT max(last_event, coalesce((SELECT max(id) FROM event), 0)), \
    max(last_delivery, coalesce((SELECT max(id) FROM delivery), 0)) FROM meta";

/// Leaps from lane to lane along the index: as many steps as there are lanes with waiting deliveries,
/// whatever their number.
pub(super) const LANES_WITH_WORK: &str = "
    WITH RECURSIVE work (lane) AS (
        SELECT min(lane) FROM delivery WHERE state = 0
        UNION ALL
        SELECT (SELECT min(lane) FROM delivery WHERE state = 0 AND lane > work.lane)
        FROM work WHERE work.lane IS NOT NULL
    )
    SELECT lane FROM work WHERE lane IS NOT NULL";

const _: () = assert!(DELETED == 2, "statements hold it as a literal");
