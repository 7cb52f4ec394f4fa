use std::collections::HashMap;

use super::super::{Fence, HolderId};
use crate::model::{TenantId, Timestamp};

/// Who routes each tenant's oldest unrouted events.
///
/// The file does not tell, since this is worth nothing to the next owner. So what is rolled back there is undone
/// here: a router whose claim was never answered would hold up its tenant until its lease ends, and one that was
/// forgotten would have to begin anew with each rollback.
#[derive(Debug, Default)]
pub(super) struct Routers {
    present: HashMap<TenantId, Router>,
    /// What each change since the last commit replaced, in order.
    replaced: Vec<(TenantId, Option<Router>)>,
}

/// The right to route a tenant's oldest unrouted events, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Router {
    pub(super) holder: HolderId,
    pub(super) fence: Fence,
    pub(super) until: Timestamp,
    pub(super) left: usize,
}

impl Routers {
    pub(super) fn of(&self, tenant: &TenantId) -> Option<Router> {
        self.present.get(tenant).copied()
    }

    pub(super) fn set(&mut self, tenant: &TenantId, router: Router) {
        let replaced = self.present.insert(tenant.clone(), router);
        self.replaced.push((tenant.clone(), replaced));
    }

    pub(super) fn remove(&mut self, tenant: &TenantId) {
        if let Some((tenant, router)) = self.present.remove_entry(tenant) {
            self.replaced.push((tenant, Some(router)));
        }
    }

    /// Removes those of a holder that has stopped.
    pub(super) fn leave(&mut self, holder: HolderId) {
        let of_holder = self.present.extract_if(|_, router| router.holder == holder);
        self.replaced.extend(of_holder.map(|(tenant, router)| (tenant, Some(router))));
    }

    /// When the first of them loses its right.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.present.values().map(|router| router.until).min()
    }

    /// Where the changes from now on begin, for [`undo`](Self::undo).
    pub(super) const fn mark(&self) -> usize {
        self.replaced.len()
    }

    /// Takes back the changes since this mark; all that are not committed since the mark 0.
    pub(super) fn undo(&mut self, mark: usize) {
        for (tenant, replaced) in self.replaced.drain(mark.min(self.replaced.len())..).rev() {
            match replaced {
                Some(router) => self.present.insert(tenant, router),
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

    fn router(holder: u128) -> Router {
        let (fence, until) = (Fence::new(1), Timestamp::from_millis(5));
        Router { holder: HolderId::new(holder), fence, until, left: 3 }
    }

    fn holders(routers: &Routers) -> String {
        let mut all: Vec<_> =
            routers.present.iter().map(|(name, it)| (name.as_str(), it.holder.get())).collect();
        all.sort_unstable();
        format!("{all:?}")
    }

    #[test]
    fn what_is_undone_is_as_it_was_and_what_is_committed_stays() {
        let [a, b, c] = ["a", "b", "c"].map(|name| TenantId::new(name).expect("valid"));
        let mut routers = Routers::default();
        routers.set(&a, router(1));
        routers.set(&b, router(2));
        routers.commit();
        routers.set(&a, router(3));
        let mark = routers.mark();
        routers.set(&c, router(3));
        routers.remove(&b);
        routers.leave(HolderId::new(3));
        routers.remove(&c);
        assert_eq!((holders(&routers), routers.next_end()), ("[]".to_owned(), None));
        routers.undo(mark);
        assert_eq!(holders(&routers), r#"[("a", 3), ("b", 2)]"#);
        routers.undo(mark);
        routers.undo(0);
        assert_eq!(holders(&routers), r#"[("a", 1), ("b", 2)]"#);
        routers.undo(0);
        assert_eq!(routers.of(&a).map(|it| it.holder), Some(HolderId::new(1)), "it was committed");
    }
}
