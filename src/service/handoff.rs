//! The way of a published delivery to the dispatcher of the same process, without a claim of its own.

use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::store::{Claim, ClaimRequest};

/// A dispatcher of this process that takes deliveries as they are published.
pub(crate) trait Handoff: Debug + Send + Sync {
    /// Returns the claim that publishing may make for the dispatcher, and the reading of its own clock from which the
    /// lease counts. `None` if it has no room.
    fn offer(&self) -> Option<(ClaimRequest, Duration)>;

    /// Takes claims that were made by an offer. Gives them back if the dispatcher has stopped in the meantime.
    fn take(&self, claims: Vec<Claim>, asked_at: Duration) -> Result<(), Vec<Claim>>;
}

/// The place for the one dispatcher that publishers hand deliveries to.
#[derive(Default)]
pub(super) struct HandoffSlot(RwLock<Option<Arc<dyn Handoff>>>);

impl HandoffSlot {
    pub(super) fn get(&self) -> Option<Arc<dyn Handoff>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(feature = "dispatcher")]
impl HandoffSlot {
    /// Fills the slot if it is empty, and returns whether it was.
    pub(super) fn fill(&self, handoff: Arc<dyn Handoff>) -> bool {
        let mut present = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let empty = present.is_none();
        if empty {
            *present = Some(handoff);
        }
        empty
    }

    pub(super) fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
