//! `Holders`: what each dispatcher has claimed, counted in memory.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookwire::delivery::LaneClass;
use hookwire::model::{HookId, TenantId};
use hookwire::store::{HeldCounts, HolderId, Quota};

use crate::rows::{CLASSES, LaneId};
use crate::schedule::cursor::{LaneCursor, ReadyLane, ReadyLanes};
use crate::time::Millis;

/// Longer than any lease.
const LONGEST_LEASE: Duration = Duration::from_secs(48 * 60 * 60);

/// The key of a claim: the id of the delivery, and the fence.
pub(crate) type ClaimKey = (i64, i64);

type ReservationId = u64;

/// The claims of the dispatchers on this store, counted in memory. Other stores do not claim for these dispatchers.
#[derive(Debug, Default)]
pub(crate) struct Holders(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    holders: HashMap<HolderId, Holder>,
    /// Who counts each claim: more than one while several try to make it.
    owners: HashMap<ClaimKey, Vec<(HolderId, ReservationId)>>,
    reservations: ReservationId,
}

/// The claims of one dispatcher, and its place in the turns of lanes.
#[derive(Debug, Default)]
struct Holder {
    held: HeldCounts,
    claimed: HashMap<(ClaimKey, ReservationId), CountedClaim>,
    /// The cursors by class.
    cursors: [LaneCursor; 3],
    /// The number of times that it asked for claims.
    scans: usize,
    /// The number of times that it got room back.
    returns: u64,
    /// The quota of its last claim, by which the cursors know where there is no room.
    quota: Quota,
}

/// A claim as it is counted.
#[derive(Clone, Debug)]
pub(crate) struct CountedClaim {
    pub(crate) lane: LaneId,
    pub(crate) tenant: TenantId,
    pub(crate) hook: HookId,
    /// The class of the lane when the claim was made. It is counted under this class.
    pub(crate) class: LaneClass,
    /// The end of its claim.
    pub(crate) until: Millis,
}

/// The lanes that a claim has to read.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) cursors: [LaneCursor; 3],
    /// Whether there is room in each class.
    pub(crate) has_room: [bool; 3],
    /// Lanes, and tenants, for which there is no room. There may be others that the holder does not know.
    pub(crate) full_lanes: Vec<LaneId>,
    pub(crate) full_tenants: Vec<String>,
    /// The number of this claim among those of its holder.
    pub(crate) number: usize,
    returns: u64,
}

/// Claims that are counted although they are not committed yet. Dropping it counts them no longer, unless they were
/// [kept](Self::keep).
///
/// Several may count the same claim at the same time, of which the database gives it to one.
#[derive(Debug)]
pub(crate) struct Reservation {
    holders: Arc<Holders>,
    id: ReservationId,
    keys: Vec<ClaimKey>,
}

impl Holders {
    /// Returns what the holder has to read.
    pub(crate) fn plan(&self, id: HolderId, quota: &Quota) -> Plan {
        let mut state = self.state();
        let holder = state.holders.entry(id).or_default();
        if holder.quota != *quota {
            holder.quota = *quota;
            holder.cursors = holder.cursors.map(LaneCursor::restarted);
        }
        holder.scans = holder.scans.wrapping_add(1);
        let (full_lanes, full_tenants) = holder.full(quota);
        Plan {
            cursors: holder.cursors,
            has_room: CLASSES.map(|class| holder.held.room_in_class(quota, class) > 0),
            full_lanes,
            full_tenants,
            number: holder.scans,
            returns: holder.returns,
        }
    }

    /// Ends the claims whose leases are over, and returns whether there were any.
    pub(crate) fn end_leases(&self, id: HolderId, now: Millis) -> bool {
        self.state().end_leases(id, now)
    }

