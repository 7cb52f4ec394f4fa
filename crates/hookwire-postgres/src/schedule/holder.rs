//! `Holder`: the claims of one dispatcher, and the lanes that its next claim reads. Decisions of memory alone.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hookwire::delivery::LaneClass;
use hookwire::model::Timestamp;
use hookwire::store::Quota;

use crate::rows::{CLASSES, LaneId};
use crate::schedule::cursor::{LaneCursor, ReadyLane, ReadyLanes, WINDOW};
use crate::schedule::places::{Place, Places};
use crate::time::Millis;

/// Longer than any lease.
const LONGEST_LEASE: Duration = Duration::from_secs(48 * 60 * 60);

/// The key of a claim: the id of the delivery, and the fence.
pub(crate) type ClaimKey = (i64, i64);

pub(crate) type ReservationId = u64;

/// The number of a change, by which a claim knows what has changed since it was planned.
pub(crate) type ChangeNumber = u64;

/// The claims of one dispatcher, and the lanes that its next claim reads.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) places: Places,
    pub(crate) claimed: HashMap<(ClaimKey, ReservationId), CountedClaim>,
    /// The cursors by class.
    cursors: [LaneCursor; 3],
    /// Lanes that its last claim has left, one of each tenant, those of the tenants that used least.
    left: Vec<Place>,
    /// Lanes that are read by their ids: their claims were settled, or the last claim took from them and something may have
    /// become due meanwhile. Each with the change after which it has to be read.
    named: HashMap<LaneId, ChangeNumber>,
    /// Lanes with due deliveries that were left because of their own limits.
    waiting: HashSet<LaneId>,
    /// Whether lanes were left because of limits that they share, since the cursors started.
    has_left_others: bool,
    /// The change for which the cursors last started.
    restarted: ChangeNumber,
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
    /// Lanes for which there is no room while they are of this class, and tenants. There may be others that the holder does
    /// not know.
    pub(crate) full_lanes: HashMap<LaneId, LaneClass>,
    pub(crate) full_tenants: Vec<String>,
    /// The tenants, and the lanes, that used most, those that used less first.
    pub(crate) tenants_by_use: Vec<String>,
    pub(crate) lanes_by_use: Vec<LaneId>,
    /// Lanes that are read by their ids.
    pub(crate) named: Vec<LaneId>,
    /// The last change that it knows of.
    at: ChangeNumber,
}

/// The outcome of a claim for the lanes that it read.
pub(crate) struct Scanned {
    pub(crate) cursors: [LaneCursor; 3],
    /// Lanes from which it could take more, one of each tenant.
    pub(crate) left: Vec<Place>,
    /// Lanes for which there was too little room.
    pub(crate) without_room: Vec<Place>,
    /// Lanes that it took from, or found empty. Something may have become due since it read them.
    pub(crate) touched: Vec<LaneId>,
}

impl Holder {
    /// Creates a holder that has claimed nothing, at this change.
    pub(crate) fn new(change: ChangeNumber) -> Self {
        Self {
            places: Places::default(),
            claimed: HashMap::new(),
            cursors: Default::default(),
            left: Vec::new(),
            named: HashMap::new(),
            waiting: HashSet::new(),
            has_left_others: false,
            restarted: change,
            quota: Quota::default(),
        }
    }

    /// Returns what the next claim has to read.
    pub(crate) fn plan(&mut self, quota: &Quota, now: Timestamp, at: ChangeNumber) -> Plan {
        if self.quota != *quota {
            self.quota = *quota;
            self.restart(at);
        }
        let (full_lanes, full_tenants) = self.full(quota, now);
        let (tenants_by_use, lanes_by_use) = self.places.by_use(now);
        let left = self.left.iter().filter(|place| self.places.has_room(quota, place, now));
        let named = left.map(|place| place.lane).chain(self.named.keys().copied());
        Plan {
            cursors: self.cursors,
            has_room: CLASSES.map(|class| self.places.may_have_room_in_class(quota, class)),
            full_lanes,
            full_tenants,
            tenants_by_use,
            lanes_by_use,
            named: named.collect(),
            at,
        }
    }

