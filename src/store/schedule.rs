//! Picks which tenant is served next, and which of its lanes. `MemoryStore` and the SQLite store share it.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use super::claim::ClaimRequest;
use super::lease::HolderId;
use super::pace::{Pace, Slots};
use super::quota::{HeldCounts, Quota};
use super::ready::{CLASSES, Ready};
use super::usage::{PlaceTime, Usage};
use crate::delivery::LaneClass;
use crate::model::{HookId, TenantId, Timestamp};

/// The number of first attempts after which a retry that is due comes before the next.
const FIRSTS_IN_A_ROW: u8 = 3;
/// How long a holder that holds nothing and claims nothing is remembered.
const REMEMBER: Duration = Duration::from_secs(5 * 60);

/// The lanes with waiting deliveries, in serving order, and the places that each holder has taken.
///
/// The next tenant is the one with the least use of places in about the last minute, and so is the next of its lanes.
/// Those of equal use take turns. Lanes without room are not looked at, so a backlog costs a claim nothing.
#[derive(Debug)]
pub(super) struct Schedule<L> {
    lanes: HashMap<L, Lane>,
    /// When lanes that have nothing to give now will have something.
    timers: BTreeSet<(Timestamp, L)>,
    holders: HashMap<HolderId, Holder<L>>,
    /// The slots that are taken of lanes with a rate.
    slots: HashMap<L, Slots>,
    /// The time before which lanes with a rate give nothing.
    rates_from: Timestamp,
    /// Whether a full lane has room again.
    is_freed: bool,
}

/// An enabled lane in which deliveries wait, and when it gives the first of each kind. At least one is known.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) tenant: TenantId,
    pub(super) hook: HookId,
    pub(super) class: LaneClass,
    pub(super) pace: Pace,
    pub(super) first_attempt: Option<Timestamp>,
    pub(super) retry: Option<Timestamp>,
}

/// Which of the deliveries of a lane is served. What was recovered counts as a retry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    FirstAttempt,
    Retry,
}

/// A place that a delivery takes of a holder's quota, until it is given back.
#[derive(Clone, Debug)]
pub(super) struct Place<L> {
    pub(super) holder: HolderId,
    pub(super) lane: L,
    pub(super) tenant: TenantId,
    pub(super) hook: HookId,
    /// The class of the lane when the place was taken.
    pub(super) class: LaneClass,
}

#[derive(Debug)]
struct Lane {
    waiting: Waiting,
    /// When it gives something, if it gives nothing now.
    timer: Option<Timestamp>,
    /// Whether as many of its deliveries are held as may be, by all holders together.
    is_full: bool,
    /// The first attempts since the last retry.
    firsts: u8,
}

#[derive(Debug)]
struct Holder<L> {
    quota: Quota,
    start_within: Duration,
    held: HeldCounts,
    usage: Usage,
    ready: Ready<L>,
    seen: Timestamp,
}

impl Waiting {
    fn when(&self) -> Timestamp {
        let first = [self.first_attempt, self.retry].into_iter().flatten().min();
        first.unwrap_or(Timestamp::from_millis(i64::MAX))
    }
}

impl Lane {
    const fn is_ready(&self) -> bool {
        self.timer.is_none() && !self.is_full
    }

    fn turn(&self, now: Timestamp) -> Turn {
        let is_due = |when: Option<Timestamp>| when.is_some_and(|when| when <= now);
        let retry_is_due = is_due(self.waiting.retry);
        match is_due(self.waiting.first_attempt) {
            true if self.firsts < FIRSTS_IN_A_ROW || !retry_is_due => Turn::FirstAttempt,
            false if !retry_is_due => Turn::FirstAttempt,
            _ => Turn::Retry,
        }
    }
}

impl<L: Clone + Eq + Hash + Ord> Schedule<L> {
    /// Sets the entry of a lane. A lane that was ready and still is keeps its turn.
    pub(super) fn set(&mut self, lane: &L, waiting: Option<Waiting>, now: Timestamp) {
        let Some(waiting) = waiting else { return self.forget(lane) };
        let is_full = self.is_full(&waiting);
        let timer = Some(self.when(lane, &waiting)).filter(|when| *when > now && !is_full);
        let firsts = self.lanes.get(lane).map_or(0, |old| old.firsts);
        self.clear_timer(lane);
        let entry = Lane { waiting, timer, is_full, firsts };
        for holder in self.holders.values_mut() {
            match entry.is_ready() {
                false => holder.ready.remove(lane),
                true => holder.ready.add(lane, &entry.waiting.tenant, entry.waiting.class),
            }
        }
        self.timers.extend(timer.map(|when| (when, lane.clone())));
        self.lanes.insert(lane.clone(), entry);
    }