    /// Returns those of the lanes for which the holder has room.
    pub(crate) fn with_room(&self, id: HolderId, quota: &Quota, ready: &[ReadyLanes; 3]) -> HashSet<LaneId> {
        let state = self.state();
        let nothing = HeldCounts::default();
        let held = state.holders.get(&id).map_or(&nothing, |holder| &holder.held);
        let lanes = CLASSES.into_iter().zip(ready).flat_map(|(class, ready)| {
            let lanes = ready.all();
            let room = move |it: &ReadyLane| Some(held.room(quota, it.tenant.as_ref()?, it.hook, class));
            lanes.filter(move |it| room(it).is_some_and(|room| room > 0))
        });
        lanes.map(|it| it.id).collect()
    }

    /// Stores the cursors after a claim. They start again if room came back meanwhile: it may be of lanes that had none.
    pub(crate) fn finish_scan(&self, id: HolderId, plan: &Plan, cursors: [LaneCursor; 3]) {
        let mut state = self.state();
        let holder = state.holders.entry(id).or_default();
        let is_same = holder.returns == plan.returns;
        holder.cursors = if is_same { cursors } else { cursors.map(LaneCursor::restarted) };
    }

    /// Counts the claims that `take` decides on. It gets the counts of the holder, which say where there is room.
    pub(crate) fn reserve<T>(
        self: &Arc<Self>,
        id: HolderId,
        now: Millis,
        take: impl FnOnce(&mut HeldCounts) -> (T, Vec<(ClaimKey, CountedClaim)>),
    ) -> (T, Reservation) {
        let mut state = self.state();
        state.end_leases(id, now);
        let (taken, claims) = take(&mut state.holders.entry(id).or_default().held);
        let keys: Vec<ClaimKey> = claims.iter().map(|(key, _)| *key).collect();
        state.reservations += 1;
        let reservation = state.reservations;
        keys.iter().for_each(|key| state.owners.entry(*key).or_default().push((id, reservation)));
        let claims = claims.into_iter().map(|(key, claim)| ((key, reservation), claim));
        state.holders.entry(id).or_default().claimed.extend(claims);
        (taken, Reservation { holders: Arc::clone(self), id: reservation, keys })
    }

    /// Ends claims: they are no longer counted.
    pub(crate) fn end(&self, keys: impl IntoIterator<Item = ClaimKey>) {
        let mut state = self.state();
        keys.into_iter().for_each(|key| state.end(key, |_| true));
    }

    pub(crate) fn extend(&self, key: ClaimKey, until: Millis) {
        let mut state = self.state();
        let State { holders, owners, .. } = &mut *state;
        for (id, reservation) in owners.get(&key).into_iter().flatten() {
            let claimed = holders.get_mut(id).map(|holder| &mut holder.claimed);
            if let Some(claim) = claimed.and_then(|it| it.get_mut(&(key, *reservation))) {
                claim.until = until;
            }
        }
    }

    /// Returns the time when the first lease of a holder ends.
    pub(crate) fn next_end(&self, id: HolderId) -> Option<Millis> {
        self.state().holders.get(&id)?.claimed.values().map(|claim| claim.until).min()
    }

    /// Returns the keys of the claims of a holder.
    pub(crate) fn keys(&self, id: HolderId) -> Vec<ClaimKey> {
        let state = self.state();
        state
            .holders
            .get(&id)
            .into_iter()
            .flat_map(|holder| holder.claimed.keys().map(|(key, _)| *key))
            .collect()
    }

    /// Forgets dispatchers without claims, after ending the claims whose leases are over. So one that vanished leaves
    /// nothing behind; one that only pauses is known again when it claims.
    pub(crate) fn forget_idle(&self, now: Millis) {
        let mut state = self.state();
        let ids: Vec<HolderId> = state.holders.keys().copied().collect();
        for id in ids {
            state.end_leases(id, now);
        }
        state.holders.retain(|_, holder| !holder.claimed.is_empty());
    }

    /// A panic under the lock leaves the state consistent, so a poisoned lock is used like any other.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts a claim no longer for those reservations that `is_over` says.
    fn end(&mut self, key: ClaimKey, is_over: impl Fn(ReservationId) -> bool) {
        let Some(owners) = self.owners.get_mut(&key) else { return };
        for (id, reservation) in owners.extract_if(.., |(_, reservation)| is_over(*reservation)) {
            let Some(holder) = self.holders.get_mut(&id) else { continue };
            if let Some(claim) = holder.claimed.remove(&(key, reservation)) {
                holder.held.give_back(&claim.tenant, claim.hook, claim.class);
                holder.returns += 1;
                holder.cursors = holder.cursors.map(LaneCursor::restarted);
            }
        }
        if owners.is_empty() {
            self.owners.remove(&key);
        }
    }

