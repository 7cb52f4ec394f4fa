//! That claims find all that is due, in a world without a database: random calls of a holder, its cursors and its places.

use std::collections::HashMap;

use hookwire::model::{HookId, TenantId, Timestamp};
use hookwire::store::Quota;
use proptest::prelude::*;

use crate::rows::CLASSES;
use crate::schedule::cursor::{LaneOutcome, MAX_FRESH, ReadyLane, ReadyLanes, WINDOW};
use crate::schedule::holder::{ChangeNumber, Holder, Plan, Scanned, places_of};
use crate::schedule::places::Place;

const NOW: Timestamp = Timestamp::from_millis(1_000);
const LANES: usize = 500;
const TENANTS: usize = 11;
/// The longest round of claims that find more each time.
const MAX_CLAIMS: usize = 10_000;

/// Lanes with due deliveries, as the database has them, and what a holder has claimed of them.
struct World {
    holder: Holder,
    changes: ChangeNumber,
    quota: Quota,
    held: Vec<Place>,
    /// The number of due deliveries of each lane.
    due: Vec<usize>,
    /// The transaction in which each lane became ready.
    readied: Vec<i64>,
    transactions: i64,
}

/// The outcome of a claim.
struct Found {
    has_more: bool,
    took_all: bool,
}

impl World {
    fn new(quota: Quota) -> Self {
        let (due, readied) = (vec![0; LANES], vec![0; LANES]);
        Self { holder: Holder::new(0), changes: 0, quota, held: Vec::new(), due, readied, transactions: 0 }
    }

    fn place(lane: usize) -> Place {
        let id = i64::try_from(lane).unwrap();
        let tenant = TenantId::new(format!("t{}", lane % TENANTS)).unwrap();
        Place { lane: id, tenant, hook: HookId::new(id), class: CLASSES[lane % 3] }
    }

    /// Publishes to a lane. One that is ready stays as it is.
    fn publish(&mut self, lane: usize) {
        self.transactions += 1;
        if self.due[lane] == 0 {
            self.readied[lane] = self.transactions;
        }
        self.due[lane] += 1;
    }

    /// Publishes to few lanes more often than to many, of one class or of all.
    fn publish_many(&mut self, number: usize) {
        let lanes = (0..number * number / LANES).filter(|lane| number % 4 == 3 || lane % 3 == number % 4);
        lanes.for_each(|lane| self.publish(lane));
    }

    fn settle(&mut self, number: usize) {
        if !self.held.is_empty() {
            let place = self.held.swap_remove(number % self.held.len());
            self.changes += 1;
            self.holder.give_back(&place, NOW, self.changes);
        }
    }

    /// Loses a claim, whose delivery is due again in a lane that stayed ready.
    fn lose(&mut self, number: usize) {
        if !self.held.is_empty() {
            let place = self.held.swap_remove(number % self.held.len());
            self.changes += 1;
            self.holder.give_back_unsettled(&place, NOW, self.changes);
            self.due[usize::try_from(place.lane).unwrap()] += 1;
        }
    }

    /// Settles all, after which the holder is forgotten.
    fn forget(&mut self) {
        (0..self.held.len()).for_each(|_| self.settle(0));
        self.changes += 1;
        self.holder = Holder::new(self.changes);
    }

    /// Reads what the statement of a claim reads.
    fn read(&self, plan: &Plan) -> [ReadyLanes; 3] {
        [0, 1, 2].map(|class| {
            let lane = |lane: usize| {
                let Place { lane: id, tenant, hook, .. } = Self::place(lane);
                ReadyLane { id, tenant: Some(tenant), hook, readied: self.readied[lane] }
            };
            let ready = (0..LANES).filter(|lane| self.due[*lane] > 0 && lane % 3 == class).map(lane);
            let ready: Vec<_> = ready.collect();
            let cursor = &plan.cursors[class];
            let most = |most: usize| if plan.has_room[class] { most } else { 0 };
            let is_fresh = |it: &&ReadyLane| (it.readied, it.id) > cursor.since;
            let mut fresh: Vec<_> = ready.iter().filter(is_fresh).cloned().collect();
            fresh.sort_by_key(|it| (it.readied, it.id));
            fresh.truncate(most(MAX_FRESH));
            let (mut behind, mut ahead): (Vec<_>, Vec<_>) =
                ready.iter().cloned().partition(|it| it.id <= cursor.cursor);
            let window = most(cursor.window());
            ahead.truncate(window);
            behind.truncate(window);
            let named = ready.into_iter().filter(|it| plan.named.contains(&it.id)).collect();
            ReadyLanes { named, ..ReadyLanes::default() }.along([fresh, ahead, behind], window)
        })
    }