    /// Stores the outcome of a claim. The cursors start again if that became necessary meanwhile. Returns whether nothing is
    /// left for want of room.
    pub(crate) fn finish_scan(&mut self, plan: &Plan, scanned: Scanned) -> bool {
        let Scanned { cursors, left, without_room, touched } = scanned;
        (self.cursors, self.left) = (cursors, left);
        if self.restarted > plan.at {
            self.restart(self.restarted);
            return false;
        }
        self.named.retain(|_, change| *change > plan.at);
        for lane in touched {
            self.named.entry(lane).or_insert(plan.at);
        }
        for lane in &plan.named {
            self.waiting.remove(lane);
        }
        for place in without_room {
            if self.places.is_shared_limit_reached(&self.quota, &place) {
                self.has_left_others = true;
            } else {
                self.waiting.insert(place.lane);
            }
        }
        let has_read_all = plan.has_room == [true; 3] && self.cursors.iter().all(LaneCursor::is_done);
        has_read_all && self.waiting.is_empty() && !self.has_left_others
    }

    /// Gives back the place of a claim that was settled. If it is room for its own lane alone, the next claim reads that
    /// lane, and none of the others again.
    pub(crate) fn give_back(&mut self, place: &Place, now: Timestamp, change: ChangeNumber) {
        let is_for_others = self.places.is_shared_limit_reached(&self.quota, place);
        self.places.give_back(place, now);
        self.named.insert(place.lane, change);
        if is_for_others || self.named.len() > WINDOW {
            self.restart(change);
        }
    }

    /// Gives back the place of a claim that was not made, or whose lease is over. Its delivery may be due in a lane that the
    /// cursors have passed.
    pub(crate) fn give_back_unsettled(&mut self, place: &Place, now: Timestamp, change: ChangeNumber) {
        self.places.give_back(place, now);
        self.restart(change);
    }

    /// Lets the cursors go along all lanes again, because there may be something to take from any of them.
    pub(crate) fn restart(&mut self, change: ChangeNumber) {
        self.cursors = self.cursors.map(LaneCursor::restarted);
        self.named.clear();
        self.waiting.clear();
        self.has_left_others = false;
        self.restarted = change;
    }

