//! What the contract of a store says, written as simply as can be: no indexes, no turns, no leases that end by
//! themselves. Where the contract leaves a store free, the model allows both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hookwire::TenantId;
use hookwire::delivery::{Health, LaneClass, Next};
use hookwire::model::{DeliveryId, DeliveryState, End, HookId, MessageId, Timestamp};
use hookwire::registry::{Backlog, RegisteredWebhook, Revision};
use hookwire::store::{Claim, Effect, Fence, HolderId, Quota, Receipt, Settlement};

pub(super) type LaneKey = (TenantId, HookId);

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) now: Timestamp,
    pub(super) lanes: BTreeMap<LaneKey, Lane>,
    pub(super) rows: BTreeMap<DeliveryId, Row>,
    pub(super) events: BTreeMap<(TenantId, MessageId), Event>,
    pub(super) revisions: BTreeMap<TenantId, Revision>,
    /// Every fence that was ever given for a delivery.
    pub(super) fences: BTreeSet<(DeliveryId, Fence)>,
}

#[derive(Debug)]
pub(super) struct Event {
    pub(super) digest: [u8; 32],
    pub(super) receipt: Receipt,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) hook: RegisteredWebhook,
    pub(super) deleted: bool,
    pub(super) epoch: u32,
    pub(super) backoff_until: Option<Timestamp>,
    pub(super) health: Health,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) lane: LaneKey,
    pub(super) epoch: u32,
    pub(super) message: MessageId,
    pub(super) size: usize,
    pub(super) state: State,
    pub(super) attempts: u32,
    pub(super) expires: Timestamp,
    pub(super) origin: Option<DeliveryId>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// Since when or from when on; `None` for one whose lease has ended by itself, at whatever time that is noticed.
    Due(Timestamp),
    /// In one of these ways, if it was too late to tell.
    Ended(End, Option<End>),
    Held(Lease),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) holder: HolderId,
    pub(super) fence: Fence,
    pub(super) until: Timestamp,
    pub(super) class: LaneClass,
}

impl Row {
    pub(super) const fn fence(&self) -> Option<Fence> {
        match self.state {
            State::Held(lease) => Some(lease.fence),
            State::Due(_) | State::Ended(..) => None,
        }
    }

    pub(super) fn held(&self, now: Timestamp) -> Option<Lease> {
        match self.state {
            State::Held(lease) if lease.until > now => Some(lease),
            _ => None,
        }
    }

    /// Whether a reader may see it so.
    pub(super) fn may_read_as(&self, seen: DeliveryState, now: Timestamp) -> bool {
        let late = self.expires <= now;
        match (self.state, seen) {
            (State::Due(_), DeliveryState::Pending) => true,
            (State::Due(_), DeliveryState::Ended(end)) => late && end == End::Expired,
            (State::Ended(one, other), DeliveryState::Ended(end)) => end == one || Some(end) == other,
            (State::Ended(..), DeliveryState::Pending) => false,
            (State::Held(_), DeliveryState::Pending) => true,
            // Nobody has to notice the end of a lease at once, and nobody has to wait.
            (State::Held(lease), DeliveryState::Ended(end)) => {
                lease.until <= now && matches!(end, End::Expired | End::Cancelled)
            }
        }
    }
}

impl Lane {
    pub(super) fn new(hook: RegisteredWebhook) -> Self {
        Self { hook, deleted: false, epoch: 0, backoff_until: None, health: Health::default() }
    }

    pub(super) fn gives(&self) -> bool {
        !self.deleted && self.hook.webhook.status().is_enabled()
    }
}

impl Model {
    pub(super) fn revision(&self, tenant: &TenantId) -> Revision {
        self.revisions.get(tenant).copied().unwrap_or_default()
    }

    pub(super) fn committed(&mut self, tenant: &TenantId) {
        let next = self.revision(tenant).next();
        self.revisions.insert(tenant.clone(), next);
    }

    pub(super) fn live(&self, tenant: &TenantId) -> Vec<HookId> {
        let lanes = self.lanes.iter().filter(|((name, _), lane)| name == tenant && !lane.deleted);
        lanes.map(|((_, hook), _)| *hook).collect()
    }

    /// From when on the row may be claimed, if nothing more happens.
    pub(super) fn gives_at(&self, row: &Row) -> Option<Timestamp> {
        let lane = self.lanes.get(&row.lane).filter(|lane| lane.gives() && lane.epoch == row.epoch)?;
        let due = match row.state {
            State::Due(due) => due,
            State::Held(lease) => lease.until,
            State::Ended(..) => return None,
        };
        let at = lane.backoff_until.map_or(due, |until| until.max(due));
        (at.max(self.now) < row.expires).then_some(at)
    }

    pub(super) fn is_claimable(&self, row: &Row) -> bool {
        self.gives_at(row).is_some_and(|at| at <= self.now)
    }

