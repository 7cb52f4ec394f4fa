//! Claiming: takes what is due, and ends leases.

use std::sync::Arc;
use std::time::Duration;

use super::state::{LaneKey, Lease, RowState, State};
use crate::model::{DeliveryId, End, Timestamp};
use crate::store::claim::{Claim, ClaimRequest, Claimed};
use crate::store::lease::HolderId;

impl State {
    pub(super) fn claim(&mut self, request: &ClaimRequest, now: Timestamp) -> Claimed {
        self.enroll(request.holder, request.quota, now);
        self.end_leases(now);
        self.fire_timers(now);
        let mut deliveries = Vec::new();
        let mut bytes = 0;
        let mut stopped = false;
        while let Some((key, id)) = self.next_for(request.holder, now) {
            let size = self.payload_bytes(id);
            stopped = deliveries.len() >= request.limit
                || (!deliveries.is_empty() && bytes + size > request.max_bytes);
            if stopped {
                break;
            }
            bytes += size;
            deliveries.extend(self.hold(&key, id, request, now));
        }
        let unrouted = self.claim_unrouted(request, now);
        let next_in = if stopped { Some(Duration::ZERO) } else { self.next_in(now) };
        Claimed { deliveries, unrouted, next_in, ..Claimed::default() }
    }

    /// The delivery whose turn it is, past those that expired and lanes for which there is no room.
    fn next_for(&mut self, holder: HolderId, now: Timestamp) -> Option<(LaneKey, DeliveryId)> {
        loop {
            let known = self.holders.get(&holder)?;
            let key = known.ring.first(|class| known.held.room_in_class(&known.quota, class) > 0)?;
            let lane = self.lanes.get(&key)?;
            let class = lane.health.class();
            let (due, id) = *lane.due.first()?;
            let has_room = known.held.room(&known.quota, &key.0, key.1, class) > 0;
            let expired = self.rows.get(&id).is_none_or(|row| row.expires <= now);
            if has_room && !expired {
                return Some((key, id));
            }
            if expired {
                self.unqueue(&key, (due, id));
                self.end_row(id, End::Expired, now);
            }
            self.refresh(&key, now);
        }
    }

    fn unqueue(&mut self, key: &LaneKey, entry: (Timestamp, DeliveryId)) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.due.remove(&entry);
        }
    }

    fn payload_bytes(&self, id: DeliveryId) -> usize {
        self.rows.get(&id).map_or(0, |row| row.event.payload.get().len())
    }

    /// Claims a waiting delivery; its lane goes to the end of the ring.
    pub(super) fn hold(
        &mut self,
        key: &LaneKey,
        id: DeliveryId,
        request: &ClaimRequest,
        now: Timestamp,
    ) -> Option<Claim> {
        let fence = self.next_fence();
        let lane = self.lanes.get_mut(key)?;
        let row = self.rows.get_mut(&id)?;
        let RowState::Due(due) = row.state else { return None };
        let holder = self.holders.get_mut(&request.holder)?;
        let class = lane.health.class();
        let until = now.plus(request.lease);
        lane.due.remove(&(due, id));
        row.state = RowState::Held(Lease { holder: request.holder, fence, until, class });
        self.leases.insert((until, id));
        holder.held.take(&key.0, key.1, class);
        holder.ring.remove(key);
        let claim = Claim {
            id,
            fence,
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
        let timer = self.timers.first().map(|(at, _)| *at);
        let lease = self.leases.first().map(|(until, _)| *until);
        let routing = self.unrouted.iter().filter_map(|name| self.routing_until(name)).min();
        let next = [timer, lease, routing].into_iter().flatten().min();
        next.map(|at| at.since(now))
    }
}
