//! `Holder`: the claims of one dispatcher, and the lanes that its next claim reads. Decisions of memory alone.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hookwire::model::Timestamp;
use hookwire::store::Quota;

use crate::rows::{CLASSES, LaneId};
use crate::schedule::cursor::{LaneCursor, ReadyLane, ReadyLanes};
use crate::schedule::holders::{ClaimKey, ReservationId};
use crate::schedule::places::{Place, Places};
use crate::time::Millis;

/// Longer than any lease.
const LONGEST_LEASE: Duration = Duration::from_secs(48 * 60 * 60);

/// The claims of one dispatcher, and its place along the ready lanes.
#[derive(Debug, Default)]
pub(crate) struct Holder {
    pub(crate) places: Places,
    pub(crate) claimed: HashMap<(ClaimKey, ReservationId), CountedClaim>,
    /// The cursors by class.
    cursors: [LaneCursor; 3],
    /// Lanes that its last claim has left, one of each tenant, those of the tenants that used least.
    left: Vec<Place>,
    /// Lanes whose claims were settled since they were last read, each with the number of the last return.
    returned: HashMap<LaneId, u64>,
    /// Lanes with due deliveries that were left because of their own limits.
    waiting: HashSet<LaneId>,
    /// Whether lanes were left because of limits that they share, since the cursors started.
    has_left_others: bool,
    /// The number of times that it got room back, and the last one that may be room for any lane.
    returns: u64,
    restarted: u64,
    /// The quota of its last claim, by which the cursors know where there is no room.
    quota: Quota,
}

/// A claim as it is counted.
#[derive(Clone, Debug)]
pub(crate) struct CountedClaim {
    pub(crate) place: Place,
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
    /// The tenants, and the lanes, that used most, those that used less first.
    pub(crate) tenants_by_use: Vec<String>,
    pub(crate) lanes_by_use: Vec<LaneId>,
    /// Lanes that the last claim has left, and for which there is room, and lanes that got room back since.
    pub(crate) left: Vec<LaneId>,
    returns: u64,
}

/// The outcome of a claim for the lanes that it read.
pub(crate) struct Scanned {
    pub(crate) cursors: [LaneCursor; 3],
    /// Lanes from which it could take more, one of each tenant.
    pub(crate) left: Vec<Place>,
    /// Lanes for which there was too little room.
    pub(crate) without_room: Vec<Place>,
}

impl Holder {
    /// Returns what the next claim has to read.
    pub(crate) fn plan(&mut self, quota: &Quota, now: Timestamp) -> Plan {
        if self.quota != *quota {
            self.quota = *quota;
            self.restart();
        }
        let (full_lanes, full_tenants) = self.full(quota, now);
        let (tenants_by_use, lanes_by_use) = self.places.by_use(now);
        let left = self.left.iter().filter(|place| self.places.has_room(quota, place, now));
        let left = left.map(|place| place.lane).chain(self.returned.keys().copied());
        Plan {
            cursors: self.cursors,
            has_room: CLASSES.map(|class| self.places.may_have_room_in_class(quota, class)),
            full_lanes,
            full_tenants,
            tenants_by_use,
            lanes_by_use,
            left: left.collect(),
            returns: self.returns,
        }
    }

    /// Stores the outcome of a claim. The cursors start again if room came back meanwhile that may be of any lane. Returns
    /// whether nothing is left for want of room.
    pub(crate) fn finish_scan(&mut self, plan: &Plan, scanned: Scanned) -> bool {
        let Scanned { cursors, left, without_room } = scanned;
        (self.cursors, self.left) = (cursors, left);
        self.returned.retain(|_, number| *number > plan.returns);
        if self.restarted > plan.returns {
            self.restart();
            return false;
        }
        for lane in &plan.left {
            self.waiting.remove(lane);
        }
        for place in without_room {
            if self.places.is_shared_limit_reached(&self.quota, &place) {
                self.has_left_others = true;
            } else {
                self.waiting.insert(place.lane);
            }
        }
        self.waiting.is_empty() && !self.has_left_others && self.cursors.iter().all(LaneCursor::is_done)
    }

