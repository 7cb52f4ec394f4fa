//! When leases end: who holds which delivery, and until when, in stores that have one owner.

use std::collections::{BTreeSet, HashMap};

use super::lease::{Fence, HolderId};
use super::schedule::Place;
use crate::model::{DeliveryId, Timestamp};

/// The number of fences of one boot, as a power of two: at a million a second it lasts for twelve days, and there is
/// room for 8 million boots in what SQLite takes for a number.
const FENCES: u32 = 40;

/// The claims of all holders.
///
/// A fence is a number above those of earlier boots, so that a store that starts again never gives one twice.
#[derive(Debug)]
pub(super) struct Leases<L> {
    last_fence: u64,
    leases: HashMap<DeliveryId, Lease<L>>,
    ends: BTreeSet<(Timestamp, DeliveryId)>,
    by_holder: HashMap<HolderId, BTreeSet<DeliveryId>>,
}

impl<L> Default for Leases<L> {
    /// The leases of a store that keeps nothing when it stops.
    fn default() -> Self {
        Self::of_boot(0)
    }
}

/// A claim on one delivery.
#[derive(Clone, Debug)]
pub(super) struct Lease<L> {
    pub(super) fence: Fence,
    pub(super) until: Timestamp,
    pub(super) place: Place<L>,
}

impl<L> Leases<L> {
    /// Creates the leases of a store that is started for the `boot`th time.
    pub(super) fn of_boot(boot: u64) -> Self {
        Self {
            last_fence: boot << FENCES,
            leases: HashMap::new(),
            ends: BTreeSet::new(),
            by_holder: HashMap::new(),
        }
    }

    /// Returns a fence that was never returned before.
    pub(super) const fn next_fence(&mut self) -> Fence {
        self.last_fence += 1;
        Fence::new(self.last_fence)
    }

    /// Claims a delivery that nobody holds.
    pub(super) fn take(&mut self, id: DeliveryId, place: Place<L>, until: Timestamp) -> Fence {
        let fence = self.next_fence();
        self.ends.insert((until, id));
        self.by_holder.entry(place.holder).or_default().insert(id);
        self.leases.insert(id, Lease { fence, until, place });
        fence
    }

    /// Returns the claim on a delivery.
    pub(super) fn get(&self, id: DeliveryId) -> Option<&Lease<L>> {
        self.leases.get(&id)
    }

    /// Returns the claim on a delivery if it is this one.
    pub(super) fn under(&self, id: DeliveryId, fence: Fence) -> Option<&Lease<L>> {
        self.get(id).filter(|lease| lease.fence == fence)
    }

    /// Ends the claim on a delivery.
    pub(super) fn remove(&mut self, id: DeliveryId) -> Option<Lease<L>> {
        let lease = self.leases.remove(&id)?;
        self.ends.remove(&(lease.until, id));
        if let Some(held) = self.by_holder.get_mut(&lease.place.holder) {
            held.remove(&id);
            if held.is_empty() {
                self.by_holder.remove(&lease.place.holder);
            }
        }
        Some(lease)
    }

    /// Lets the claim on a delivery last until another time.
    pub(super) fn extend(&mut self, id: DeliveryId, until: Timestamp) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        self.ends.remove(&(lease.until, id));
        self.ends.insert((until, id));
        lease.until = until;
    }

    /// Returns what a holder has claimed.
    pub(super) fn of(&self, holder: HolderId) -> impl Iterator<Item = DeliveryId> {
        self.by_holder.get(&holder).into_iter().flatten().copied()
    }

    /// Returns the deliveries whose claims have ended, those that ended first at the front.
    pub(super) fn ended(&self, now: Timestamp) -> impl Iterator<Item = DeliveryId> {
        self.ends.iter().take_while(move |(until, _)| *until <= now).map(|(_, id)| *id)
    }

    /// Returns when the next claim ends by itself.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.ends.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::LaneClass;
    use crate::model::{HookId, TenantId};

    const ANA: HolderId = HolderId::new(1);
    const BEN: HolderId = HolderId::new(2);

    fn place(holder: HolderId) -> Place<u8> {
        let tenant = TenantId::new("acme").expect("valid");
        Place { holder, lane: 1, tenant, hook: HookId::new(1), class: LaneClass::Proven }
    }

    fn id(number: i64) -> DeliveryId {
        DeliveryId::new(number)
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn a_claim_is_known_by_its_fence_until_it_ends() {
        let mut leases = Leases::of_boot(0);
        let fence = leases.take(id(1), place(ANA), at(30));
        assert!(leases.under(id(1), fence).is_some());
        assert!(leases.under(id(2), fence).is_none());
        let lease = leases.remove(id(1)).expect("it was held");
        assert_eq!((lease.place.holder, lease.fence), (ANA, fence));
        let again = leases.take(id(1), place(ANA), at(30));
        assert!(leases.under(id(1), fence).is_none() && leases.under(id(1), again).is_some());
    }

    #[test]
    fn fences_of_a_later_boot_are_later() {
        let mut first = Leases::<u8>::of_boot(1);
        let mut second = Leases::<u8>::of_boot(2);
        let fences = [first.next_fence(), first.next_fence(), second.next_fence(), second.next_fence()];
        assert!(fences.is_sorted_by(|earlier, later| earlier < later), "{fences:?}");
    }

    #[test]
    fn claims_end_in_the_order_of_their_times() {
        let mut leases = Leases::of_boot(0);
        leases.take(id(1), place(ANA), at(30));
        leases.take(id(2), place(BEN), at(10));
        leases.take(id(3), place(ANA), at(20));
        leases.extend(id(2), at(25));
        assert_eq!(leases.next_end(), Some(at(20)));
        assert_eq!(leases.ended(at(19)).count(), 0);
        assert_eq!(leases.ended(at(25)).collect::<Vec<_>>(), [id(3), id(2)]);
        assert_eq!(leases.of(ANA).collect::<Vec<_>>(), [id(1), id(3)]);
        for number in 1..=3 {
            leases.remove(id(number));
        }
        assert!(
            leases.next_end().is_none() && leases.by_holder.is_empty() && leases.of(ANA).next().is_none()
        );
    }
}