    fn end_leases(&mut self, id: HolderId, now: Millis) -> bool {
        let Some(holder) = self.holders.get(&id) else { return false };
        let ended = holder.claimed.iter().filter(|(_, claim)| claim.is_over(now)).map(|(key, _)| *key);
        let ended: Vec<_> = ended.collect();
        ended.iter().for_each(|(key, reservation)| self.end(*key, |it| it == *reservation));
        !ended.is_empty()
    }
}

impl Holder {
    /// Returns lanes and tenants of which the holder may have no more.
    fn full(&self, quota: &Quota) -> (Vec<LaneId>, Vec<String>) {
        let mut lanes = HashSet::new();
        let mut tenants = HashSet::new();
        for claim in self.claimed.values() {
            let room = |hook| self.held.room_in_lane(quota, &claim.tenant, hook, claim.class);
            if room(claim.hook) == 0 {
                lanes.insert(claim.lane);
            }
            // A webhook that nobody has: nothing but the limit of the tenant is left.
            if self.held.room_in_lane(quota, &claim.tenant, HookId::new(i64::MIN), LaneClass::Proven) == 0 {
                tenants.insert(claim.tenant.as_str().to_owned());
            }
        }
        (lanes.into_iter().collect(), tenants.into_iter().collect())
    }
}

impl CountedClaim {
    /// Whether its lease is over. One that ends much later was made while the database's clock was ahead.
    fn is_over(&self, now: Millis) -> bool {
        self.until <= now || self.until > now.plus(LONGEST_LEASE)
    }
}

impl Reservation {
    /// Counts claims no longer that others have made.
    pub(crate) fn give_back(&mut self, lost: impl IntoIterator<Item = ClaimKey>) {
        let lost: HashSet<ClaimKey> = lost.into_iter().collect();
        let mut state = self.holders.state();
        self.keys.extract_if(.., |key| lost.contains(key)).for_each(|key| state.end(key, |it| it == self.id));
    }

    /// Keeps the claims counted after their transaction has committed. Nobody else has them.
    pub(crate) fn keep(mut self) {
        let mut state = self.holders.state();
        self.keys.drain(..).for_each(|key| state.end(key, |it| it != self.id));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.holders.state();
        self.keys.iter().for_each(|key| state.end(*key, |it| it == self.id));
    }
}

#[cfg(test)]
mod tests {
    use hookwire::model::Timestamp;

    use super::*;
    use crate::schedule::cursor::LaneOutcome;

    const KEY: ClaimKey = (1, 1);

    fn at(millis: i64) -> Millis {
        Timestamp::from_millis(millis).into()
    }

    fn reserve(holders: &Arc<Holders>, holder: u128) -> Reservation {
        let (tenant, hook, class) = (TenantId::new("acme").unwrap(), HookId::new(1), LaneClass::Proven);
        let take = |held: &mut HeldCounts| {
            held.take(&tenant, hook, class);
            ((), vec![(KEY, CountedClaim { lane: 1, tenant: tenant.clone(), hook, class, until: at(100) })])
        };
        holders.reserve(HolderId::new(holder), at(0), take).1
    }

    /// Whether a holder with room for one claim has it free.
    fn has_room(holders: &Holders, holder: u128) -> bool {
        let (tenant, hook) = (TenantId::new("acme").ok(), HookId::new(1));
        let ring = vec![ReadyLane { id: 1, tenant, hook, readied: 0 }];
        let seen =
            [ReadyLanes { ring, ..ReadyLanes::default() }, ReadyLanes::default(), ReadyLanes::default()];
        let quota = Quota::default().with_per_webhook(1);
        !holders.with_room(HolderId::new(holder), &quota, &seen).is_empty()
    }

