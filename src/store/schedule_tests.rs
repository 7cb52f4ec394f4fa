//! Tests of the schedule over random loads: it serves the least use, so nobody gets much more than a fair share.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::claim::ClaimRequest;
use super::lease::HolderId;
use super::pace::Pace;
use super::quota::{HeldCounts, Quota};
use super::schedule::{Place, Schedule, Turn, Waiting};
use super::usage::{PlaceTime, Usage};
use crate::delivery::LaneClass;
use crate::model::{HookId, TenantId, Timestamp};

const ANA: HolderId = HolderId::new(1);
/// The longest that an attempt takes.
const LONGEST: u64 = 4_000;
const MINUTE: usize = 60;

/// A webhook that always has something due, and the time that each attempt takes.
#[derive(Clone, Debug)]
struct Hook {
    tenant: TenantId,
    hook: HookId,
    class: LaneClass,
    takes: u64,
}

/// A holder under load, with a second book of what it holds.
struct World {
    hooks: Vec<Hook>,
    quota: Quota,
    schedule: Schedule<usize>,
    held: HeldCounts,
    usage: Usage,
    /// The places by the end of their attempts.
    running: BTreeMap<(u64, u64), Place<usize>>,
    taken: u64,
    now: u64,
    /// The place-milliseconds of each tenant in each second.
    seconds: Vec<BTreeMap<TenantId, u64>>,
}

fn request(quota: Quota, start_within: Duration) -> ClaimRequest {
    let lease = Duration::from_secs(30);
    ClaimRequest { holder: ANA, lease, limit: 9, max_bytes: 9, quota, start_within }
}

impl World {
    fn new(hooks: Vec<Hook>, quota: Quota) -> Self {
        let mut schedule = Schedule::default();
        schedule.add_holder(&request(quota, Duration::ZERO), Timestamp::default());
        let mut world = Self {
            hooks,
            quota,
            schedule,
            held: HeldCounts::default(),
            usage: Usage::default(),
            running: BTreeMap::new(),
            taken: 0,
            now: 0,
            seconds: Vec::new(),
        };
        (0..world.hooks.len()).for_each(|lane| world.refill(lane));
        world
    }

    fn time(&self) -> Timestamp {
        Timestamp::default().plus(Duration::from_millis(self.now))
    }

    fn refill(&mut self, lane: usize) {
        let Hook { tenant, hook, class, .. } = self.hooks[lane].clone();
        let (pace, first_attempt) = (Pace::default(), Some(self.time()));
        let waiting = Waiting { tenant, hook, class, pace, first_attempt, retry: None };
        self.schedule.set(&lane, Some(waiting), self.time());
    }

    /// The webhooks that may be served next, found by looking at all: those of the least use among those of the
    /// tenants of the least use.
    fn least(&self) -> Vec<usize> {
        let now = self.time();
        let has_spare = self.held.has_spare(&self.quota);
        let has_room = |it: &Hook| {
            let may = has_spare || it.class == LaneClass::Proven;
            let room = self.held.room_in_class(&self.quota, it.class);
            may && room.min(self.held.room_in_lane(&self.quota, &it.tenant, it.hook, it.class)) > 0
        };
        let with_room = (0..self.hooks.len()).filter(|lane| has_room(&self.hooks[*lane]));
        let of_tenant = |lane: &usize| self.usage.of_tenant(&self.hooks[*lane].tenant, now);
        let tenants = all_least(with_room, of_tenant);
        let of_webhook = |lane: &usize| {
            let Hook { tenant, hook, .. } = &self.hooks[*lane];
            self.usage.of_webhook(tenant, *hook, now)
        };
        let is_light = |lane: &usize| self.usage.is_light(&self.hooks[*lane].tenant, now);
        let may = tenants.into_iter().filter(|lane| has_spare || is_light(lane));
        let mut by_tenant: BTreeMap<&TenantId, Vec<usize>> = BTreeMap::new();
        may.for_each(|lane| by_tenant.entry(&self.hooks[lane].tenant).or_default().push(lane));
        by_tenant.into_values().flat_map(|lanes| all_least(lanes.into_iter(), of_webhook)).collect()
    }

