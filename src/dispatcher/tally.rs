//! [`Tally`]: the attempts that were recorded since the store was last told of them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{HookId, TenantId};
use crate::store::{Claim, Counted, Hour, Settlement};

/// The time from the first count to the call that hands all to the store.
const EVERY: Duration = Duration::from_secs(60);
/// The number of webhooks and hours at which the store is told at once.
const FULL: usize = 4096;

/// The attempts at each webhook that were recorded and not handed to the store yet.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: HashMap<(TenantId, HookId, Hour), Counted>,
    /// When they are to be handed to the store; `None` while there are none.
    due: Option<Instant>,
}

impl Tally {
    /// Counts the attempt of a settlement that the store has applied, if one was made.
    pub(super) fn add(&mut self, claim: &Claim, settlement: &Settlement) {
        let Some(attempt) = &settlement.attempt else { return };
        let (tenant, hook, hour) = (&claim.tenant, claim.hook.hook_id(), Hour::of(attempt.at));
        let counted = self.counts.entry((tenant.clone(), hook, hour)).or_insert_with(|| Counted {
            tenant: tenant.clone(),
            hook,
            hour,
            attempts: 0,
            successes: 0,
            last_success_at: None,
        });
        counted.attempts += 1;
        if attempt.outcome.is_success() {
            counted.successes += 1;
            counted.last_success_at = counted.last_success_at.max(Some(attempt.at));
        }
        self.due.get_or_insert_with(|| Instant::now() + EVERY);
    }

    /// Returns when the counts are to be handed to the store.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns whether the counts are to be handed to the store now.
    pub(super) fn is_due(&self) -> bool {
        self.counts.len() >= FULL || self.due.is_some_and(|due| due <= Instant::now())
    }

    /// Takes what was counted.
    pub(super) fn take(&mut self) -> Vec<Counted> {
        self.due = None;
        self.counts.drain().map(|(_, counted)| counted).collect()
    }
}
