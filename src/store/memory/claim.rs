//! Claiming: takes what is due.

use std::sync::Arc;
use std::time::Duration;

use super::state::{LaneKey, RowState, State};
use crate::model::{DeliveryId, End, TenantId, Timestamp};
use crate::store::claim::{Claim, ClaimRequest, Claimed};
use crate::store::lease::HolderId;
use crate::store::schedule::Turn;

impl State {
    /// Claims what is due, of this tenant alone or of all.
    pub(super) fn claim(
        &mut self,
        only: Option<&TenantId>,
        request: &ClaimRequest,
        now: Timestamp,
    ) -> Claimed {
        self.schedule.add_holder(request, now);
        self.end_leases(now);
        let mut deliveries: Vec<Claim> = Vec::new();
        let mut bytes = 0;
        let mut expired = 0;
        let mut stopped = false;
        while let Some((key, turn)) = self.next(only, request.holder, now) {
            let Some((id, has_expired)) = self.head(&key, turn, now) else { continue };
            if has_expired {
                expired += 1;
                continue;
            }
            let size = self.payload_bytes(id);
            stopped = deliveries.len() >= request.limit
                || (!deliveries.is_empty() && bytes + size > request.max_bytes);
            if stopped {
                break;
            }
            bytes += size;
            deliveries.extend(self.hold(&key, turn, request, now));
        }
        let unrouted = self.claim_unrouted(only, request, now);
        let next_in = if stopped { Some(Duration::ZERO) } else { self.next_in(now) };
        let took_all = self.unrouted.is_empty() && self.schedule.is_exhausted();
        Claimed { deliveries, unrouted, expired, next_in, took_all, ..Claimed::default() }
    }

    fn next(&mut self, only: Option<&TenantId>, holder: HolderId, now: Timestamp) -> Option<(LaneKey, Turn)> {
        match only {
            Some(tenant) => self.schedule.next_of(holder, tenant, now),
            None => self.schedule.next(holder, now),
        }
    }

    /// The delivery whose turn it is in a lane, and whether it has expired and was ended for that.
    fn head(&mut self, key: &LaneKey, turn: Turn, now: Timestamp) -> Option<(DeliveryId, bool)> {
        let lane = self.lanes.get_mut(key)?;
        let (due, id) = lane.queue.first(turn)?;
        if self.rows.get(&id).is_some_and(|row| row.expires > now) {
            return Some((id, false));
        }
        lane.queue.remove(turn, (due, id));
        self.end_row(id, End::Expired, self.present);
        self.refresh(key, now);
        Some((id, true))
    }

    fn payload_bytes(&self, id: DeliveryId) -> usize {
        self.rows.get(&id).map_or(0, |row| row.event.payload.get().len())
    }

    /// Claims the delivery whose turn it is in a lane, which ends the lane's turn.
    pub(super) fn hold(
        &mut self,
        key: &LaneKey,
        turn: Turn,
        request: &ClaimRequest,
        now: Timestamp,
    ) -> Option<Claim> {
        let lane = self.lanes.get_mut(key)?;
        let entry @ (_, id) = lane.queue.first(turn)?;
        let row = self.rows.get_mut(&id)?;
        let place = self.schedule.take(request.holder, key, turn, now)?;
        lane.queue.remove(turn, entry);
        row.state = RowState::Held;
        let claim = Claim {
            id,
            fence: self.leases.take(id, place, now.plus(request.lease)),
            tenant: key.0.clone(),
            hook: Arc::clone(&lane.hook),
            event: Arc::clone(&row.event),
            attempts: row.made,
            retry: row.retry,
            health: lane.health,
        };
        self.refresh(key, now);
        Some(claim)
    }

    /// The next time at which a lane is ready or a lease ends by itself.
    fn next_in(&self, now: Timestamp) -> Option<Duration> {
        let routing = self.unrouted.iter().filter_map(|name| self.routing_until(name)).min();
        let next = [self.schedule.next_timer(), self.leases.next_end(), routing].into_iter().flatten().min();
        next.map(|at| at.since(now))
    }
}
