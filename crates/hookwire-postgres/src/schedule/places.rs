//! `Places`: what a holder may take, and who is served next. A decision of memory alone.

use std::collections::HashMap;
use std::hash::Hash;

use hookwire::delivery::LaneClass;
use hookwire::model::{HookId, TenantId, Timestamp};
use hookwire::store::{HeldCounts, PlaceTime, Quota, Usage};

use crate::rows::LaneId;

/// The number of tenants, and of lanes, whose turns are remembered at least: those that used most.
const REMEMBERED: usize = 64;

/// A place for one delivery of a lane.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) lane: LaneId,
    pub(crate) tenant: TenantId,
    pub(crate) hook: HookId,
    /// The class of the lane when the place was taken. It is counted under this class.
    pub(crate) class: LaneClass,
}

/// The places that a holder has taken, and for how long who had them.
#[derive(Debug, Default)]
pub(crate) struct Places {
    held: HeldCounts,
    usage: Usage,
    /// The number of turns so far, and the last one of each tenant and lane.
    turns: u64,
    tenants: HashMap<TenantId, u64>,
    lanes: HashMap<LaneId, LaneTurn>,
    /// The first attempts since the last retry, of each lane in which retries are due.
    firsts: HashMap<LaneId, usize>,
}

#[derive(Debug)]
struct LaneTurn {
    tenant: TenantId,
    hook: HookId,
    turn: u64,
}

/// The position of a lane among those that a holder may serve. The lowest is next: that of the tenant with the least
/// use, and within it that of the lane with the least use. Of equal use, who was served longest ago comes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Rank {
    pub(crate) tenant: (PlaceTime, u64),
    pub(crate) lane: (PlaceTime, u64),
}

impl Places {
    /// Returns whether the holder may take one more delivery of a lane.
    pub(crate) fn has_room(&self, quota: &Quota, place: &Place, now: Timestamp) -> bool {
        let Place { tenant, hook, class, .. } = place;
        let has_place = self.held.may_be_first(quota, tenant, *class)
            || self.has_room_in_class(quota, *class) && self.may_have_last(quota, tenant, now);
        has_place && self.held.room(quota, tenant, *hook, *class) > 0
    }

    /// Returns whether lanes of this class need be looked at: not if the holder has no room for any.
    pub(crate) fn may_have_room_in_class(&self, quota: &Quota, class: LaneClass) -> bool {
        let first = class == LaneClass::Unproven && self.held.has_first_places(quota);
        first || self.has_room_in_class(quota, class)
    }

    /// Returns whether the holder may take any delivery of this class. The last places are for proven lanes alone.
    fn has_room_in_class(&self, quota: &Quota, class: LaneClass) -> bool {
        let has_place = class == LaneClass::Proven || self.held.has_spare(quota);
        has_place && self.held.room_in_class(quota, class) > 0
    }

    /// Returns whether the limit of a webhook still allows one more.
    pub(crate) fn has_room_in_lane(&self, quota: &Quota, place: &Place) -> bool {
        self.held.room_in_lane(quota, &place.tenant, place.hook, place.class) > 0
    }

    /// Returns whether there may be room for any lane of a tenant.
    pub(crate) fn has_room_in_tenant(&self, quota: &Quota, tenant: &TenantId, now: Timestamp) -> bool {
        self.held.room_in_tenant(quota, tenant, LaneClass::Proven) > 0
            && self.may_have_last(quota, tenant, now)
    }

    /// Returns whether a limit that a lane shares with others is reached. If none is, a place of the lane that is given back
    /// is room for no other one.
    pub(crate) fn is_shared_limit_reached(&self, quota: &Quota, place: &Place) -> bool {
        let room_of = |class| self.held.room_in_class(quota, class);
        // Where unproven lanes have no room, tenants that hold nothing still have.
        !self.held.has_spare(quota)
            || room_of(place.class) == 0
            || room_of(LaneClass::Unproven) == 0
            || self.held.room_in_tenant(quota, &place.tenant, place.class) == 0
    }

