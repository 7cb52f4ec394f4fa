use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookwire::delivery::LaneClass;
use hookwire::model::{HookId, TenantId};
use hookwire::store::{HeldCounts, HolderId, Quota};

use crate::rows::{CLASSES, LaneId};
use crate::turns::{Candidate, Seen, Turn};

/// A claim: the delivery and its fence.
pub(crate) type Key = (i64, i64);

/// What the dispatchers on this store have claimed, counted in memory: nobody else claims in their names.
#[derive(Debug, Default)]
pub(crate) struct Hands(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    hands: HashMap<HolderId, Hand>,
    /// Whose each claim is, and the number of the reservation that counted it.
    owners: HashMap<Key, (HolderId, u64)>,
    reservations: u64,
}

/// What one dispatcher has claimed.
#[derive(Debug, Default)]
struct Hand {
    held: HeldCounts,
    leases: HashMap<Key, Lease>,
    /// By class, once it has claimed.
    turns: Option<[Turn; 3]>,
    /// How often it claimed.
    claims: usize,
    /// How often it got room back.
    returns: u64,
    /// By which it knows what it has no room for.
    quota: Quota,
}

/// One claim of a dispatcher.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) tenant: TenantId,
    pub(crate) hook: HookId,
    /// The lane's class when it was taken: the one under which it is counted.
    pub(crate) class: LaneClass,
    /// When it ends, by the clock of the database.
    pub(crate) until: i64,
}

/// What a claim is to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) turns: [Turn; 3],
    /// Whether there is room in each class.
    pub(crate) has_room: [bool; 3],
    /// Of the claim among those of its holder.
    pub(crate) number: usize,
    returns: u64,
}

/// Claims that are counted, and are not any more if this is dropped before they are known to be made.
#[derive(Debug)]
pub(crate) struct Reserved {
    hands: Arc<Hands>,
    number: u64,
    keys: Vec<Key>,
}

impl Hands {
    /// Where the holder has room, once claims whose leases have ended no longer count, and whose turn it is. Of
    /// transactions before `oldest` everything can be seen.
    pub(crate) fn plan(&self, holder: HolderId, quota: &Quota, now: i64, oldest: i64) -> Plan {
        let mut state = self.state();
        state.end_leases(holder, now);
        let hand = state.hands.entry(holder).or_default();
        let turns = hand.turns.get_or_insert_with(|| [Turn::first(oldest); 3]);
        if hand.quota != *quota {
            hand.quota = *quota;
            *turns = turns.map(Turn::anew);
        }
        let has_room = CLASSES.map(|class| hand.held.room_in_class(quota, class) > 0);
        hand.claims = hand.claims.wrapping_add(1);
        Plan { turns: *turns, has_room, number: hand.claims, returns: hand.returns }
    }

    /// Those of the lanes for which the holder has room.
    pub(crate) fn with_room(&self, holder: HolderId, quota: &Quota, seen: &[Seen; 3]) -> HashSet<LaneId> {
        let state = self.state();
        let nothing = HeldCounts::default();
        let held = state.hands.get(&holder).map_or(&nothing, |hand| &hand.held);
        let lanes = CLASSES.into_iter().zip(seen).flat_map(|(class, seen)| {
            let lanes = seen.fresh.iter().chain(&seen.ring);
            let room = move |it: &Candidate| Some(held.room(quota, it.tenant.as_ref()?, it.hook, class));
            lanes.filter(move |it| room(it).is_some_and(|room| room > 0))
        });
        lanes.map(|it| it.id).collect()
    }

    /// The next turns. What came back meanwhile may be of lanes that had no room.
    pub(crate) fn walked(&self, holder: HolderId, plan: &Plan, turns: [Turn; 3]) {
        let mut state = self.state();
        let hand = state.hands.entry(holder).or_default();
        let is_same = hand.returns == plan.returns;
        hand.turns = Some(if is_same { turns } else { turns.map(Turn::anew) });
    }