    /// Returns when a lane gives something next, by its deliveries and its rate.
    fn when(&self, lane: &L, waiting: &Waiting) -> Timestamp {
        let free_at =
            |rate| self.slots.get(lane).and_then(|slots| slots.free_at(rate)).max(Some(self.rates_from));
        let has_something = waiting.when();
        waiting.pace.rate.and_then(free_at).map_or(has_something, |free| free.max(has_something))
    }

    /// Returns whether as many of a lane's deliveries are held as may be.
    fn is_full(&self, waiting: &Waiting) -> bool {
        let Some(most) = waiting.pace.max_in_flight else { return false };
        let held = self.holders.values().map(|it| it.held.of_webhook(&waiting.tenant, waiting.hook));
        held.sum::<usize>() >= usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// Blocks lanes with a rate until `from`: requests that were claimed before the opening may begin until then.
    #[cfg(feature = "sqlite")]
    pub(super) fn keep_rates_until(&mut self, from: Timestamp) {
        self.rates_from = from;
    }

    /// Returns whether a lane has given room back since the last call that had none for any holder.
    pub(super) fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.is_freed)
    }

    fn forget(&mut self, lane: &L) {
        self.clear_timer(lane);
        self.lanes.remove(lane);
        self.holders.values_mut().for_each(|holder| holder.ready.remove(lane));
    }

    fn clear_timer(&mut self, lane: &L) {
        let timer = self.lanes.get_mut(lane).and_then(|it| it.timer.take());
        if let Some(when) = timer {
            self.timers.remove(&(when, lane.clone()));
        }
    }

    /// Readies the lanes whose time has come.
    fn fire_timers(&mut self, now: Timestamp) {
        while self.timers.first().is_some_and(|(when, _)| *when <= now) {
            let Some((_, lane)) = self.timers.pop_first() else { break };
            let Some(entry) = self.lanes.get_mut(&lane) else { continue };
            entry.timer = None;
            for holder in self.holders.values_mut() {
                holder.ready.add(&lane, &entry.waiting.tenant, entry.waiting.class);
            }
        }
    }

    /// Returns when the next lane will have something that has nothing now.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(when, _)| *when)
    }

    /// Returns whether no lane has something to give now. Some may when there is no room for it.
    pub(super) fn is_exhausted(&self) -> bool {
        // Each lane that waits for its time has one timer.
        self.lanes.len() == self.timers.len()
    }

    /// Returns the lane that is served next for this holder, and which of its deliveries.
    pub(super) fn next(&mut self, holder: HolderId, now: Timestamp) -> Option<(L, Turn)> {
        self.fire_timers(now);
        let lane = self.holders.get_mut(&holder)?.next(&self.lanes, now)?;
        let turn = self.lanes.get(&lane)?.turn(now);
        Some((lane, turn))
    }

    /// Returns the lane of one tenant that is served next, and which of its deliveries. It looks at every lane.
    pub(super) fn next_of(
        &mut self,
        holder: HolderId,
        tenant: &TenantId,
        now: Timestamp,
    ) -> Option<(L, Turn)> {
        self.fire_timers(now);
        self.holders.get_mut(&holder)?.advance(now);
        let of_tenant = self.lanes.iter().filter(|(_, entry)| entry.waiting.tenant == *tenant);
        let lane = of_tenant.map(|(lane, _)| lane).filter(|lane| self.may_take(holder, lane, now)).min()?;
        Some((lane.clone(), self.lanes.get(lane)?.turn(now)))
    }

    /// Returns whether a holder may take what is due in this lane at once, because a place is free for it.
    pub(super) fn may_take(&self, holder: HolderId, lane: &L, now: Timestamp) -> bool {
        let (Some(holder), Some(entry)) = (self.holders.get(&holder), self.lanes.get(lane)) else {
            return false;
        };
        let Waiting { tenant, hook, class, .. } = &entry.waiting;
        let has_room = holder.held.room(&holder.quota, tenant, *hook, *class) > 0;
        let has_place = holder.held.has_spare(&holder.quota)
            || *class == LaneClass::Proven && holder.usage.is_light(tenant, now)
            || holder.held.may_be_first(&holder.quota, tenant, *class);
        entry.is_ready() && !entry.waiting.pace.is_limited() && has_room && has_place
    }

    /// Takes a place for a delivery of a lane, whose turn and whose tenant's turn end. The entry of the lane has to be
    /// set to what still waits. `None` if nothing waits there, or the holder is not known.
    pub(super) fn take(&mut self, id: HolderId, lane: &L, turn: Turn, now: Timestamp) -> Option<Place<L>> {
        let (holder, entry) = (self.holders.get_mut(&id)?, self.lanes.get_mut(lane)?);
        entry.firsts = match turn {
            Turn::FirstAttempt => entry.firsts.saturating_add(1),
            Turn::Retry => 0,
        };
        let Waiting { tenant, hook, class, pace, .. } = entry.waiting.clone();
        if pace.rate.is_some() {
            self.slots.entry(lane.clone()).or_default().take(holder.start_within, now);
        }
        holder.advance(now);
        holder.held.take(&tenant, hook, class);
        holder.usage.take(&tenant, hook, now);
        holder.ready.end_turn(lane);
        Some(Place { holder: id, lane: lane.clone(), tenant, hook, class })
    }

    /// Gives a place back. It may be room for this lane, and for any of its tenant.
    pub(super) fn give_back(&mut self, place: &Place<L>, now: Timestamp) {
        let Place { lane, tenant, .. } = place;
        let Some(holder) = self.holders.get_mut(&place.holder) else { return };
        holder.advance(now);
        holder.held.give_back(tenant, place.hook, place.class);
        holder.usage.give_back(tenant, place.hook, now);
        holder.ready.list(tenant);
        let Some(entry) = self.lanes.get(lane) else { return };
        if entry.is_full {
            let waiting = entry.waiting.clone();
            self.is_freed = true;
            self.set(lane, Some(waiting), now);
        } else if entry.is_ready() {
            holder.ready.add(lane, tenant, entry.waiting.class);
        }
    }

    /// Adds a holder, or changes its quota. Every lane that gives something is then ready for it.
    pub(super) fn add_holder(&mut self, request: &ClaimRequest, now: Timestamp) {
        let ClaimRequest { holder: id, quota, start_within, .. } = *request;
        let is_known = self.holders.contains_key(&id);
        let holder = self.holders.entry(id).or_default();
        // Room in all is asked when it is claimed, so the turns stay as they are when it changes.
        let keeps_turns = is_known && holder.quota.with_in_all(quota.in_all()) == quota;
        (holder.quota, holder.start_within, holder.seen) = (quota, start_within, now);
        if keeps_turns {
            return;
        }
        holder.ready = Ready::default();
        let ready = self.lanes.iter().filter(|(_, entry)| entry.is_ready());
        let mut ready: Vec<_> = ready.map(|(lane, entry)| (entry.waiting.when(), lane, entry)).collect();
        // Their first turns are not left to the order of a hash map, so that a simulated run repeats.
        ready.sort_unstable_by_key(|(when, lane, _)| (*when, (*lane).clone()));
        for (_, lane, Lane { waiting, .. }) in ready {
            holder.ready.add(lane, &waiting.tenant, waiting.class);
        }
    }

    /// Forgets a holder that has stopped.
    pub(super) fn remove_holder(&mut self, id: HolderId) {
        self.holders.remove(&id);
    }

    /// Forgets holders that have not claimed for long and hold nothing. When they claim again they are known again.
    pub(super) fn forget_idle_holders(&mut self, now: Timestamp) {
        self.holders.retain(|_, it| it.held.total() > 0 || now.since(it.seen) < REMEMBER);
        self.slots.retain(|_, slots| slots.is_taken(now));
    }
}