    /// The last places are for tenants that use little.
    fn may_have_last(&self, quota: &Quota, tenant: &TenantId, now: Timestamp) -> bool {
        self.held.has_spare(quota) || self.usage.is_light(tenant, now)
    }

    /// Takes a place, which ends the turn of its lane and of its tenant.
    pub(crate) fn take(&mut self, place: &Place, now: Timestamp) {
        let Place { lane, tenant, hook, class } = place;
        self.held.take(tenant, *hook, *class);
        self.usage.take(tenant, *hook, now);
        self.turns += 1;
        self.tenants.insert(tenant.clone(), self.turns);
        let turn = LaneTurn { tenant: tenant.clone(), hook: *hook, turn: self.turns };
        self.lanes.insert(*lane, turn);
        self.forget_least(now);
    }

    /// Gives a place back.
    pub(crate) fn give_back(&mut self, place: &Place, now: Timestamp) {
        self.held.give_back(&place.tenant, place.hook, place.class);
        self.usage.give_back(&place.tenant, place.hook, now);
    }

    /// Returns the first attempts of a lane since its last retry.
    pub(crate) fn firsts(&self, lane: LaneId) -> usize {
        self.firsts.get(&lane).copied().unwrap_or_default()
    }

    /// Counts what a lane was served. Without a retry that is due there is nothing to count.
    pub(crate) fn count_served(&mut self, lane: LaneId, is_retry: bool, has_retries: bool) {
        if is_retry || !has_retries {
            self.firsts.remove(&lane);
        } else {
            *self.firsts.entry(lane).or_default() += 1;
        }
    }

    /// Returns where a lane stands.
    pub(crate) fn rank(&self, lane: LaneId, tenant: &TenantId, hook: HookId, now: Timestamp) -> Rank {
        let turn = self.lanes.get(&lane).map(|it| it.turn);
        let lane = (self.usage.of_webhook(tenant, hook, now), turn.unwrap_or_default());
        Rank { tenant: self.rank_of_tenant(tenant, now), lane }
    }

    fn rank_of_tenant(&self, tenant: &TenantId, now: Timestamp) -> (PlaceTime, u64) {
        let turn = self.tenants.get(tenant).copied();
        (self.usage.of_tenant(tenant, now), turn.unwrap_or_default())
    }

    fn rank_of_lane(&self, turn: &LaneTurn, now: Timestamp) -> (PlaceTime, u64) {
        (self.usage.of_webhook(&turn.tenant, turn.hook, now), turn.turn)
    }

    /// Returns the tenants that used most, and the lanes, those that used less first. All others used less still.
    pub(crate) fn by_use(&self, now: Timestamp) -> (Vec<String>, Vec<LaneId>) {
        let tenants = self.tenants.keys().map(|it| (self.rank_of_tenant(it, now), it.as_str().to_owned()));
        let lanes = self.lanes.iter().map(|(id, it)| (self.rank_of_lane(it, now), *id));
        (sorted(tenants), sorted(lanes))
    }

    /// Remembers the turns of those that used most.
    fn forget_least(&mut self, now: Timestamp) {
        if self.tenants.len() > 2 * REMEMBERED {
            let ranks = self.tenants.keys().map(|it| (self.rank_of_tenant(it, now), it.clone()));
            let least = sorted(ranks);
            forget(&mut self.tenants, least);
        }
        if self.lanes.len() > 2 * REMEMBERED {
            let ranks = self.lanes.iter().map(|(id, it)| (self.rank_of_lane(it, now), *id));
            let least = sorted(ranks);
            forget(&mut self.lanes, least);
        }
    }
}

fn sorted<K>(ranks: impl Iterator<Item = ((PlaceTime, u64), K)>) -> Vec<K> {
    let mut ranks: Vec<_> = ranks.collect();
    ranks.sort_unstable_by_key(|(rank, _)| *rank);
    ranks.into_iter().map(|(_, key)| key).collect()
}