    /// Lets `take` decide what is claimed, as far as there is room, and counts it with what it gives.
    pub(crate) fn reserve<T>(
        self: &Arc<Self>,
        holder: HolderId,
        now: i64,
        take: impl FnOnce(&mut HeldCounts) -> (T, Vec<(Key, Lease)>),
    ) -> (T, Reserved) {
        let mut state = self.state();
        state.end_leases(holder, now);
        let (taken, leases) = take(&mut state.hands.entry(holder).or_default().held);
        let keys: Vec<Key> = leases.iter().map(|(key, _)| *key).collect();
        // What was claimed under the same fence before came to nothing: the database knows of no such claim.
        keys.iter().for_each(|key| state.end(*key));
        state.hands.entry(holder).or_default().leases.extend(leases);
        state.reservations += 1;
        let number = state.reservations;
        state.owners.extend(keys.iter().map(|key| (*key, (holder, number))));
        (taken, Reserved { hands: Arc::clone(self), number, keys })
    }

    /// These claims are no longer held.
    pub(crate) fn end(&self, keys: impl IntoIterator<Item = Key>) {
        let mut state = self.state();
        keys.into_iter().for_each(|key| state.end(key));
    }

    pub(crate) fn extend(&self, key: Key, until: i64) {
        let mut state = self.state();
        let State { hands, owners, .. } = &mut *state;
        let hand = owners.get(&key).and_then(|(holder, _)| hands.get_mut(holder));
        if let Some(lease) = hand.and_then(|hand| hand.leases.get_mut(&key)) {
            lease.until = until;
        }
    }

    /// When the first of a holder's leases ends.
    pub(crate) fn next_end(&self, holder: HolderId) -> Option<i64> {
        self.state().hands.get(&holder)?.leases.values().map(|lease| lease.until).min()
    }

    /// The deliveries that a holder has claimed.
    pub(crate) fn keys(&self, holder: HolderId) -> Vec<Key> {
        let state = self.state();
        state.hands.get(&holder).into_iter().flat_map(|hand| hand.leases.keys().copied()).collect()
    }

    /// Dispatchers that stopped leave nothing behind, also without a word, once their leases have ended; those that
    /// only rest are known again when they claim.
    pub(crate) fn forget_idle(&self, now: i64) {
        let mut state = self.state();
        let holders: Vec<HolderId> = state.hands.keys().copied().collect();
        holders.into_iter().for_each(|holder| state.end_leases(holder, now));
        state.hands.retain(|_, hand| !hand.leases.is_empty());
    }

    /// Nothing is left half done when a holder of the lock panics, so a poisoned one is as good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, key: Key) {
        let Some(hand) = self.owners.remove(&key).and_then(|(holder, _)| self.hands.get_mut(&holder)) else {
            return;
        };
        if let Some(lease) = hand.leases.remove(&key) {
            hand.held.give_back(&lease.tenant, lease.hook, lease.class);
            hand.returns += 1;
            hand.turns = hand.turns.map(|turns| turns.map(Turn::anew));
        }
    }

    fn end_leases(&mut self, holder: HolderId, now: i64) {
        let Some(hand) = self.hands.get(&holder) else { return };
        let ended = hand.leases.iter().filter(|(_, lease)| lease.until <= now).map(|(key, _)| *key);
        let ended: Vec<_> = ended.collect();
        ended.into_iter().for_each(|key| self.end(key));
    }
}