    /// How many more of the row's lane the holder may have: the rule of [`Quota`], counted from nothing.
    pub(super) fn room(&self, holder: HolderId, quota: &Quota, key: &LaneKey) -> usize {
        let class = self.lanes.get(key).map_or(LaneClass::Unproven, |lane| lane.health.class());
        let leases = || self.rows.values().filter_map(|row| Some((row, row.held(self.now)?)));
        let held = |of: &dyn Fn(&Row, Lease) -> bool| {
            leases().filter(|(row, lease)| lease.holder == holder && of(row, *lease)).count()
        };
        let left = |whole: usize, within: &dyn Fn(&Row) -> bool| {
            let all = whole.saturating_sub(held(&|row, _| within(row)));
            let same = held(&|row, lease| within(row) && lease.class == class);
            all.min(share(whole, class).saturating_sub(same))
        };
        let one = if class == LaneClass::Hanging { 1 } else { quota.per_webhook() };
        let of_lane = one.saturating_sub(held(&|row, _| row.lane == *key));
        let of_tenant = left(quota.per_tenant(), &|row| row.lane.0 == key.0);
        left(quota.in_all(), &|_| true).min(of_tenant).min(of_lane)
    }

    pub(super) fn hold(&mut self, holder: HolderId, claim: &Claim, lease: Duration) {
        self.fences.insert((claim.id, claim.fence));
        let until = self.now.plus(lease);
        let lease = Lease { holder, fence: claim.fence, until, class: claim.health.class() };
        if let Some(row) = self.rows.get_mut(&claim.id) {
            row.state = State::Held(lease);
        }
    }

    /// Applies a settlement, and returns its effect.
    pub(super) fn apply(&mut self, item: &Settlement) -> Effect {
        let Some(mut row) = self.rows.remove(&item.id) else { return Effect::default() };
        row.attempts += u32::from(item.attempt.is_some());
        let effect = self.learn(&row.lane, item);
        row.state = match (item.next, row.state) {
            (Next::Again(after), _) => self.waits(&row, self.now.plus(after)),
            (Next::Release, _) => self.waits(&row, self.now),
            (Next::End(end), _) => State::Ended(end, None),
            (Next::Extend(by), State::Held(lease)) => {
                State::Held(Lease { until: self.now.plus(by), ..lease })
            }
            (Next::Extend(_), other) => other,
        };
        let end = match row.state {
            State::Ended(end, _) => Some(end),
            State::Due(_) | State::Held(_) => None,
        };
        self.rows.insert(item.id, row);
        Effect { end, ..effect }
    }

    fn learn(&mut self, key: &LaneKey, item: &Settlement) -> Effect {
        let now = self.now;
        let Some(lane) = self.lanes.get_mut(key) else { return Effect::default() };
        let before = lane.health;
        lane.health = item.health_after(before, now);
        lane.backoff_until = item.backoff_after(lane.backoff_until, now);
        let effect = Effect::of_health(before, lane.health);
        let disable = item.disable.filter(|_| !lane.deleted);
        let hook = disable.and_then(|it| it.applied_to(&lane.hook, &lane.health, now));
        let Some(hook) = hook else { return effect };
        let disabled = hook.disabled;
        lane.hook = hook;
        self.committed(&key.0);
        Effect { disabled, ..effect }
    }

    /// What was claimed before its lane's backlog was dropped waits no more.
    fn waits(&self, row: &Row, due: Timestamp) -> State {
        let present = self.lanes.get(&row.lane).is_some_and(|lane| lane.epoch == row.epoch);
        if present { State::Due(due) } else { State::Ended(End::Cancelled, None) }
    }

    pub(super) fn release(&mut self, holder: HolderId) {
        let mut rows = std::mem::take(&mut self.rows);
        for row in rows.values_mut() {
            if row.held(self.now).is_some_and(|lease| lease.holder == holder) {
                row.state = self.waits(row, self.now);
            }
        }
        self.rows = rows;
    }

    pub(super) fn update(&mut self, key: &LaneKey, new: RegisteredWebhook, backlog: Backlog) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.hook.starts_afresh_as(&new) {
            lane.health = Health::default();
        }
        lane.hook = new;
        lane.backoff_until = None;
        if backlog == Backlog::Drop {
            self.drop_backlog(key);
        }
        self.committed(&key.0);
    }

    pub(super) fn delete(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.deleted = true;
        }
        self.drop_backlog(key);
        self.committed(&key.0);
    }

    fn drop_backlog(&mut self, key: &LaneKey) {
        let now = self.now;
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.epoch += 1;
        }
        for row in self.rows.values_mut().filter(|row| row.lane == *key) {
            if let State::Due(_) = row.state {
                row.state = State::Ended(End::Cancelled, (row.expires <= now).then_some(End::Expired));
            }
        }
    }

    /// Upkeep without end: what waits and is late has ended.
    pub(super) fn expire(&mut self) {
        let now = self.now;
        for row in self.rows.values_mut().filter(|row| row.expires <= now) {
            if let State::Due(_) = row.state {
                row.state = State::Ended(End::Expired, None);
            }
        }
    }
}

/// The part of `whole` that lanes of a class may have together.
fn share(whole: usize, class: LaneClass) -> usize {
    let part = match class {
        LaneClass::Proven => whole,
        LaneClass::Unproven => whole / 2,
        LaneClass::Hanging => whole / 10,
    };
    part.max(1)
}
