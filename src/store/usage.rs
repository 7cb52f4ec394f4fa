//! [`Usage`], which counts for how long the places of a holder were taken, by tenant and by webhook.

use std::collections::HashMap;

use crate::model::{HookId, TenantId, Timestamp};

/// The time after which a second of use counts half as much as a new one, in milliseconds.
const HALF_LIFE: u128 = 30_000;
/// The number of half-lives after which all use is written in smaller numbers.
const REBASE: u128 = 32;
/// The number of half-lives after which use has come to nothing.
const FORGET: u128 = 64;

/// The time for which one holder's places were taken in about the last minute, by tenant and by webhook. Stores build
/// on it.
///
/// A holder serves next the tenant with the least of it, and within the tenant the webhook with the least of it. A
/// place counts while it is taken. Each second counts half as much as one of half a minute later. Times are those of
/// the store and never go back.
///
/// ```
/// use hookwire::model::{HookId, Timestamp};
/// use hookwire::store::Usage;
/// use hookwire::TenantId;
///
/// let (slow, quick, hook) = (TenantId::new("slow")?, TenantId::new("quick")?, HookId::new(1));
/// let mut usage = Usage::default();
/// usage.take(&slow, hook, Timestamp::from_secs(10));
/// usage.take(&quick, hook, Timestamp::from_secs(10));
/// usage.give_back(&quick, hook, Timestamp::from_secs(11));
/// let now = Timestamp::from_secs(12);
/// assert!(usage.of_tenant(&quick, now) < usage.of_tenant(&slow, now));
/// # Ok::<_, hookwire::model::InvalidTenantId>(())
/// ```
///
/// It forgets whom it has not seen for long, so that it stays small.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// The time from which readings count.
    base: Timestamp,
    all: Use,
    tenants: HashMap<TenantId, TenantUse>,
    /// The tenants that have places now: their number, and their use.
    holding: u128,
    used_by_holding: Use,
}

/// An amount of use. Amounts that are read at one time of one [`Usage`] can be compared.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct PlaceTime(u128);

#[derive(Clone, Debug, Default)]
struct TenantUse {
    all: Use,
    webhooks: HashMap<HookId, Use>,
}

/// The places that are taken, the use up to a reading, and how many places were given back, which is weighed alike.
///
/// Use is written in units that double with each half-life, so that what is over need not be lowered as time passes.
/// Readings are whole numbers. So equal use stays equal, whenever it is read.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    taken: u128,
    used: u128,
    at: u128,
    given_back: u128,
}

impl Use {
    const fn used(&self, reading: u128) -> u128 {
        let since = reading.saturating_sub(self.at);
        self.used.saturating_add(since.saturating_mul(self.taken))
    }

    fn take(&mut self, reading: u128) {
        *self = Self { taken: self.taken + 1, used: self.used(reading), at: reading, ..*self };
    }

    fn give_back(&mut self, reading: u128, weight: u128) {
        let (taken, used) = (self.taken.saturating_sub(1), self.used(reading));
        *self = Self { taken, used, at: reading, given_back: self.given_back.saturating_add(weight) };
    }

    /// Adds use of before.
    fn add(&mut self, used: u128, reading: u128) {
        *self = Self { used: self.used(reading).saturating_add(used), at: reading, ..*self };
    }

    /// Takes away use of before.
    fn remove(&mut self, used: u128, reading: u128) {
        *self = Self { used: self.used(reading).saturating_sub(used), at: reading, ..*self };
    }

    fn rebase(&mut self, reading: u128, halvings: u32, at: u128) {
        let (used, given_back) = (self.used(reading) >> halvings, self.given_back >> halvings);
        *self = Self { taken: self.taken, used, at, given_back };
    }

    const fn is_nothing(&self) -> bool {
        self.taken == 0 && self.used == 0
    }
}

impl Usage {
    /// Returns the use of a tenant.
    pub fn of_tenant(&self, tenant: &TenantId, now: Timestamp) -> PlaceTime {
        PlaceTime(self.tenants.get(tenant).map_or(0, |it| it.all.used(self.reading(now))))
    }

    /// Returns the use of a webhook.
    pub fn of_webhook(&self, tenant: &TenantId, hook: HookId, now: Timestamp) -> PlaceTime {
        let of_hook = self.tenants.get(tenant).and_then(|it| it.webhooks.get(&hook));
        PlaceTime(of_hook.map_or(0, |it| it.used(self.reading(now))))
    }

