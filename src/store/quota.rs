//! [`Quota`], the limit of the deliveries that a holder has claimed at once, and [`HeldCounts`], which counts them.

use std::collections::HashMap;

use crate::delivery::LaneClass;
use crate::model::{HookId, TenantId};

/// The limits of the deliveries that one holder may have claimed at once: in all, of one tenant, of one webhook.
///
/// Lanes whose receivers have not yet answered in time share half of each limit. Lanes that time out share a tenth,
/// and each of them has one delivery at most. So a receiver that hangs takes little from the others, and soon only
/// its share of the tenth.
///
/// ```
/// use hookwire::store::Quota;
///
/// let quota = Quota::default().with_in_all(1024);
/// assert_eq!((quota.in_all(), quota.per_tenant(), quota.per_webhook()), (1024, 64, 16));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    in_all: usize,
    per_tenant: usize,
    per_webhook: usize,
}

impl Quota {
    /// Sets the limit of deliveries in all. Default 512.
    #[must_use]
    pub fn with_in_all(self, in_all: usize) -> Self {
        Self { in_all: in_all.max(1), ..self }
    }

    /// Sets the limit of deliveries of one tenant. Default 64.
    #[must_use]
    pub fn with_per_tenant(self, per_tenant: usize) -> Self {
        Self { per_tenant: per_tenant.max(1), ..self }
    }

    /// Sets the limit of deliveries of one webhook. Default 16.
    #[must_use]
    pub fn with_per_webhook(self, per_webhook: usize) -> Self {
        Self { per_webhook: per_webhook.max(1), ..self }
    }

    /// Returns the limit of deliveries in all.
    pub const fn in_all(&self) -> usize {
        self.in_all
    }

    /// Returns the limit of deliveries of one tenant.
    pub const fn per_tenant(&self) -> usize {
        self.per_tenant
    }

    /// Returns the limit of deliveries of one webhook.
    pub const fn per_webhook(&self) -> usize {
        self.per_webhook
    }

    fn per_webhook_of(&self, class: LaneClass) -> usize {
        match class {
            LaneClass::Proven | LaneClass::Unproven => self.per_webhook,
            LaneClass::Hanging => 1,
        }
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self { in_all: 512, per_tenant: 64, per_webhook: 16 }
    }
}

/// Returns the part of `whole` that lanes of `class` share, at least one.
const fn share(whole: usize, class: LaneClass) -> usize {
    let part = match class {
        LaneClass::Proven => whole,
        LaneClass::Unproven => whole / 2,
        LaneClass::Hanging => whole / 10,
    };
    if part == 0 { 1 } else { part }
}

/// The claims of one holder, counted as [`Quota`] limits them. Stores build on it.
///
/// ```
/// use hookwire::delivery::LaneClass;
/// use hookwire::model::HookId;
/// use hookwire::store::{HeldCounts, Quota};
/// use hookwire::TenantId;
///
/// let (tenant, hook) = (TenantId::new("acme")?, HookId::new(1));
/// let mut held = HeldCounts::default();
/// held.take(&tenant, hook, LaneClass::Hanging);
/// assert_eq!(held.room(&Quota::default(), &tenant, hook, LaneClass::Hanging), 0);
/// # Ok::<_, hookwire::model::InvalidTenantId>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct HeldCounts {
    all: Counts,
    tenants: HashMap<TenantId, TenantCounts>,
}

#[derive(Clone, Debug, Default)]
struct TenantCounts {
    all: Counts,
    webhooks: HashMap<HookId, usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    proven: usize,
    hanging: usize,
    unproven: usize,
}

impl Counts {
    fn of(&mut self, class: LaneClass) -> &mut usize {
        match class {
            LaneClass::Proven => &mut self.proven,
            LaneClass::Hanging => &mut self.hanging,
            LaneClass::Unproven => &mut self.unproven,
        }
    }

    fn room(mut self, whole: usize, class: LaneClass) -> usize {
        let in_class = share(whole, class).saturating_sub(*self.of(class));
        whole.saturating_sub(self.total()).min(in_class)
    }

    const fn total(self) -> usize {
        self.proven + self.hanging + self.unproven
    }
}

impl HeldCounts {
    /// Returns the number of claims in all.
    pub const fn total(&self) -> usize {
        self.all.total()
    }

    /// Returns the number of claims of one tenant.
    pub(crate) fn of_tenant(&self, tenant: &TenantId) -> usize {
        self.tenants.get(tenant).map_or(0, |it| it.all.total())
    }