    /// Gives back the place of a claim that was settled. If it is room for its own lane alone, the next claim reads that
    /// lane, and none of the others again.
    pub(crate) fn give_back(&mut self, place: &Place, now: Timestamp) {
        let is_for_others = self.places.is_shared_limit_reached(&self.quota, place);
        self.places.give_back(place, now);
        self.returns += 1;
        self.returned.insert(place.lane, self.returns);
        if is_for_others {
            self.restart();
        }
    }

    /// Gives back the place of a claim that was not made, or whose lease is over. Its delivery may be due in a lane that the
    /// cursors have passed.
    pub(crate) fn give_back_unsettled(&mut self, place: &Place, now: Timestamp) {
        self.give_back(place, now);
        self.restart();
    }

    /// Lets the cursors go along all lanes again, because there may be room for any of them.
    pub(crate) fn restart(&mut self) {
        self.cursors = self.cursors.map(LaneCursor::restarted);
        self.waiting.clear();
        self.has_left_others = false;
        self.restarted = self.returns;
    }

    /// Returns lanes and tenants of which the holder may have no more. A lane that waits is not read but along a cursor.
    fn full(&self, quota: &Quota, now: Timestamp) -> (Vec<LaneId>, Vec<String>) {
        let mut lanes = HashSet::new();
        let mut tenants = HashSet::new();
        let has_cursor = self.cursors.iter().any(|cursor| !cursor.is_done());
        for CountedClaim { place, .. } in self.claimed.values() {
            let may_be_read = has_cursor || !self.waiting.contains(&place.lane);
            if may_be_read && !self.places.has_room_in_lane(quota, place) {
                lanes.insert(place.lane);
            }
            if !self.places.has_room_in_tenant(quota, &place.tenant, now) {
                tenants.insert(place.tenant.as_str().to_owned());
            }
        }
        (lanes.into_iter().collect(), tenants.into_iter().collect())
    }
}

impl CountedClaim {
    /// Whether its lease is over. One that ends much later was made while the database's clock was ahead.
    pub(crate) fn is_over(&self, now: Millis) -> bool {
        self.until <= now || self.until > now.plus(LONGEST_LEASE)
    }
}

/// Returns the places of the lanes that a claim has read: lanes that became ready first, and then the others as the cursor
/// has them.
pub(crate) fn places_of(ready: &[ReadyLanes; 3]) -> impl Iterator<Item = Place> {
    CLASSES.into_iter().zip(ready).flat_map(|(class, ready)| {
        let place = move |it: &ReadyLane| {
            Some(Place { lane: it.id, tenant: it.tenant.clone()?, hook: it.hook, class })
        };
        ready.all().filter_map(place)
    })
}

#[cfg(test)]
mod tests {
    use hookwire::delivery::LaneClass;
    use hookwire::model::{HookId, TenantId};

    use proptest::prelude::*;

    use super::*;
    use crate::schedule::cursor::{LaneOutcome, MAX_FRESH};

    const NOW: Timestamp = Timestamp::from_millis(1_000);
    /// One place of a webhook, and more of a tenant than it uses.
    fn one_each() -> Quota {
        Quota::default().with_per_webhook(1)
    }

    fn place(lane: LaneId, tenant: &str) -> Place {
        let (tenant, hook) = (TenantId::new(tenant).unwrap(), HookId::new(lane));
        Place { lane, tenant, hook, class: LaneClass::Proven }
    }

    fn holding(places: &[Place]) -> Holder {
        let mut holder = Holder::default();
        places.iter().for_each(|place| holder.places.take(place, NOW));
        holder
    }