    /// Returns whether a tenant leaves few places to nobody for long: it has used at most a tenth of what the other tenants
    /// that have places used on average, or it gives its places back in a tenth of their time.
    ///
    /// While [`HeldCounts::has_spare`](super::HeldCounts::has_spare) says that few places are left, they are for such
    /// tenants alone. So a tenant that needs little does not wait until those that take all they can give something
    /// back.
    pub fn is_light(&self, tenant: &TenantId, now: Timestamp) -> bool {
        let reading = self.reading(now);
        let own = self.tenants.get(tenant).map(|it| it.all).unwrap_or_default();
        let others = self.holding - u128::from(own.taken > 0);
        let used = own.used(reading);
        let used_by_others = self.all.used(reading).saturating_sub(used);
        let own_of_holding = if own.taken > 0 { used } else { 0 };
        let used_by_holding = self.used_by_holding.used(reading).saturating_sub(own_of_holding);
        let uses_little = used.saturating_mul(10 * others) <= used_by_holding;
        // Places that others still have count as if they were given back now.
        let all = self.all.given_back.saturating_add(self.all.taken.saturating_mul(self.weight(now)));
        let given_back_by_others = all.saturating_sub(own.given_back);
        let time_of_others = used_by_others.saturating_mul(own.given_back);
        uses_little || used.saturating_mul(10).saturating_mul(given_back_by_others) <= time_of_others
    }

    /// Counts one more place of this webhook.
    pub fn take(&mut self, tenant: &TenantId, hook: HookId, now: Timestamp) {
        self.advance(now);
        let reading = self.reading(now);
        let of_tenant = self.tenants.entry(tenant.clone()).or_default();
        if of_tenant.all.taken == 0 {
            self.holding += 1;
            self.used_by_holding.add(of_tenant.all.used(reading), reading);
        }
        self.used_by_holding.take(reading);
        of_tenant.all.take(reading);
        of_tenant.webhooks.entry(hook).or_default().take(reading);
        self.all.take(reading);
    }

    /// Counts one place less of this webhook.
    pub fn give_back(&mut self, tenant: &TenantId, hook: HookId, now: Timestamp) {
        self.advance(now);
        let (reading, weight) = (self.reading(now), self.weight(now));
        let Some(of_tenant) = self.tenants.get_mut(tenant) else { return };
        let Some(of_hook) = of_tenant.webhooks.get_mut(&hook).filter(|it| it.taken > 0) else { return };
        of_hook.give_back(reading, weight);
        if of_hook.is_nothing() {
            of_tenant.webhooks.remove(&hook);
        }
        of_tenant.all.give_back(reading, weight);
        self.used_by_holding.give_back(reading, weight);
        if of_tenant.all.taken == 0 {
            self.holding -= 1;
            self.used_by_holding.remove(of_tenant.all.used(reading), reading);
        }
        if of_tenant.all.is_nothing() {
            self.tenants.remove(tenant);
        }
        self.all.give_back(reading, weight);
    }

    /// Writes all use in smaller numbers when they have become large, and forgets what has come to nothing. Returns
    /// whether it did: amounts that were read before are then too high.
    pub(super) fn advance(&mut self, now: Timestamp) -> bool {
        let half_lives = now.since(self.base).as_millis() / HALF_LIFE;
        if half_lives < REBASE {
            return false;
        }
        let reading = self.reading(now);
        let (base, halvings) = if half_lives < FORGET { (self.rebased(), 32) } else { (now, u128::BITS - 1) };
        self.base = base;
        let at = self.reading(now);
        self.all.rebase(reading, halvings, at);
        self.used_by_holding.rebase(reading, halvings, at);
        for of_tenant in self.tenants.values_mut() {
            of_tenant.all.rebase(reading, halvings, at);
            of_tenant.webhooks.values_mut().for_each(|it| it.rebase(reading, halvings, at));
            of_tenant.webhooks.retain(|_, it| !it.is_nothing());
        }
        self.tenants.retain(|_, it| !it.all.is_nothing() || !it.webhooks.is_empty());
        true
    }

    fn rebased(&self) -> Timestamp {
        const MILLIS: i64 = (REBASE * HALF_LIFE) as i64;
        Timestamp::from_millis(self.base.as_millis().saturating_add(MILLIS))
    }

    /// Returns how much one place has used that is taken since `base`: each half-life counts twice as much as the one
    /// before it.
    fn reading(&self, now: Timestamp) -> u128 {
        (self.weight(now) - 1) * HALF_LIFE + (self.millis(now) % HALF_LIFE) * self.weight(now)
    }

    /// Returns how much a millisecond counts.
    fn weight(&self, now: Timestamp) -> u128 {
        1 << (self.millis(now) / HALF_LIFE)
    }