    /// Returns the number of claims of one webhook.
    pub(crate) fn of_webhook(&self, tenant: &TenantId, hook: HookId) -> usize {
        let of_hook = self.tenants.get(tenant).and_then(|it| it.webhooks.get(&hook));
        of_hook.copied().unwrap_or_default()
    }

    /// Returns the number of deliveries of this lane that the holder may still claim.
    pub fn room(&self, quota: &Quota, tenant: &TenantId, hook: HookId, class: LaneClass) -> usize {
        let first = usize::from(self.may_be_first(quota, tenant, class));
        self.room_in_class(quota, class).max(first).min(self.room_in_lane(quota, tenant, hook, class))
    }

    /// Returns whether a tenant that holds nothing may take a place for a lane that is `Unproven`, though others leave no
    /// room in that class. A thirty-second of the places in all is for that, so that a new webhook does not wait until
    /// slow ones give places back.
    pub fn may_be_first(&self, quota: &Quota, tenant: &TenantId, class: LaneClass) -> bool {
        class == LaneClass::Unproven && self.of_tenant(tenant) == 0 && self.has_first_places(quota)
    }

    /// Returns whether [`may_be_first`](Self::may_be_first) holds for any tenant. If not, none need be looked at.
    pub const fn has_first_places(&self, quota: &Quota) -> bool {
        let few = quota.in_all / 32;
        let is_left = self.all.unproven < share(quota.in_all, LaneClass::Unproven) + few;
        is_left && self.has_spare(quota)
    }

    /// Returns the number of deliveries of this lane that the limits of its tenant and its webhook still allow. It
    /// changes only when a delivery of the tenant is taken or given back.
    pub fn room_in_lane(&self, quota: &Quota, tenant: &TenantId, hook: HookId, class: LaneClass) -> usize {
        let in_hook = quota.per_webhook_of(class).saturating_sub(self.of_webhook(tenant, hook));
        self.room_in_tenant(quota, tenant, class).min(in_hook)
    }

    /// Returns the number of deliveries of a tenant's lanes of `class` that its limit still allows. At zero, none of
    /// them need be looked at.
    pub fn room_in_tenant(&self, quota: &Quota, tenant: &TenantId, class: LaneClass) -> usize {
        let counts = self.tenants.get(tenant).map(|it| it.all).unwrap_or_default();
        counts.room(quota.per_tenant, class)
    }

    /// Returns the number of deliveries of all lanes of `class` that the holder may still claim. At zero, no lane of
    /// the class need be looked at.
    pub fn room_in_class(&self, quota: &Quota, class: LaneClass) -> usize {
        self.all.room(quota.in_all, class)
    }

    /// Returns whether more than a sixteenth of the places in all are free. If not, the rest is kept for lanes that
    /// are `Proven`, of tenants that [use little](super::Usage::is_light).
    pub const fn has_spare(&self, quota: &Quota) -> bool {
        quota.in_all.saturating_sub(self.total()) > quota.in_all / 16
    }

    /// Counts one more claim of this lane, which is of `class` now.
    pub fn take(&mut self, tenant: &TenantId, hook: HookId, class: LaneClass) {
        *self.all.of(class) += 1;
        let counts = self.tenants.entry(tenant.clone()).or_default();
        *counts.all.of(class) += 1;
        *counts.webhooks.entry(hook).or_default() += 1;
    }