    /// The number of lanes that the next claim reads in turn.
    fn window(holders: &Holders, quota: &Quota) -> usize {
        holders.plan(HolderId::new(1), quota).cursors[0].window()
    }

    #[test]
    fn a_dispatcher_that_vanished_is_forgotten_when_its_leases_have_ended() {
        let holders = Arc::default();
        reserve(&holders, 1).keep();
        holders.forget_idle(at(99));
        assert_eq!(holders.keys(HolderId::new(1)), [KEY]);
        holders.forget_idle(at(100));
        let state = holders.state();
        assert!(state.holders.is_empty() && state.owners.is_empty(), "{state:?}");
    }

    #[test]
    fn what_was_lost_while_the_clock_was_ahead_takes_no_room_for_ever() {
        let holders = Arc::default();
        reserve(&holders, 1).keep();
        let years = Duration::from_secs(70 * 365 * 24 * 60 * 60);
        holders.forget_idle(at(0).minus(years));
        assert!(holders.keys(HolderId::new(1)).is_empty() && has_room(&holders, 1));
    }

    #[test]
    fn what_is_claimed_again_under_the_same_fence_counts_once() {
        let holders = Arc::default();
        reserve(&holders, 1).keep();
        reserve(&holders, 2).keep();
        assert!(holders.keys(HolderId::new(1)).is_empty() && holders.keys(HolderId::new(2)) == [KEY]);
        reserve(&holders, 2).keep();
        holders.end([KEY]);
        assert!([1, 2].into_iter().all(|holder| has_room(&holders, holder)));
        let state = holders.state();
        let mut held = state.holders.values().map(|holder| &holder.held);
        assert!(held.all(|held| format!("{held:?}") == format!("{:?}", HeldCounts::default())), "{state:?}");
    }

    #[test]
    fn one_that_loses_a_claim_leaves_it_to_who_has_it() {
        for has_committed_first in [true, false] {
            let holders = Arc::default();
            let (winner, mut loser) = (reserve(&holders, 1), reserve(&holders, 2));
            assert!([1, 2].into_iter().all(|holder| !has_room(&holders, holder)), "nobody knows yet");
            if has_committed_first {
                winner.keep();
                loser.give_back([KEY]);
            } else {
                loser.give_back([KEY]);
                winner.keep();
            }
            assert_eq!(holders.keys(HolderId::new(1)), [KEY]);
            assert!(!has_room(&holders, 1) && has_room(&holders, 2));
            holders.end([KEY]);
            assert!(has_room(&holders, 1));
        }
    }

    #[test]
    fn a_reservation_that_comes_to_nothing_ends_only_its_own() {
        let holders = Arc::default();
        let first = reserve(&holders, 1);
        reserve(&holders, 1).keep();
        drop(first);
        assert_eq!(holders.keys(HolderId::new(1)), [KEY]);
        assert!(!has_room(&holders, 1));
        drop(reserve(&holders, 2));
        assert_eq!(holders.keys(HolderId::new(1)), [KEY]);
    }

    #[test]
    fn lanes_without_room_are_looked_at_again_once_there_may_be_room() {
        let (holders, quota) = (Arc::default(), Quota::default());
        reserve(&holders, 1).keep();
        let walk = |meanwhile: &dyn Fn()| {
            let plan = holders.plan(HolderId::new(1), &quota);
            let nothing = ReadyLanes { is_whole: true, ..ReadyLanes::default() };
            meanwhile();
            let cursors = plan.cursors.map(|cursor| cursor.after(&nothing, |_| LaneOutcome::NoRoom, 0).0);
            holders.finish_scan(HolderId::new(1), &plan, cursors);
        };
        walk(&|| ());
        assert_eq!(window(&holders, &quota), 0);
        assert!(window(&holders, &quota.with_per_webhook(2)) > 0, "by another quota");
        walk(&|| holders.end([KEY]));
        assert!(window(&holders, &quota.with_per_webhook(2)) > 0, "what came back during the walk");
        reserve(&holders, 1).keep();
        walk(&|| ());
        holders.end([KEY]);
        assert!(window(&holders, &quota) > 0, "what came back");
    }
}