impl<L> Default for Schedule<L> {
    fn default() -> Self {
        Self {
            lanes: HashMap::new(),
            timers: BTreeSet::new(),
            holders: HashMap::new(),
            slots: HashMap::new(),
            rates_from: Timestamp::from_millis(i64::MIN),
            is_freed: false,
        }
    }
}

impl<L> Default for Holder<L> {
    fn default() -> Self {
        Self {
            quota: Quota::default(),
            start_within: Duration::ZERO,
            held: HeldCounts::default(),
            usage: Usage::default(),
            ready: Ready::default(),
            seen: Timestamp::default(),
        }
    }
}

impl<L: Clone + Eq + Hash + Ord> Holder<L> {
    /// The first lane with room. What has none is taken out on the way, until a place is given back.
    fn next(&mut self, lanes: &HashMap<L, Lane>, now: Timestamp) -> Option<L> {
        self.advance(now);
        self.first_of_a_tenant(lanes, now).or_else(|| self.next_with_room(lanes, now))
    }

    /// The lane of a tenant that holds nothing, where others leave its class no room.
    fn first_of_a_tenant(&mut self, lanes: &HashMap<L, Lane>, now: Timestamp) -> Option<L> {
        const CLASS: LaneClass = LaneClass::Unproven;
        let (held, quota, usage) = (&self.held, &self.quota, &self.usage);
        if held.room_in_class(quota, CLASS) > 0 || !held.has_first_places(quota) {
            return None;
        }
        let holds = |it: &TenantId| held.of_tenant(it) > 0;
        let tenant = self.ready.first_newcomer(holds, |it| usage.of_tenant(it, now))?;
        self.ready
            .first_lane(&tenant, std::iter::once(CLASS), |lane| used_by_lane(usage, lanes.get(lane), now))
    }