    /// Returns lanes and tenants of which the holder may have no more. Most lanes that wait are not read while no cursor goes
    /// along them, and it takes time to tell the server of them.
    fn full(&self, quota: &Quota, now: Timestamp) -> (HashMap<LaneId, LaneClass>, Vec<String>) {
        let mut lanes = HashMap::new();
        let mut tenants = HashSet::new();
        let has_cursor = self.cursors.iter().any(|cursor| !cursor.is_done());
        for CountedClaim { place, .. } in self.claimed.values() {
            let may_be_read = has_cursor || !self.waiting.contains(&place.lane);
            if may_be_read && !self.places.has_room_in_lane(quota, place) {
                lanes.insert(place.lane, place.class);
            }
            if !self.places.has_room_in_tenant(quota, &place.tenant, now) {
                tenants.insert(place.tenant.as_str().to_owned());
            }
        }
        (lanes, tenants.into_iter().collect())
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
    use hookwire::model::{HookId, TenantId};

    use super::*;
    use crate::schedule::cursor::LaneOutcome;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    /// One place of a webhook, and more of a tenant than it uses.
    fn one_each() -> Quota {
        Quota::default().with_per_webhook(1)
    }

    fn place(lane: LaneId, tenant: &str) -> Place {
        let (tenant, hook) = (TenantId::new(tenant).unwrap(), HookId::new(lane));
        Place { lane, tenant, hook, class: LaneClass::Proven }
    }

    /// A holder, with the number of changes.
    struct Counted {
        holder: Holder,
        changes: ChangeNumber,
    }

    impl Counted {
        fn plan(&mut self, quota: &Quota) -> Plan {
            self.holder.plan(quota, NOW, self.changes)
        }

        fn settle(&mut self, place: &Place) {
            self.changes += 1;
            self.holder.give_back(place, NOW, self.changes);
        }

        /// Loses a claim to somebody else.
        fn lose(&mut self, place: &Place) {
            self.changes += 1;
            self.holder.give_back_unsettled(place, NOW, self.changes);
        }

        /// Forgets the holder, which has no claims, or has it go along all lanes again.
        fn tend(&mut self, is_idle: bool) {
            self.changes += 1;
            if is_idle {
                self.holder = Holder::new(self.changes);
            } else {
                self.holder.restart(self.changes);
            }
        }
    }

    fn holding(places: &[Place]) -> Counted {
        let mut holder = Holder::new(1);
        places.iter().for_each(|place| holder.places.take(place, NOW));
        Counted { holder, changes: 1 }
    }

    /// Claims, and leaves lanes for want of room. Something happens between reading and the end. Returns whether nothing
    /// is left.
    fn claim(counted: &mut Counted, quota: &Quota, full: &[Place], meanwhile: impl Fn(&mut Counted)) -> bool {
        let plan = counted.plan(quota);
        let nothing = ReadyLanes { is_whole: true, ..ReadyLanes::default() };
        meanwhile(counted);
        let cursors = plan.cursors.map(|cursor| cursor.after(&nothing, |_| LaneOutcome::NoRoom, 0).0);
        let without_room = full.to_vec();
        let scanned = Scanned { cursors, left: Vec::new(), without_room, touched: Vec::new() };
        counted.holder.finish_scan(&plan, scanned)
    }

    /// What the next claim reads: whether it goes along the cursors, and the single lanes.
    fn read(counted: &mut Counted, quota: &Quota) -> (bool, Vec<LaneId>) {
        let plan = counted.plan(quota);
        (plan.cursors[0].window() > 0, plan.named)
    }

    #[test]
    fn a_place_that_is_room_for_its_lane_alone_lets_that_lane_be_read() {
        let (one, two) = (place(1, "acme"), place(2, "acme"));
        let mut holder = holding(&[one.clone(), two.clone()]);
        assert!(!claim(&mut holder, &one_each(), &[one.clone(), two], |_| ()));
        assert_eq!(read(&mut holder, &one_each()), (false, vec![]));
        holder.settle(&one);
        assert_eq!(read(&mut holder, &one_each()), (false, vec![1]));
        assert!(!claim(&mut holder, &one_each(), &[], |_| ()), "the other still waits");
        assert_eq!(read(&mut holder, &one_each()), (false, vec![]));
    }

    #[test]
    fn what_comes_back_while_a_claim_reads_is_read_by_the_next() {
        let one = place(1, "acme");
        let mut holder = holding(std::slice::from_ref(&one));
        assert!(!claim(&mut holder, &one_each(), std::slice::from_ref(&one), |it| it.settle(&one)));
        assert_eq!(read(&mut holder, &one_each()), (false, vec![1]));
        assert!(claim(&mut holder, &one_each(), &[], |_| ()), "it is served");
    }

    #[test]
    fn what_was_not_settled_may_be_behind_the_cursors() {
        let one = place(1, "acme");
        let mut holder = holding(std::slice::from_ref(&one));
        claim(&mut holder, &one_each(), &[], |_| ());
        assert!(!read(&mut holder, &one_each()).0);
        holder.lose(&one);
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
            holder.settle(&place(1, "acme"));
            assert!(read(&mut holder, &quota).0);
            holder.holder.places.take(&place(1, "acme"), NOW);
            assert!(!claim(&mut holder, &quota, &left, |it| it.settle(&place(1, "acme"))));
            assert!(read(&mut holder, &quota).0, "what came back while the claim read");
            assert!(claim(&mut holder, &quota, &[], |_| ()), "all is served");
        }
    }