    /// Claims, and leaves lanes for want of room. Something happens between reading and the end. Returns whether nothing
    /// is left.
    fn claim(holder: &mut Holder, quota: &Quota, full: &[Place], meanwhile: impl Fn(&mut Holder)) -> bool {
        let plan = holder.plan(quota, NOW);
        let nothing = ReadyLanes { is_whole: true, ..ReadyLanes::default() };
        meanwhile(holder);
        let cursors = plan.cursors.map(|cursor| cursor.after(&nothing, |_| LaneOutcome::NoRoom, 0).0);
        holder.finish_scan(&plan, Scanned { cursors, left: Vec::new(), without_room: full.to_vec() })
    }

    /// What the next claim reads: whether it goes along the cursors, and the single lanes.
    fn read(holder: &mut Holder, quota: &Quota) -> (bool, Vec<LaneId>) {
        let plan = holder.plan(quota, NOW);
        (plan.cursors[0].window() > 0, plan.left)
    }

    #[test]
    fn a_place_that_is_room_for_its_lane_alone_lets_that_lane_be_read() {
        let (one, two) = (place(1, "acme"), place(2, "acme"));
        let mut holder = holding(&[one.clone(), two.clone()]);
        assert!(!claim(&mut holder, &one_each(), &[one.clone(), two], |_| ()));
        assert_eq!(read(&mut holder, &one_each()), (false, vec![]));
        holder.give_back(&one, NOW);
        assert_eq!(read(&mut holder, &one_each()), (false, vec![1]));
        assert!(!claim(&mut holder, &one_each(), &[], |_| ()), "the other still waits");
        assert_eq!(read(&mut holder, &one_each()), (false, vec![]));
    }

    #[test]
    fn what_comes_back_while_a_claim_reads_is_read_by_the_next() {
        let one = place(1, "acme");
        let mut holder = holding(std::slice::from_ref(&one));
        assert!(!claim(&mut holder, &one_each(), std::slice::from_ref(&one), |it| it.give_back(&one, NOW)));
        assert_eq!(read(&mut holder, &one_each()), (false, vec![1]));
        assert!(claim(&mut holder, &one_each(), &[], |_| ()), "it is served");
    }

    #[test]
    fn what_was_not_settled_may_be_behind_the_cursors() {
        let one = place(1, "acme");
        let mut holder = holding(std::slice::from_ref(&one));
        claim(&mut holder, &one_each(), &[], |_| ());
        assert!(!read(&mut holder, &one_each()).0);
        holder.give_back_unsettled(&one, NOW);
        assert!(read(&mut holder, &one_each()).0);
    }

    #[test]
    fn a_place_that_may_be_room_for_others_lets_all_be_read_again() {
        let full_tenant = Quota::default().with_per_tenant(1);
        let full = Quota::default().with_in_all(1);
        for quota in [full_tenant, full] {
            let mut holder = holding(&[place(1, "acme")]);
            let left = [place(2, "acme")];
            assert!(!claim(&mut holder, &quota, &left, |_| ()));
            assert!(!read(&mut holder, &quota).0);
            holder.give_back(&place(1, "acme"), NOW);
            assert!(read(&mut holder, &quota).0);
            holder.places.take(&place(1, "acme"), NOW);
            assert!(!claim(&mut holder, &quota, &left, |it| it.give_back(&place(1, "acme"), NOW)));
            assert!(read(&mut holder, &quota).0, "what came back while the claim read");
            assert!(claim(&mut holder, &quota, &[], |_| ()), "all is served");
        }
    }

    /// Its own limit alone does not leave it without room: unproven lanes have half of what there is in all.
    #[test]
    fn a_place_of_an_unproven_lane_may_be_room_for_all_unproven_ones() {
        let quota = Quota::default().with_in_all(4);
        let unproven = |lane| Place { class: LaneClass::Unproven, ..place(lane, "acme") };
        let mut holder = holding(&[unproven(1), unproven(2)]);
        assert!(!claim(&mut holder, &quota, &[unproven(3)], |_| ()));
        holder.give_back(&unproven(1), NOW);
        assert!(read(&mut holder, &quota).0);
    }

