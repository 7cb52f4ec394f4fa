//! `Holders`: what each dispatcher has claimed, counted in memory.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookwire::model::Timestamp;
use hookwire::store::{HolderId, Quota};
use tokio::time::Instant;

use crate::schedule::cursor::ReadyLanes;
use crate::schedule::holder::{
    ChangeNumber, ClaimKey, CountedClaim, Holder, Plan, ReservationId, Scanned, places_of,
};
use crate::schedule::places::{Place, Places};
use crate::schedule::use_clock::UseClock;
use crate::time::Millis;

/// The claims of the dispatchers on this store, counted in memory. Other stores do not claim for these dispatchers.
#[derive(Debug, Default)]
pub(crate) struct Holders(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    holders: HashMap<HolderId, Holder>,
    /// Who counts each claim: more than one while several try to make it.
    owners: HashMap<ClaimKey, Vec<(HolderId, ReservationId)>>,
    reservations: ReservationId,
    /// The number of times that a holder got a place back, or that idle ones were forgotten.
    changes: ChangeNumber,
    clock: UseClock,
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
        let now = state.now();
        let at = state.changes;
        state.holder(id).plan(quota, now, at)
    }

    /// Ends the claims whose leases are over, and returns whether there were any.
    pub(crate) fn end_leases(&self, id: HolderId, now: Millis) -> bool {
        self.state().end_leases(id, now)
    }

    /// Returns those of the lanes for which the holder has room, in the order in which they are served.
    pub(crate) fn in_turn(
        &self,
        id: HolderId,
        quota: &Quota,
        ready: &[ReadyLanes; 3],
        now: Millis,
    ) -> Vec<Place> {
        let mut state = self.state();
        let now = state.advance_to(now);
        let places = &state.holder(id).places;
        let with_room = places_of(ready).filter(|place| places.has_room(quota, place, now));
        let mut known = HashSet::new();
        let mut with_room: Vec<_> = with_room.filter(|place| known.insert(place.lane)).collect();
        // Those of equal rank stay in their order.
        with_room.sort_by_cached_key(|it| places.rank(it.lane, &it.tenant, it.hook, now));
        with_room
    }

    /// Stores the outcome of a claim. Returns whether nothing is left for want of room.
    pub(crate) fn finish_scan(&self, id: HolderId, plan: &Plan, scanned: Scanned) -> bool {
        self.state().holder(id).finish_scan(plan, scanned)
    }

    /// Counts the claims that `take` decides on. It gets the places of the holder, which say where there is room.
    pub(crate) fn reserve<T>(
        self: &Arc<Self>,
        id: HolderId,
        now: Millis,
        take: impl FnOnce(&mut Places, Timestamp) -> (T, Vec<(ClaimKey, CountedClaim)>),
    ) -> (T, Reservation) {
        let mut state = self.state();
        state.end_leases(id, now);
        let now = state.now();
        let (taken, claims) = take(&mut state.holder(id).places, now);
        let keys: Vec<ClaimKey> = claims.iter().map(|(key, _)| *key).collect();
        state.reservations += 1;
        let reservation = state.reservations;
        keys.iter().for_each(|key| state.owners.entry(*key).or_default().push((id, reservation)));
        let claims = claims.into_iter().map(|(key, claim)| ((key, reservation), claim));
        state.holder(id).claimed.extend(claims);
        (taken, Reservation { holders: Arc::clone(self), id: reservation, keys })
    }

    /// Ends claims that were settled: they are no longer counted.
    pub(crate) fn end(&self, keys: impl IntoIterator<Item = ClaimKey>) {
        let mut state = self.state();
        keys.into_iter().for_each(|key| state.end(key, |_| true, Holder::give_back));
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
    /// nothing behind; one that only pauses is known again when it claims. The others go along all lanes again, so that
    /// nothing that they should have read waits for longer.
    pub(crate) fn forget_idle(&self, now: Millis) {
        let mut state = self.state();
        let ids: Vec<HolderId> = state.holders.keys().copied().collect();
        for id in ids {
            state.end_leases(id, now);
        }
        state.holders.retain(|_, holder| !holder.claimed.is_empty());
        state.changes += 1;
        let State { holders, changes, .. } = &mut *state;
        holders.values_mut().for_each(|holder| holder.restart(*changes));
    }

    /// A panic under the lock leaves the state consistent, so a poisoned lock is used like any other.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the holder. Forgetting it is a change, so that a claim that was planned before knows that it is a new one.
    fn holder(&mut self, id: HolderId) -> &mut Holder {
        self.holders.entry(id).or_insert_with(|| Holder::new(self.changes))
    }

    /// Records the database's time, and returns the present time.
    fn advance_to(&mut self, now: Millis) -> Timestamp {
        self.clock.advance_to(now, Instant::now())
    }

    fn now(&mut self) -> Timestamp {
        self.clock.now(Instant::now())
    }

    /// Counts a claim no longer for those reservations that `is_over` says.
    fn end(
        &mut self,
        key: ClaimKey,
        is_over: impl Fn(ReservationId) -> bool,
        give_back: fn(&mut Holder, &Place, Timestamp, ChangeNumber),
    ) {
        let now = self.now();
        let Some(owners) = self.owners.get_mut(&key) else { return };
        for (id, reservation) in owners.extract_if(.., |(_, reservation)| is_over(*reservation)) {
            let Some(holder) = self.holders.get_mut(&id) else { continue };
            if let Some(claim) = holder.claimed.remove(&(key, reservation)) {
                self.changes += 1;
                give_back(holder, &claim.place, now, self.changes);
            }
        }
        if owners.is_empty() {
            self.owners.remove(&key);
        }
    }

    fn end_leases(&mut self, id: HolderId, now: Millis) -> bool {
        self.advance_to(now);
        let Some(holder) = self.holders.get(&id) else { return false };
        let ended = holder.claimed.iter().filter(|(_, claim)| claim.is_over(now)).map(|(key, _)| *key);
        let ended: Vec<_> = ended.collect();
        ended.iter().for_each(|(key, reservation)| {
            self.end(*key, |it| it == *reservation, Holder::give_back_unsettled)
        });
        !ended.is_empty()
    }
}