    fn next_with_room(&mut self, lanes: &HashMap<L, Lane>, now: Timestamp) -> Option<L> {
        let (held, quota) = (&self.held, &self.quota);
        let has_spare = held.has_spare(quota);
        let has_room = |class: &LaneClass| {
            (has_spare || *class == LaneClass::Proven) && held.room_in_class(quota, *class) > 0
        };
        loop {
            let classes = CLASSES.into_iter().filter(has_room);
            let tenant = self.ready.first_tenant(classes, |it| self.usage.of_tenant(it, now))?;
            if !has_spare && !self.usage.is_light(&tenant, now) {
                // The others have used more still.
                return None;
            }
            let fits = |class: &LaneClass| held.room_in_tenant(quota, &tenant, *class) > 0;
            let full = CLASSES.into_iter().filter(has_room).filter(|class| !fits(class));
            full.for_each(|class| self.ready.unlist(&tenant, class));
            let with_room = CLASSES.into_iter().filter(has_room).filter(fits);
            let used = |lane: &L| used_by_lane(&self.usage, lanes.get(lane), now);
            let Some(lane) = self.ready.first_lane(&tenant, with_room, used) else { continue };
            let Some(Lane { waiting, .. }) = lanes.get(&lane) else {
                self.ready.remove(&lane);
                continue;
            };
            if held.room_in_lane(quota, &tenant, waiting.hook, waiting.class) > 0 {
                return Some(lane);
            }
            self.ready.remove(&lane);
        }
    }

    fn advance(&mut self, now: Timestamp) {
        if self.usage.advance(now) {
            self.ready.read_anew();
        }
    }
}