    /// A tenant that holds nothing has a first place where unproven lanes have no room.
    #[test]
    fn the_last_place_of_a_tenant_may_be_room_for_its_unproven_lanes() {
        let quota = Quota::default().with_in_all(64);
        let unproven = |lane, tenant| Place { class: LaneClass::Unproven, ..place(lane, tenant) };
        let mut holder = holding(&[place(1, "acme")]);
        (0..32).for_each(|_| holder.places.take(&unproven(3, "globex"), NOW));
        assert!(!claim(&mut holder, &quota, &[unproven(2, "acme")], |_| ()));
        holder.give_back(&place(1, "acme"), NOW);
        assert!(holder.places.has_room(&quota, &unproven(2, "acme"), NOW));
        assert!(read(&mut holder, &quota).0);
    }

    #[test]
    fn another_quota_lets_all_be_read_again() {
        let mut holder = holding(&[place(1, "acme")]);
        claim(&mut holder, &one_each(), &[place(1, "acme")], |_| ());
        assert!(!read(&mut holder, &one_each()).0);
        assert!(read(&mut holder, &Quota::default()).0);
    }

    #[test]
    fn lanes_that_wait_are_named_as_full_only_where_a_cursor_may_read_them() {
        let one = place(1, "acme");
        let mut holder = holding(std::slice::from_ref(&one));
        let claimed = CountedClaim { place: one.clone(), until: Millis::MAX };
        holder.claimed.insert(((1, 1), 1), claimed);
        assert_eq!(holder.plan(&one_each(), NOW).full_lanes, [1]);
        claim(&mut holder, &one_each(), &[one], |_| ());
        assert!(holder.plan(&one_each(), NOW).full_lanes.is_empty());
        holder.restart();
        assert_eq!(holder.plan(&one_each(), NOW).full_lanes, [1]);
    }

    /// Lanes with due deliveries, as the database has them, and what the holder has claimed of them.
    struct World {
        holder: Holder,
        due: Vec<usize>,
        readied: Vec<i64>,
        held: Vec<Place>,
        transactions: i64,
        quota: Quota,
    }

    impl World {
        fn place(&self, lane: usize) -> Place {
            let class = CLASSES[lane % 3];
            Place { class, ..place(i64::try_from(lane).unwrap(), &format!("t{}", lane % 11)) }
        }

        fn publish(&mut self, lane: usize) {
            self.transactions += 1;
            if self.due[lane] == 0 {
                self.readied[lane] = self.transactions;
            }
            self.due[lane] += 1;
        }

        fn settle(&mut self, number: usize) {
            if !self.held.is_empty() {
                let place = self.held.swap_remove(number % self.held.len());
                self.holder.give_back(&place, NOW);
            }
        }

        /// What a claim reads.
        fn read(&self, plan: &Plan) -> [ReadyLanes; 3] {
            [0, 1, 2].map(|class| {
                let lane = |lane: usize| {
                    let Place { lane: id, tenant, hook, .. } = self.place(lane);
                    ReadyLane { id, tenant: Some(tenant), hook, readied: self.readied[lane] }
                };
                let ready = (0..self.due.len()).filter(|lane| self.due[*lane] > 0 && lane % 3 == class);
                let ready: Vec<_> = ready.map(lane).collect();
                let cursor = &plan.cursors[class];
                let mut fresh: Vec<_> =
                    ready.iter().filter(|it| (it.readied, it.id) > cursor.since).cloned().collect();
                fresh.sort_by_key(|it| (it.readied, it.id));
                fresh.truncate(MAX_FRESH);
                let window = cursor.window();
                let (mut behind, mut ring): (Vec<_>, Vec<_>) =
                    ready.iter().cloned().partition(|it| it.id <= cursor.cursor);
                ring.truncate(window);
                let ahead = ring.len();
                ring.append(&mut behind);
                let is_whole = ahead < window && ring.len() <= window;
                ring.truncate(window);
                let left = ready.into_iter().filter(|it| plan.left.contains(&it.id)).collect();
                ReadyLanes { fresh, left, ring, ahead, is_whole, ..ReadyLanes::default() }
            })
        }