    /// The unproven webhooks of tenants that hold nothing, where others leave the class no room.
    fn firsts(&self) -> Vec<usize> {
        let class = LaneClass::Unproven;
        let has_room = self.held.room_in_class(&self.quota, class) > 0;
        let may = |hook: &Hook| self.held.may_be_first(&self.quota, &hook.tenant, hook.class);
        (0..self.hooks.len()).filter(|lane| !has_room && may(&self.hooks[*lane])).collect()
    }

    /// Takes the next place, and tells of which webhook.
    fn take(&mut self) -> Option<usize> {
        let now = self.time();
        let (lane, turn) = self.schedule.next(ANA, now)?;
        assert_eq!(turn, Turn::FirstAttempt);
        let Hook { tenant, hook, class, takes } = self.hooks[lane].clone();
        assert!(self.held.room(&self.quota, &tenant, hook, class) > 0, "there is room");
        let place = self.schedule.take(ANA, &lane, turn, now).expect("it waits");
        self.held.take(&tenant, hook, class);
        self.usage.take(&tenant, hook, now);
        self.taken += 1;
        self.running.insert((self.now + takes, self.taken), place);
        self.refill(lane);
        Some(lane)
    }

    /// Goes on to the end of the next attempt.
    fn advance(&mut self) {
        let ((end, _), place) = self.running.pop_first().expect("something runs");
        while self.now < end {
            let next = end.min((self.now / 1_000 + 1) * 1_000);
            let second = usize::try_from(self.now / 1_000).expect("small");
            self.seconds.resize_with(second + 1, BTreeMap::new);
            for place in self.running.values().chain([&place]) {
                *self.seconds[second].entry(place.tenant.clone()).or_default() += next - self.now;
            }
            self.now = next;
        }
        self.schedule.give_back(&place, self.time());
        self.held.give_back(&place.tenant, place.hook, place.class);
        self.usage.give_back(&place.tenant, place.hook, self.time());
    }

    /// The most that a tenant had of any minute, in place-milliseconds.
    fn most_of_a_minute(&self, tenant: &TenantId) -> u64 {
        let of = |minute: &[BTreeMap<TenantId, u64>]| -> u64 {
            minute.iter().filter_map(|second| second.get(tenant)).sum()
        };
        self.seconds.windows(MINUTE).map(of).max().unwrap_or_default()
    }
}

fn all_least(lanes: impl Iterator<Item = usize>, used: impl Fn(&usize) -> PlaceTime) -> Vec<usize> {
    let lanes: Vec<usize> = lanes.collect();
    let least = lanes.iter().map(&used).min();
    lanes.into_iter().filter(|lane| Some(used(lane)) == least).collect()
}

fn hooks() -> impl Strategy<Value = Vec<Hook>> {
    let class = prop_oneof![
        4 => Just(LaneClass::Proven),
        1 => Just(LaneClass::Unproven),
        1 => Just(LaneClass::Hanging)
    ];
    let hook = (0_u8..7, class, 200..LONGEST);
    proptest::collection::vec(hook, 1..20).prop_map(|hooks| {
        let named = hooks.into_iter().zip(1..).map(|((tenant, class, takes), hook)| {
            let tenant = TenantId::new(format!("t{tenant}")).expect("valid");
            Hook { tenant, hook: HookId::new(hook), class, takes }
        });
        named.collect()
    })
}

