//! [`Unprepared`]: the webhooks for which no request can be made, so that the log tells of each once.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::model::{FailureKind, Outcome};
use crate::store::Claim;

use super::slow_start::LaneKey;

/// The number of webhooks that are remembered. Of more than these, some are told twice.
const MAX: usize = 10_000;

/// The webhooks whose last request could not be made.
#[derive(Debug, Default)]
pub(super) struct Unprepared(Mutex<HashSet<LaneKey>>);

impl Unprepared {
    /// Returns whether to log that no request could be made: only if the last one of the webhook could.
    pub(super) fn is_news(&self, claim: &Claim, outcome: &Outcome) -> bool {
        let is_unprepared = matches!(outcome, Outcome::Failed { kind: FailureKind::Prepare, .. });
        // Every change leaves the set whole.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() && !is_unprepared {
            return false;
        }
        let lane = (claim.tenant.clone(), claim.hook.hook_id());
        if !is_unprepared {
            known.remove(&lane);
            return false;
        }
        if known.len() >= MAX {
            known.clear();
        }
        known.insert(lane)
    }
}