    /// Whether all lanes are read again once a claim of the first place was settled, where `left` had no room.
    fn lets_all_be_read(quota: &Quota, held: &[Place], left: &Place) -> bool {
        let mut holder = holding(held);
        assert!(!claim(&mut holder, quota, std::slice::from_ref(left), |_| ()));
        holder.settle(&held[0]);
        assert!(holder.holder.places.has_room(quota, left, NOW));
        read(&mut holder, quota).0
    }

    #[test]
    fn a_place_that_a_class_shares_may_be_room_for_all_of_it() {
        let in_class = |class, lane, tenant| Place { class, ..place(lane, tenant) };
        for (class, in_all) in [(LaneClass::Unproven, 4), (LaneClass::Hanging, 20)] {
            let held = [in_class(class, 1, "acme"), in_class(class, 2, "globex")];
            let quota = Quota::default().with_in_all(in_all);
            assert!(lets_all_be_read(&quota, &held, &in_class(class, 3, "initech")));
        }
    }

    #[test]
    fn a_place_that_makes_others_spare_may_be_room_for_all() {
        let quota = Quota::default().with_in_all(64);
        assert!(lets_all_be_read(&quota, &vec![place(1, "acme"); 60], &place(2, "globex")));
    }

    /// A tenant that holds nothing has a first place where unproven lanes have no room.
    #[test]
    fn the_last_place_of_a_tenant_may_be_room_for_its_unproven_lanes() {
        let quota = Quota::default().with_in_all(64);
        let unproven = |lane, tenant| Place { class: LaneClass::Unproven, ..place(lane, tenant) };
        let mut held = vec![unproven(3, "globex"); 33];
        held[0] = place(1, "acme");
        assert!(lets_all_be_read(&quota, &held, &unproven(2, "acme")));
    }

    #[test]
    fn a_lane_that_was_taken_from_is_read_once_more() {
        let mut holder = holding(&[]);
        claim(&mut holder, &one_each(), &[], |_| ());
        let plan = holder.plan(&one_each());
        let (cursors, touched) = (plan.cursors, vec![7]);
        let scanned = Scanned { cursors, left: Vec::new(), without_room: Vec::new(), touched };
        assert!(holder.holder.finish_scan(&plan, scanned));
        assert_eq!(read(&mut holder, &one_each()), (false, vec![7]));
        claim(&mut holder, &one_each(), &[], |_| ());
        assert_eq!(read(&mut holder, &one_each()), (false, vec![]));
    }

    #[test]
    fn many_lanes_are_read_along_the_cursors_and_not_by_their_ids() {
        let places: Vec<Place> = (1..=200).map(|lane| place(lane, &format!("t{lane}"))).collect();
        let mut holder = holding(&places);
        claim(&mut holder, &one_each(), &[], |_| ());
        places.iter().for_each(|place| holder.settle(place));
        let (is_along, named) = read(&mut holder, &one_each());
        assert!(is_along && named.len() < WINDOW);
    }

    #[test]
    fn one_that_is_forgotten_while_it_claims_reads_all_again() {
        let mut holder = holding(&[place(1, "acme")]);
        claim(&mut holder, &Quota::default(), &[place(1, "acme")], |_| ());
        claim(&mut holder, &Quota::default(), &[], |it| {
            it.settle(&place(1, "acme"));
            it.tend(true);
        });
        assert!(read(&mut holder, &Quota::default()).0);
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
        holder.holder.claimed.insert(((1, 1), 1), claimed);
        let full = HashMap::from([(1, LaneClass::Proven)]);
        assert_eq!(holder.plan(&one_each()).full_lanes, full);
        claim(&mut holder, &one_each(), &[one], |_| ());
        assert!(holder.plan(&one_each()).full_lanes.is_empty());
        holder.tend(false);
        assert_eq!(holder.plan(&one_each()).full_lanes, full);
    }
}