    /// Claims up to `limit` of the deliveries that it sees. Something happens after it has read.
    fn claim(&mut self, limit: usize, meanwhile: impl Fn(&mut Self)) -> Found {
        let plan = self.holder.plan(&self.quota, NOW, self.changes);
        let (read, seen, oldest) = (self.read(&plan), self.due.clone(), self.transactions + 1);
        meanwhile(self);
        let (mut outcomes, mut left, mut touched) = (HashMap::new(), limit, Vec::new());
        for place in places_of(&read) {
            let known = outcomes.contains_key(&place.lane);
            if !known {
                let outcome = self.take(&place, seen[usize::try_from(place.lane).unwrap()], &mut left);
                outcomes.insert(place.lane, outcome);
                touched.push(place.lane);
            }
        }
        let (mut cursors, mut has_more) = (plan.cursors, false);
        for ((cursor, read), has_room) in cursors.iter_mut().zip(&read).zip(plan.has_room) {
            if has_room {
                let more;
                (*cursor, more) = cursor.after(read, |id| outcomes[&id], oldest);
                has_more |= more;
            }
        }
        let is_full = |it: &Place| outcomes[&it.lane] == LaneOutcome::NoRoom;
        let without_room = places_of(&read).filter(is_full).collect();
        let took_all =
            self.holder.finish_scan(&plan, Scanned { cursors, left: Vec::new(), without_room, touched });
        Found { has_more, took_all }
    }

    /// Takes what was seen of a lane, as far as there is room.
    fn take(&mut self, place: &Place, seen: usize, left: &mut usize) -> LaneOutcome {
        let lane = usize::try_from(place.lane).unwrap();
        for taken in 0..seen {
            let has_room = self.holder.places.has_room(&self.quota, place, NOW);
            if !has_room {
                return LaneOutcome::NoRoom;
            }
            if *left == 0 {
                return if taken > 0 { LaneOutcome::Passed } else { LaneOutcome::Left };
            }
            self.holder.places.take(place, NOW);
            self.held.push(place.clone());
            self.due[lane] -= 1;
            *left -= 1;
        }
        LaneOutcome::Served
    }

    /// Claims until there is no more, while nothing else happens.
    fn claim_all(&mut self) -> Found {
        for _ in 0..MAX_CLAIMS {
            let found = self.claim(64, |_| ());
            if !found.has_more {
                return found;
            }
        }
        panic!("claims find more for ever");
    }

    /// Returns a lane with due deliveries for which there is room.
    fn stranded(&self) -> Option<usize> {
        let has_room = |lane: &usize| self.holder.places.has_room(&self.quota, &Self::place(*lane), NOW);
        (0..LANES).filter(|lane| self.due[*lane] > 0).find(has_room)
    }
}

#[test]
fn a_full_window_behind_the_cursor_may_not_be_all() {
    let lane = |lane: usize| {
        let Place { lane: id, tenant, hook, .. } = World::place(lane);
        ReadyLane { id, tenant: Some(tenant), hook, readied: 0 }
    };
    let is_whole = |ahead: usize, behind: usize| {
        let parts =
            [Vec::new(), (behind..behind + ahead).map(lane).collect(), (0..behind).map(lane).collect()];
        ReadyLanes::default().along(parts, WINDOW).is_whole
    };
    assert!(!is_whole(0, WINDOW) && !is_whole(WINDOW, 0) && !is_whole(WINDOW - 1, 1));
    assert!(is_whole(0, WINDOW - 1) && is_whole(1, WINDOW - 2) && is_whole(0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever is published, claimed, settled and lost in whatever order: when a claim says that there is no more, all that
    /// is due is without room; and when it says that nothing is left for want of room, nothing is due.
    #[test]
    fn no_lane_with_room_is_stranded(
        in_all in 1_usize..100,
        per_tenant in 1_usize..40,
        per_webhook in 1_usize..5,
        steps in prop::collection::vec((0_u8..8, 0..LANES), 1..200),
    ) {
        let quota = Quota::default().with_in_all(in_all).with_per_tenant(per_tenant);
        let mut world = World::new(quota.with_per_webhook(per_webhook));
        for (kind, number) in steps {
            match kind {
                0 => world.publish_many(number),
                1 => world.settle(number),
                2 => (0..number % 128).for_each(|_| world.settle(number)),
                3 => drop(world.claim(number % 16, |it| it.settle(number))),
                4 => drop(world.claim(64, |it| it.publish(number % 16))),
                5 => drop(world.claim(number % 16, World::forget)),
                6 => drop(world.claim(number % 16, |it| it.lose(number))),
                _ => {
                    let found = world.claim_all();
                    prop_assert_eq!(world.stranded(), None, "no claim finds it");
                    let is_empty = world.due.iter().all(|it| *it == 0);
                    prop_assert!(!found.took_all || is_empty, "it says that nothing is left");
                }
            }
        }
    }
}