        /// Claims up to `limit` deliveries. Something happens between reading and taking. Returns whether there may be more
        /// at once, and whether nothing is left.
        fn claim(&mut self, limit: usize, meanwhile: impl Fn(&mut Self)) -> (bool, bool) {
            let plan = self.holder.plan(&self.quota, NOW);
            let read = self.read(&plan);
            meanwhile(self);
            let (mut outcomes, mut taken) = (HashMap::new(), 0);
            for place in places_of(&read) {
                let lane = usize::try_from(place.lane).unwrap();
                while taken < limit
                    && self.due[lane] > 0
                    && self.holder.places.has_room(&self.quota, &place, NOW)
                {
                    self.holder.places.take(&place, NOW);
                    self.held.push(place.clone());
                    self.due[lane] -= 1;
                    taken += 1;
                }
                let has_room = self.holder.places.has_room(&self.quota, &place, NOW);
                let outcome = match self.due[lane] {
                    0 => LaneOutcome::Served,
                    _ if has_room => LaneOutcome::Left,
                    _ => LaneOutcome::NoRoom,
                };
                outcomes.insert(place.lane, outcome);
            }
            let (mut cursors, mut has_more) = (plan.cursors, false);
            for ((cursor, read), has_room) in cursors.iter_mut().zip(&read).zip(plan.has_room) {
                if has_room {
                    let more;
                    (*cursor, more) = cursor.after(read, |id| outcomes[&id], self.transactions + 1);
                    has_more |= more;
                }
            }
            let without_room =
                places_of(&read).filter(|it| outcomes[&it.lane] == LaneOutcome::NoRoom).collect();
            let took_all =
                self.holder.finish_scan(&plan, Scanned { cursors, left: Vec::new(), without_room });
            (has_more, took_all && plan.has_room == [true; 3])
        }

        fn assert_none_is_stranded(&self) {
            for lane in (0..self.due.len()).filter(|lane| self.due[*lane] > 0) {
                let has_room = self.holder.places.has_room(&self.quota, &self.place(lane), NOW);
                assert!(!has_room, "there is room for lane {lane}, and no claim finds it");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Whatever is published, claimed and settled in whatever order: when a claim says that there is no more, all that is
        /// due is without room; and when it says that nothing is left, nothing is due.
        #[test]
        fn no_lane_with_room_is_stranded(
            in_all in 1_usize..100, per_tenant in 1_usize..40, per_webhook in 1_usize..5,
            steps in prop::collection::vec((0_u8..5, 0_usize..500), 1..200),
        ) {
            let quota = Quota::default().with_in_all(in_all).with_per_tenant(per_tenant).with_per_webhook(per_webhook);
            let mut world = World {
                holder: Holder::default(), due: vec![0; 500], readied: vec![0; 500], held: Vec::new(), transactions: 0, quota,
            };
            for (kind, number) in steps {
                match kind {
                    // To few lanes more often than to many, of one class or of all.
                    0 => {
                        let lanes = (0..number * number / 500).filter(|lane| number % 4 == 3 || lane % 3 == number % 4);
                        lanes.for_each(|lane| world.publish(lane));
                    }
                    1 => world.settle(number),
                    4 => (0..number % 128).for_each(|_| world.settle(number)),
                    2 => drop(world.claim(number % 16, |it| it.settle(number))),
                    _ => {
                        let mut claimed = (true, false);
                        while claimed.0 {
                            claimed = world.claim(64, |_| ());
                        }
                        world.assert_none_is_stranded();
                        prop_assert!(!claimed.1 || world.due.iter().all(|it| *it == 0), "it says that nothing is left");
                    }
                }
            }
        }
    }
}