impl Reserved {
    /// They are made: only whoever ends them takes them out of the count.
    pub(crate) fn keep(mut self) {
        self.keys.clear();
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut state = self.hands.state();
        for key in &self.keys {
            // Another reservation may have counted the same anew meanwhile.
            if state.owners.get(key).is_some_and(|(_, number)| *number == self.number) {
                state.end(*key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turns::Fate;

    const KEY: Key = (1, 1);

    fn reserve(hands: &Arc<Hands>, holder: u128) -> Reserved {
        let (tenant, hook, class) = (TenantId::new("acme").unwrap(), HookId::new(1), LaneClass::Proven);
        let take = |held: &mut HeldCounts| {
            held.take(&tenant, hook, class);
            ((), vec![(KEY, Lease { tenant: tenant.clone(), hook, class, until: 100 })])
        };
        hands.reserve(HolderId::new(holder), 0, take).1
    }

    /// Whether the one thing that a holder has room for is free.
    fn has_room(hands: &Hands, holder: u128) -> bool {
        let (tenant, hook) = (TenantId::new("acme").ok(), HookId::new(1));
        let ring = vec![Candidate { id: 1, tenant, hook, readied: 0 }];
        let seen = [Seen { ring, ..Seen::default() }, Seen::default(), Seen::default()];
        let quota = Quota::default().with_per_webhook(1);
        !hands.with_room(HolderId::new(holder), &quota, &seen).is_empty()
    }

    /// The lanes that are to be seen in turn.
    fn window(hands: &Hands, quota: &Quota) -> usize {
        hands.plan(HolderId::new(1), quota, 0, 0).turns[0].window()
    }

    #[test]
    fn a_dispatcher_that_vanished_is_forgotten_when_its_leases_have_ended() {
        let hands = Arc::default();
        reserve(&hands, 1).keep();
        hands.forget_idle(99);
        assert_eq!(hands.keys(HolderId::new(1)), [KEY]);
        hands.forget_idle(100);
        let state = hands.state();
        assert!(state.hands.is_empty() && state.owners.is_empty(), "{state:?}");
    }

    #[test]
    fn what_is_claimed_again_under_the_same_fence_counts_once() {
        let hands = Arc::default();
        reserve(&hands, 1).keep();
        reserve(&hands, 2).keep();
        assert!(hands.keys(HolderId::new(1)).is_empty() && hands.keys(HolderId::new(2)) == [KEY]);
        reserve(&hands, 2).keep();
        hands.end([KEY]);
        assert!([1, 2].into_iter().all(|holder| has_room(&hands, holder)));
        let state = hands.state();
        let mut held = state.hands.values().map(|hand| &hand.held);
        assert!(held.all(|held| format!("{held:?}") == format!("{:?}", HeldCounts::default())), "{state:?}");
    }

    #[test]
    fn a_reservation_that_comes_to_nothing_ends_only_its_own() {
        let hands = Arc::default();
        let first = reserve(&hands, 1);
        reserve(&hands, 1).keep();
        drop(first);
        assert_eq!(hands.keys(HolderId::new(1)), [KEY]);
        assert!(!has_room(&hands, 1));
        drop(reserve(&hands, 1));
        assert!(hands.keys(HolderId::new(1)).is_empty() && has_room(&hands, 1));
    }

    #[test]
    fn lanes_without_room_are_looked_at_again_once_there_may_be_room() {
        let (hands, quota) = (Arc::default(), Quota::default());
        reserve(&hands, 1).keep();
        let walk = |meanwhile: &dyn Fn()| {
            let plan = hands.plan(HolderId::new(1), &quota, 0, 0);
            let nothing = Seen { is_whole: true, ..Seen::default() };
            meanwhile();
            let turns = plan.turns.map(|turn| turn.after(&nothing, |_| Fate::NoRoom, 0).0);
            hands.walked(HolderId::new(1), &plan, turns);
        };
        walk(&|| ());
        assert_eq!(window(&hands, &quota), 0);
        assert!(window(&hands, &quota.with_per_webhook(2)) > 0, "by another quota");
        walk(&|| hands.end([KEY]));
        assert!(window(&hands, &quota.with_per_webhook(2)) > 0, "what came back during the walk");
        reserve(&hands, 1).keep();
        walk(&|| ());
        hands.end([KEY]);
        assert!(window(&hands, &quota) > 0, "what came back");
    }
}