/// The use of a lane's webhook, which is none if the lane is not known.
fn used_by_lane(usage: &Usage, lane: Option<&Lane>, now: Timestamp) -> PlaceTime {
    lane.map(|it| usage.of_webhook(&it.waiting.tenant, it.waiting.hook, now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: HolderId = HolderId::new(1);
    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn after(millis: u64) -> Timestamp {
        NOW.plus(Duration::from_millis(millis))
    }

    /// A lane of the tenant `lane / 100` with a first attempt that is due.
    fn waiting(lane: i64) -> Waiting {
        let tenant = TenantId::new(format!("t{}", lane / 100)).expect("valid");
        let (hook, class) = (HookId::new(lane), LaneClass::Proven);
        Waiting { tenant, hook, class, pace: Pace::default(), first_attempt: Some(NOW), retry: None }
    }

    fn request(quota: Quota) -> ClaimRequest {
        let (lease, start_within) = (Duration::from_secs(30), Duration::from_millis(100));
        ClaimRequest { holder: ANA, lease, limit: 9, max_bytes: 9, quota, start_within }
    }

    fn schedule(lanes: &[i64], quota: Quota) -> Schedule<i64> {
        let mut schedule = Schedule::default();
        lanes.iter().for_each(|lane| schedule.set(lane, Some(waiting(*lane)), NOW));
        schedule.add_holder(&request(quota), NOW);
        schedule
    }

    /// Takes the next place, of a lane that has more.
    fn take(schedule: &mut Schedule<i64>, now: Timestamp) -> Option<Place<i64>> {
        let (lane, turn) = schedule.next(ANA, now)?;
        let place = schedule.take(ANA, &lane, turn, now);
        schedule.set(&lane, Some(waiting(lane)), now);
        place
    }

    fn lanes(schedule: &mut Schedule<i64>, count: usize, now: Timestamp) -> Vec<i64> {
        (0..count).map_while(|_| take(schedule, now)).map(|place| place.lane).collect()
    }

    #[test]
    fn of_equal_use_tenants_take_turns_and_within_each_its_lanes() {
        let mut schedule = schedule(&[101, 102, 201], Quota::default());
        assert_eq!(lanes(&mut schedule, 6, NOW), [101, 201, 102, 201, 101, 201]);
    }

    #[test]
    fn the_tenant_with_the_least_use_is_next_and_within_it_the_lane() {
        let mut schedule = schedule(&[101, 102, 201], Quota::default());
        let held: Vec<_> = (0..3).filter_map(|_| take(&mut schedule, NOW)).collect();
        assert_eq!(held.iter().map(|place| place.lane).collect::<Vec<_>>(), [101, 201, 102]);
        schedule.give_back(&held[1], after(10));
        assert_eq!(lanes(&mut schedule, 2, after(11)), [201, 201], "it used half as much");
        schedule.give_back(&held[0], after(20));
        assert_eq!(lanes(&mut schedule, 1, after(40)), [101], "it held nothing for a while");
    }

    #[test]
    fn lanes_and_tenants_without_room_are_not_looked_at_again() {
        let few = Quota::default().with_per_tenant(20).with_per_webhook(1);
        let all: Vec<i64> =
            (0..10).flat_map(|tenant| (0..100).map(move |hook| tenant * 100 + hook)).collect();
        let mut schedule = schedule(&all, few);
        let place = take(&mut schedule, NOW).expect("it is ready");
        assert_eq!(lanes(&mut schedule, 1_000, NOW).len(), 199);
        let ready = |schedule: &mut Schedule<i64>| {
            let holder = schedule.holders.get_mut(&ANA).expect("known");
            holder.ready.first_tenant(CLASSES.into_iter(), |_| Default::default())
        };
        assert_eq!(ready(&mut schedule), None);
        schedule.give_back(&place, NOW);
        assert_eq!(lanes(&mut schedule, 9, NOW).len(), 1);
        assert_eq!(ready(&mut schedule), None);
    }

    #[test]
    fn the_last_places_are_for_tenants_that_use_little() {
        let quota = Quota::default().with_in_all(32).with_per_webhook(64);
        let mut schedule = schedule(&[101, 201], quota);
        assert_eq!((0..30).filter_map(|_| take(&mut schedule, NOW)).count(), 30);
        assert_eq!(take(&mut schedule, after(1)).map(|it| it.lane), None, "two are kept");
        schedule.set(&301, Some(waiting(301)), after(1));
        assert_eq!(lanes(&mut schedule, 3, after(1)), [301, 301]);
    }

    #[test]
    fn a_lane_is_ready_when_its_time_has_come_and_not_before() {
        let mut schedule = schedule(&[], Quota::default());
        let at = |first_attempt, retry| Waiting { first_attempt, retry, ..waiting(7) };
        schedule.set(&7, Some(at(None, Some(after(5)))), NOW);
        assert_eq!((schedule.next(ANA, NOW), schedule.next_timer()), (None, Some(after(5))));
        schedule.set(&7, Some(at(Some(after(9)), Some(after(5)))), NOW);
        assert_eq!(schedule.next_timer(), Some(after(5)), "the earlier of both");
        assert_eq!(schedule.next(ANA, after(5)), Some((7, Turn::Retry)));
        assert_eq!(schedule.next_timer(), None);
        schedule.set(&7, None, after(5));
        assert_eq!((schedule.next(ANA, after(9)), schedule.lanes.len()), (None, 0));
    }

    #[test]
    fn holders_that_are_idle_are_forgotten_and_known_again() {
        let mut schedule = schedule(&[101], Quota::default());
        let place = take(&mut schedule, NOW).expect("it is ready");
        schedule.forget_idle_holders(NOW.plus(REMEMBER));
        schedule.give_back(&place, NOW);
        schedule.forget_idle_holders(NOW);
        assert_eq!(schedule.holders.len(), 1, "it held something, then it was seen just now");
        schedule.forget_idle_holders(NOW.plus(REMEMBER));
        assert!(schedule.next(ANA, NOW).is_none() && schedule.holders.is_empty());
        schedule.add_holder(&request(Quota::default()), NOW);
        assert_eq!(lanes(&mut schedule, 1, NOW), [101]);
    }
}