impl Reservation {
    /// Counts claims no longer that others have made.
    pub(crate) fn give_back(&mut self, lost: impl IntoIterator<Item = ClaimKey>) {
        let lost: HashSet<ClaimKey> = lost.into_iter().collect();
        let mut state = self.holders.state();
        self.keys
            .extract_if(.., |key| lost.contains(key))
            .for_each(|key| state.end(key, |it| it == self.id, Holder::give_back_unsettled));
    }

    /// Keeps the claims counted after their transaction has committed. Nobody else has them.
    pub(crate) fn keep(mut self) {
        let mut state = self.holders.state();
        self.keys.drain(..).for_each(|key| state.end(key, |it| it != self.id, Holder::give_back_unsettled));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.holders.state();
        self.keys.iter().for_each(|key| state.end(*key, |it| it == self.id, Holder::give_back_unsettled));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hookwire::delivery::LaneClass;
    use hookwire::model::{HookId, TenantId};

    use super::*;
    use crate::rows::LaneId;
    use crate::schedule::cursor::{LaneOutcome, ReadyLane};

    const KEY: ClaimKey = (1, 1);

    fn at(millis: i64) -> Millis {
        Timestamp::from_millis(millis).into()
    }

    fn reserve(holders: &Arc<Holders>, holder: u128) -> Reservation {
        let (tenant, hook, class) = (TenantId::new("acme").unwrap(), HookId::new(1), LaneClass::Proven);
        let place = Place { lane: 1, tenant, hook, class };
        let take = |places: &mut Places, now| {
            places.take(&place, now);
            ((), vec![(KEY, CountedClaim { place: place.clone(), until: at(100) })])
        };
        holders.reserve(HolderId::new(holder), at(0), take).1
    }

    /// The ready lanes of two tenants, each with the number of its webhook.
    fn ready() -> [ReadyLanes; 3] {
        let lane = |(id, name)| {
            let tenant = TenantId::new(name).ok();
            ReadyLane { id, tenant, hook: HookId::new(id), readied: 0 }
        };
        let ring = [(1, "acme"), (2, "acme"), (3, "globex")].into_iter().map(lane).collect();
        [ReadyLanes { ring, ..ReadyLanes::default() }, ReadyLanes::default(), ReadyLanes::default()]
    }

    fn in_turn(holders: &Holders, holder: u128, now: Millis) -> Vec<LaneId> {
        let quota = Quota::default().with_per_webhook(1);
        let in_turn = holders.in_turn(HolderId::new(holder), &quota, &ready(), now);
        in_turn.iter().map(|place| place.lane).collect()
    }

    /// Whether a holder with room for one claim has it free.
    fn has_room(holders: &Holders, holder: u128) -> bool {
        in_turn(holders, holder, at(0)).contains(&1)
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
    fn a_dispatcher_that_goes_on_reads_all_lanes_again() {
        let (holders, quota, id) = (Arc::default(), Quota::default(), HolderId::new(1));
        reserve(&holders, 1).keep();
        let plan = holders.plan(id, &quota);
        let whole = ReadyLanes { is_whole: true, ..ReadyLanes::default() };
        let cursors = plan.cursors.map(|cursor| cursor.after(&whole, |_| LaneOutcome::Served, 0).0);
        let scanned = Scanned { cursors, left: Vec::new(), without_room: Vec::new(), touched: Vec::new() };
        assert!(holders.finish_scan(id, &plan, scanned));
        assert_eq!(holders.plan(id, &quota).cursors[0].window(), 0);
        holders.forget_idle(at(99));
        assert!(holders.plan(id, &quota).cursors[0].window() > 0);
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
        assert!(state.holders.values().all(|holder| holder.claimed.is_empty()), "{state:?}");
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
    fn who_used_least_is_served_first() {
        let holders = Arc::default();
        assert_eq!(in_turn(&holders, 1, at(0)), [1, 2, 3], "as they are read");
        reserve(&holders, 1).keep();
        assert_eq!(in_turn(&holders, 1, at(10)), [3, 2], "one is full");
        holders.end([KEY]);
        assert_eq!(in_turn(&holders, 1, at(10)), [3, 2, 1]);
        assert_eq!(in_turn(&holders, 2, at(10)), [1, 2, 3], "another has used nothing");
    }
}