fn quota() -> impl Strategy<Value = Quota> {
    (1_usize..80, 1_usize..12, 1_usize..6).prop_map(|(in_all, per_tenant, per_webhook)| {
        Quota::default().with_in_all(in_all).with_per_tenant(per_tenant).with_per_webhook(per_webhook)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The lane with room and the least use is served next, except for the first place of a tenant.
    #[test]
    fn the_least_use_is_served_next(hooks in hooks(), quota in quota()) {
        let mut world = World::new(hooks, quota);
        while world.now < 45_000 {
            loop {
                let (firsts, least) = (world.firsts(), world.least());
                let Some(lane) = world.take() else {
                    prop_assert!(least.is_empty(), "one of {:?}", least);
                    break;
                };
                prop_assert!(firsts.contains(&lane) || least.contains(&lane), "{} instead of {:?}", lane, least);
            }
            world.advance();
        }
    }

    /// While all have something due, no tenant gets more of a minute than its share and the use of two quotas of
    /// places: those that it holds when the minute begins, and when it ends.
    #[test]
    fn nobody_gets_much_more_than_a_share(
        takes in proptest::collection::vec(200..LONGEST, 2..8),
        quota in quota(),
    ) {
        let tenants = u64::try_from(takes.len()).expect("small");
        let hook = |(number, takes)| Hook {
            tenant: TenantId::new(format!("t{number}")).expect("valid"),
            hook: HookId::new(1),
            class: LaneClass::Proven,
            takes,
        };
        let quota = quota.with_per_webhook(quota.per_tenant());
        let mut world = World::new((0..).zip(takes).map(hook).collect(), quota);
        while world.now < 150_000 {
            while world.take().is_some() {}
            world.advance();
        }
        let minute = 60_000 * u64::try_from(quota.in_all()).expect("small");
        let a_quota = LONGEST * u64::try_from(quota.per_tenant()).expect("small");
        for Hook { tenant, .. } in &world.hooks {
            let most = world.most_of_a_minute(tenant);
            prop_assert!(most <= minute / tenants + 2 * a_quota, "{tenant} had {most} of {minute}");
        }
    }
}

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

#[test]
fn a_lane_with_a_limit_gives_no_more_than_that() {
    let mut schedule = Schedule::default();
    schedule.add_holder(&request(Quota::default(), Duration::from_millis(100)), at(0));
    let limited = |rate, max_in_flight| Waiting { pace: Pace { rate, max_in_flight }, ..waiting() };
    let mut taken = |waiting: Waiting, now| {
        schedule.set(&1, Some(waiting.clone()), now);
        let take = || {
            let (lane, turn) = schedule.next(ANA, now)?;
            let place = schedule.take(ANA, &lane, turn, now);
            schedule.set(&1, Some(waiting.clone()), now);
            place
        };
        let held: Vec<_> = std::iter::from_fn(take).collect();
        let (timer, is_exhausted) = (schedule.next_timer(), schedule.is_exhausted());
        held.iter().for_each(|place| schedule.give_back(place, now));
        (held.len(), timer, is_exhausted, schedule.take_freed())
    };
    assert_eq!(taken(limited(None, Some(2)), at(0)), (2, None, false, true), "until one is given back");
    assert_eq!(taken(limited(Some(3), None), at(0)), (3, Some(at(1_100)), true, false));
    assert_eq!(taken(limited(Some(3), None), at(1_099)), (0, Some(at(1_100)), true, false));
    assert_eq!(taken(limited(Some(3), Some(1)), at(1_100)), (1, None, false, true));
    assert_eq!(taken(limited(Some(3), None), at(1_100)), (2, Some(at(2_200)), true, false));
}

/// A lane with a first attempt that is due.
fn waiting() -> Waiting {
    Waiting {
        tenant: TenantId::new("t1").expect("valid"),
        hook: HookId::new(1),
        class: LaneClass::Proven,
        pace: Pace::default(),
        first_attempt: Some(at(0)),
        retry: None,
    }
}

#[test]
fn every_fourth_place_is_a_retrys() {
    let mut schedule = Schedule::default();
    schedule.add_holder(&request(Quota::default(), Duration::ZERO), at(0));
    let both = Waiting { retry: Some(at(0)), ..waiting() };
    let mut turns = |waiting: &Waiting| {
        schedule.set(&1, Some(waiting.clone()), at(0));
        let (lane, turn) = schedule.next(ANA, at(0)).expect("it is ready");
        let place = schedule.take(ANA, &lane, turn, at(0)).expect("known");
        schedule.give_back(&place, at(0));
        turn
    };
    let (first, retry) = (Turn::FirstAttempt, Turn::Retry);
    assert_eq!(
        [(); 9].map(|()| turns(&both)),
        [first, first, first, retry, first, first, first, retry, first]
    );
    let later = Waiting { retry: Some(at(1)), ..waiting() };
    assert_eq!([(); 4].map(|()| turns(&later)), [first; 4], "no retry is due");
    assert_eq!(turns(&both), retry);
    let retries = Waiting { first_attempt: None, ..both };
    assert_eq!([(); 4].map(|()| turns(&retries)), [retry; 4], "no first attempt is due");
}
