//! The leases under which a tenant's unrouted events are routed.

use std::collections::HashMap;

use crate::model::{TenantId, Timestamp};
use crate::store::lease::{Fence, HolderId};

/// Who routes each tenant's oldest unrouted events.
///
/// The file does not tell, since this is worth nothing to the next owner. So what is rolled back there is undone
/// here: a lease whose claim was never answered would hold up its tenant until its lease ends, and one that was
/// forgotten would have to begin anew with each rollback.
#[derive(Debug, Default)]
pub(super) struct RoutingLeases {
    present: HashMap<TenantId, RoutingLease>,
    /// The lease that each change since the last commit replaced, in order.
    replaced: Vec<(TenantId, Option<RoutingLease>)>,
}

/// The right to route a tenant's oldest unrouted events, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoutingLease {
    pub(super) holder: HolderId,
    pub(super) fence: Fence,
    pub(super) until: Timestamp,
    pub(super) left: usize,
}

impl RoutingLeases {
    pub(super) fn of(&self, tenant: &TenantId) -> Option<RoutingLease> {
        self.present.get(tenant).copied()
    }

    pub(super) fn set(&mut self, tenant: &TenantId, lease: RoutingLease) {
        let replaced = self.present.insert(tenant.clone(), lease);
        self.replaced.push((tenant.clone(), replaced));
    }

    pub(super) fn remove(&mut self, tenant: &TenantId) {
        if let Some((tenant, lease)) = self.present.remove_entry(tenant) {
            self.replaced.push((tenant, Some(lease)));
        }
    }

    /// Removes those of a holder that has stopped.
    pub(super) fn remove_holder(&mut self, holder: HolderId) {
        let of_holder = self.present.extract_if(|_, lease| lease.holder == holder);
        self.replaced.extend(of_holder.map(|(tenant, lease)| (tenant, Some(lease))));
    }

    /// When the first of them loses its right.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.present.values().map(|lease| lease.until).min()
    }

    /// Where the changes from now on begin, for [`undo`](Self::undo).
    pub(super) const fn mark(&self) -> usize {
        self.replaced.len()
    }

    /// Takes back the changes since this mark; all that are not committed since the mark 0.
    pub(super) fn undo(&mut self, mark: usize) {
        for (tenant, replaced) in self.replaced.drain(mark.min(self.replaced.len())..).rev() {
            match replaced {
                Some(lease) => self.present.insert(tenant, lease),
                None => self.present.remove(&tenant),
            };
        }
    }

    /// Puts down that everything so far is committed.
    pub(super) fn commit(&mut self) {
        self.replaced.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: u128) -> RoutingLease {
        let (fence, until) = (Fence::new(1), Timestamp::from_millis(5));
        RoutingLease { holder: HolderId::new(holder), fence, until, left: 3 }
    }

    fn holders(routing_leases: &RoutingLeases) -> String {
        let mut all: Vec<_> =
            routing_leases.present.iter().map(|(name, it)| (name.as_str(), it.holder.get())).collect();
        all.sort_unstable();
        format!("{all:?}")
    }

    #[test]
    fn what_is_undone_is_as_it_was_and_what_is_committed_stays() {
        let [a, b, c] = ["a", "b", "c"].map(|name| TenantId::new(name).expect("valid"));
        let mut routing_leases = RoutingLeases::default();
        routing_leases.set(&a, lease(1));
        routing_leases.set(&b, lease(2));
        routing_leases.commit();
        routing_leases.set(&a, lease(3));
        let mark = routing_leases.mark();
        routing_leases.set(&c, lease(3));
        routing_leases.remove(&b);
        routing_leases.remove_holder(HolderId::new(3));
        routing_leases.remove(&c);
        assert_eq!((holders(&routing_leases), routing_leases.next_end()), ("[]".to_owned(), None));
        routing_leases.undo(mark);
        assert_eq!(holders(&routing_leases), r#"[("a", 3), ("b", 2)]"#);
        routing_leases.undo(mark);
        routing_leases.undo(0);
        assert_eq!(holders(&routing_leases), r#"[("a", 1), ("b", 2)]"#);
        routing_leases.undo(0);
        assert_eq!(routing_leases.of(&a).map(|it| it.holder), Some(HolderId::new(1)), "it was committed");
    }
}