    /// Counts one claim less of this lane, which was of `class` when it was taken.
    pub fn give_back(&mut self, tenant: &TenantId, hook: HookId, class: LaneClass) {
        let Some(counts) = self.tenants.get_mut(tenant) else { return };
        let Some(of_hook) = counts.webhooks.get_mut(&hook) else { return };
        *of_hook -= 1;
        if *of_hook == 0 {
            counts.webhooks.remove(&hook);
        }
        let of_class = counts.all.of(class);
        *of_class = of_class.saturating_sub(1);
        if counts.all.total() == 0 {
            self.tenants.remove(tenant);
        }
        let of_class = self.all.of(class);
        *of_class = of_class.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).expect("valid")
    }

    fn room(held: &HeldCounts, name: &str, hook: i64, class: LaneClass) -> usize {
        held.room(&Quota::default(), &tenant(name), HookId::new(hook), class)
    }

    fn take(held: &mut HeldCounts, name: &str, hook: i64, class: LaneClass, times: usize) {
        (0..times).for_each(|_| held.take(&tenant(name), HookId::new(hook), class));
    }

    #[test]
    fn an_empty_hand_has_the_room_of_one_webhook() {
        let held = HeldCounts::default();
        assert_eq!(room(&held, "a", 1, LaneClass::Proven), 16);
        assert_eq!(room(&held, "a", 1, LaneClass::Unproven), 16);
        assert_eq!(room(&held, "a", 1, LaneClass::Hanging), 1);
    }

    #[test]
    fn unproven_lanes_leave_half_of_a_tenant_and_of_all_to_proven_ones() {
        let mut held = HeldCounts::default();
        take(&mut held, "a", 1, LaneClass::Unproven, 16);
        take(&mut held, "a", 2, LaneClass::Unproven, 16);
        assert_eq!(room(&held, "a", 3, LaneClass::Unproven), 0);
        assert_eq!(room(&held, "a", 3, LaneClass::Proven), 16);
        for n in 0..7 {
            take(&mut held, &format!("t{n}"), 1, LaneClass::Unproven, 32);
        }
        assert_eq!(held.room_in_class(&Quota::default(), LaneClass::Unproven), 0);
        assert_eq!(room(&held, "b", 1, LaneClass::Proven), 16);
    }

    #[test]
    fn hanging_lanes_have_a_tenth() {
        let mut held = HeldCounts::default();
        (0..6).for_each(|hook| take(&mut held, "a", hook, LaneClass::Hanging, 1));
        assert_eq!(room(&held, "a", 9, LaneClass::Hanging), 0);
        (0..45).for_each(|n| take(&mut held, &format!("t{n}"), 1, LaneClass::Hanging, 1));
        assert_eq!(held.total(), 51);
        assert_eq!(held.room_in_class(&Quota::default(), LaneClass::Hanging), 0);
        assert_eq!(room(&held, "b", 1, LaneClass::Proven), 16);
    }

    #[test]
    fn the_last_sixteenth_is_not_spare() {
        let mut held = HeldCounts::default();
        (0..7).for_each(|n| take(&mut held, &format!("t{n}"), 1, LaneClass::Proven, 68));
        assert_eq!((held.total(), held.has_spare(&Quota::default())), (476, true));
        take(&mut held, "b", 1, LaneClass::Proven, 4);
        assert!(!held.has_spare(&Quota::default()));
        let small = Quota::default().with_in_all(15);
        assert!(HeldCounts::default().has_spare(&small), "of few places none is kept");
    }

    #[test]
    fn a_tenant_that_holds_nothing_has_a_first_place_where_slow_ones_hold_theirs() {
        let (quota, unproven) = (Quota::default(), LaneClass::Unproven);
        let mut held = HeldCounts::default();
        (0..16).for_each(|n| take(&mut held, &format!("t{n}"), 1, unproven, 16));
        assert_eq!(held.room_in_class(&quota, unproven), 0);
        assert_eq!(room(&held, "t0", 2, unproven), 0, "it holds something");
        assert_eq!(room(&held, "new", 1, LaneClass::Hanging), 1);
        for n in 0..16 {
            assert_eq!(room(&held, &format!("n{n}"), 1, unproven), 1, "{n}");
            take(&mut held, &format!("n{n}"), 1, unproven, 1);
            assert_eq!(room(&held, &format!("n{n}"), 1, unproven), 0, "one alone");
        }
        assert_eq!(room(&held, "late", 1, unproven), 0, "a thirty-second is for that");
        held.give_back(&tenant("n0"), HookId::new(1), unproven);
        assert_eq!(room(&held, "late", 1, unproven), 1);
        (0..15).for_each(|n| take(&mut held, &format!("p{n}"), 1, LaneClass::Proven, 14));
        assert_eq!((held.total(), room(&held, "late", 1, unproven)), (481, 0), "and none of the last");
    }

    #[test]
    fn what_is_given_back_leaves_no_trace() {
        let mut held = HeldCounts::default();
        take(&mut held, "a", 1, LaneClass::Proven, 2);
        (0..3).for_each(|_| held.give_back(&tenant("a"), HookId::new(1), LaneClass::Proven));
        assert_eq!(held.total(), 0);
        assert!(held.tenants.is_empty());
    }

    #[test]
    fn the_smallest_quota_still_lets_each_class_move() {
        let quota = Quota::default().with_in_all(0).with_per_tenant(0).with_per_webhook(0);
        for class in [LaneClass::Proven, LaneClass::Hanging, LaneClass::Unproven] {
            assert_eq!(HeldCounts::default().room(&quota, &tenant("a"), HookId::new(1), class), 1);
        }
    }
}