    fn millis(&self, now: Timestamp) -> u128 {
        now.since(self.base).as_millis().min(FORGET * HALF_LIFE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tenant(number: u64) -> TenantId {
        TenantId::new(format!("t{number}")).expect("valid")
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(i64::try_from(millis).expect("small"))
    }

    const HOOK: HookId = HookId::new(1);

    /// Has a tenant use a place from one time to another.
    fn use_place(usage: &mut Usage, number: u64, from: u64, until: u64) {
        usage.take(&tenant(number), HOOK, at(from));
        usage.give_back(&tenant(number), HOOK, at(until));
    }

    #[test]
    fn a_second_counts_half_as_much_half_a_minute_later() {
        let mut usage = Usage::default();
        use_place(&mut usage, 1, 0, 2_000);
        use_place(&mut usage, 2, 30_000, 31_000);
        let now = at(40_000);
        assert_eq!(usage.of_tenant(&tenant(1), now), usage.of_tenant(&tenant(2), now));
        assert_eq!(usage.of_webhook(&tenant(1), HOOK, now), usage.of_webhook(&tenant(2), HOOK, now));
    }

    #[test]
    fn a_place_counts_while_it_is_taken() {
        let mut usage = Usage::default();
        usage.take(&tenant(1), HOOK, at(0));
        use_place(&mut usage, 2, 0, 10);
        assert!(usage.of_tenant(&tenant(1), at(5)) < usage.of_tenant(&tenant(2), at(5)));
        assert!(usage.of_tenant(&tenant(1), at(11)) > usage.of_tenant(&tenant(2), at(11)));
    }

    #[test]
    fn use_that_is_long_over_is_forgotten_and_what_is_held_is_not() {
        let mut usage = Usage::default();
        use_place(&mut usage, 1, 0, 60_000);
        usage.take(&tenant(2), HOOK, at(60_000));
        assert!(usage.advance(at(64 * 60_000)), "after half an hour all is written anew");
        assert_eq!(usage.tenants.len(), 1);
        usage.give_back(&tenant(2), HOOK, at(64 * 60_000));
        assert!(usage.advance(at(10_000 * 60_000)));
        assert_eq!((usage.tenants.len(), usage.holding), (0, 0));
        assert!(usage.all.is_nothing());
    }

    #[test]
    fn who_uses_much_less_than_the_others_is_light() {
        let mut usage = Usage::default();
        assert!(usage.is_light(&tenant(1), at(0)), "alone");
        for (number, places) in [(1, 20), (2, 20), (3, 2), (4, 1)] {
            (0..places).for_each(|_| usage.take(&tenant(number), HOOK, at(0)));
        }
        let light: Vec<_> = (1..=5).filter(|number| usage.is_light(&tenant(*number), at(10))).collect();
        assert_eq!(light, [4, 5], "one, where the others have 14 on average, and none");
    }

    #[test]
    fn what_those_have_used_who_have_no_place_makes_nobody_light() {
        let mut usage = Usage::default();
        for round in 0..100 {
            (1..=40).for_each(|slow| use_place(&mut usage, slow, round * 1_000, round * 1_000 + 900));
        }
        use_place(&mut usage, 41, 99_900, 99_950);
        (1..=6).for_each(|slow| usage.take(&tenant(slow), HOOK, at(100_000)));
        let light: Vec<_> = (1..=41).filter(|number| usage.is_light(&tenant(*number), at(100_900))).collect();
        assert_eq!(light, [41], "forty have used the same, though six hold places now");
        (1..=6).for_each(|slow| usage.give_back(&tenant(slow), HOOK, at(101_000)));
        assert_eq!((usage.holding, usage.used_by_holding.used(usage.reading(at(102_000)))), (0, 0));
    }

    #[test]
    fn who_gives_places_back_soon_is_light_however_often_it_takes_them() {
        let mut usage = Usage::default();
        for second in 0..60 {
            let now = second * 1_000;
            (1..=3).for_each(|slow| use_place(&mut usage, slow, now, now + 900));
            (0..5).for_each(|_| use_place(&mut usage, 4, now, now + 20));
            (0..5).for_each(|_| use_place(&mut usage, 5, now, now + 95));
        }
        (1..=3).for_each(|slow| usage.take(&tenant(slow), HOOK, at(60_000)));
        (0..4).for_each(|_| usage.take(&tenant(6), HOOK, at(60_000)));
        let light: Vec<_> = (1..=6).filter(|number| usage.is_light(&tenant(*number), at(63_000))).collect();
        assert_eq!(light, [4], "not one that takes twice as long, nor one that has given nothing back yet");
    }

    proptest! {
        /// It adds up what `take` and `give_back` say, whatever is read in between and however often it is rebased.
        #[test]
        fn use_is_the_time_of_places_each_half_life_twice_as_much(
            spans in proptest::collection::vec((0_u64..3, 0_u64..100_000, 0_u64..400_000), 1..40),
        ) {
            let mut usage = Usage::default();
            let mut now = 0;
            let mut model = [0_f64; 3];
            for (number, pause, span) in spans {
                use_place(&mut usage, number, now + pause, now + pause + span);
                let number = usize::try_from(number).expect("small");
                model[number] += (now + pause..now + pause + span).step_by(10).map(weight).sum::<f64>();
                now += pause + span;
            }
            let of = |number: u64| usage.of_tenant(&tenant(number), at(now)).0 as f64;
            for (number, modelled) in (0..3).zip(model) {
                for (other, of_other) in (0..3).zip(model) {
                    if modelled > of_other * 1.01 + weight(now) {
                        prop_assert!(of(number) >= of(other), "{} {}", of(number), of(other));
                    }
                }
            }
        }
    }

    fn weight(millis: u64) -> f64 {
        2_f64.powf((millis / 30_000) as f64) * 10.0
    }
}