/// Removes the first keys from a map, so that few are left.
fn forget<K: Eq + Hash, V>(map: &mut HashMap<K, V>, mut keys: Vec<K>) {
    keys.truncate(keys.len().saturating_sub(REMEMBERED));
    keys.iter().for_each(|key| drop(map.remove(key)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn after(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_000 + millis)
    }

    /// A lane of the tenant `lane / 100`.
    fn place(lane: LaneId) -> Place {
        let tenant = TenantId::new(format!("t{}", lane / 100)).unwrap();
        Place { lane, tenant, hook: HookId::new(lane), class: LaneClass::Proven }
    }

    fn take(places: &mut Places, lanes: &[LaneId], now: Timestamp) {
        lanes.iter().for_each(|lane| places.take(&place(*lane), now));
    }

    /// These lanes in the order in which they are served.
    fn order<const N: usize>(places: &Places, lanes: [LaneId; N], now: Timestamp) -> [LaneId; N] {
        let mut lanes = lanes.map(place);
        lanes.sort_by_key(|it| places.rank(it.lane, &it.tenant, it.hook, now));
        lanes.map(|it| it.lane)
    }

    #[test]
    fn the_tenant_that_used_least_is_next_and_within_it_the_lane() {
        let mut places = Places::default();
        take(&mut places, &[101, 102, 201], NOW);
        places.give_back(&place(102), after(10));
        places.give_back(&place(201), after(15));
        assert_eq!(order(&places, [101, 102, 103, 201, 202], after(20)), [202, 201, 103, 102, 101]);
        assert_eq!(order(&places, [101, 301], after(20)), [301, 101]);
    }

    #[test]
    fn of_equal_use_who_was_served_longest_ago_is_next() {
        let mut places = Places::default();
        take(&mut places, &[101, 201, 102], NOW);
        assert_eq!(order(&places, [101, 102, 103, 201], NOW), [201, 103, 101, 102]);
    }

    #[test]
    fn the_last_places_are_for_proven_lanes_of_tenants_that_use_little() {
        let quota = Quota::default().with_in_all(32).with_per_webhook(64);
        let mut places = Places::default();
        let has_room =
            |places: &Places, lane, class| places.has_room(&quota, &Place { class, ..place(lane) }, after(1));
        take(&mut places, &[101; 15], NOW);
        take(&mut places, &[201; 14], NOW);
        assert!(has_room(&places, 102, LaneClass::Proven) && has_room(&places, 301, LaneClass::Unproven));
        take(&mut places, &[201], NOW);
        assert!(!has_room(&places, 102, LaneClass::Proven), "it uses much");
        assert!(!has_room(&places, 301, LaneClass::Unproven), "its receiver is not proven");
        assert!(has_room(&places, 301, LaneClass::Proven));
        let tenants = [100, 300].map(|lane| places.has_room_in_tenant(&quota, &place(lane).tenant, after(1)));
        assert_eq!(tenants, [false, true]);
    }

    #[test]
    fn it_remembers_those_that_used_most() {
        let mut places = Places::default();
        take(&mut places, &[7], NOW);
        for n in 1..=500 {
            take(&mut places, &[100 * n], after(10 * n));
            places.give_back(&place(100 * n), after(10 * n + 1));
        }
        let (tenants, lanes) = places.by_use(after(6_000));
        assert!((REMEMBERED..=2 * REMEMBERED).contains(&tenants.len()), "{}", tenants.len());
        assert!((REMEMBERED..=2 * REMEMBERED).contains(&lanes.len()), "{}", lanes.len());
        assert_eq!((tenants.last().map(String::as_str), lanes.last()), (Some("t0"), Some(&7)));
    }

    #[test]
    fn first_attempts_are_counted_while_retries_are_due() {
        let mut places = Places::default();
        let mut served = |is_retry, has_retries| {
            places.count_served(1, is_retry, has_retries);
            places.firsts(1)
        };
        assert_eq!([served(false, true), served(false, true), served(true, true)], [1, 2, 0]);
        assert_eq!([served(false, true), served(false, false)], [1, 0]);
        assert!(places.firsts.is_empty());
    }
}
