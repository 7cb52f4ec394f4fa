//! The task that records settlements, in batches, until the store takes them, and counts the attempts.

use std::sync::Arc;
use std::time::Duration;
use std::vec::Drain;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

use super::shared::{Shared, Slot};
use super::tally::Tally;
use crate::catch_panic::catch_panic;
use crate::service::Core;
use crate::store::{Claim, Settled, Settlement, StoreError, StoreErrorKind};

/// A settlement on its way to the store, with its claim and the slot that it frees.
pub(super) struct Settling {
    pub(super) claim: Claim,
    pub(super) settlement: Settlement,
    pub(super) slot: Slot,
    /// The end of the lease. Recording the settlement later has no effect.
    pub(super) until: Instant,
}

/// The most settlements that are recorded at once.
const BATCH: usize = 256;

/// The most webhooks and hours that one call counts.
const COUNTS: usize = 500;

/// Starts the task that records settlements in batches, in the order of their arrival. Dropping the sender ends the
/// task once all are recorded.
pub(super) fn spawn(core: Arc<Core>, shared: Arc<Shared>) -> (UnboundedSender<Settling>, JoinHandle<()>) {
    // Bounded by the slots that settlements hold until they are recorded.
    let (sender, receiver) = unbounded_channel();
    (sender, tokio::spawn(run(core, shared, receiver)))
}

async fn run(core: Arc<Core>, shared: Arc<Shared>, mut receiver: UnboundedReceiver<Settling>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut tally = Tally::default();
    loop {
        let receiving = receiver.recv_many(&mut batch, BATCH);
        let received = match tally.due() {
            Some(due) => timeout_at(due, receiving).await.ok(),
            None => Some(receiving.await),
        };
        if received == Some(0) {
            break;
        }
        if !batch.is_empty() {
            settle(&core, &shared, &mut tally, batch.drain(..)).await;
        }
        if tally.is_due() {
            count(&core, &shared, &mut tally).await;
        }
    }
    count(&core, &shared, &mut tally).await;
}

/// Hands the counts to the store. A failed call is not repeated: it may have counted, and nothing may count twice.
async fn count(core: &Core, shared: &Shared, tally: &mut Tally) {
    let panicked = || StoreError::new(StoreErrorKind::Unavailable, "the store panicked");
    for part in tally.take().chunks(COUNTS) {
        let counting = catch_panic(core.store().count(core.counter(), part));
        let counted = shared.calls.answer(counting).await.unwrap_or_else(|| Err(panicked()));
        if let Err(error) = counted {
            let attempts: u64 = part.iter().map(|it| u64::from(it.attempts)).sum();
            warn!(
                error = error.detail(),
                attempts, "attempts could not be counted; the statistics lack them"
            );
        }
    }
}

/// Records a batch, and tells of it. Deliveries whose outcome cannot be recorded are sent again.
async fn settle(core: &Core, shared: &Shared, tally: &mut Tally, batch: Drain<'_, Settling>) {
    let until = batch.as_slice().iter().map(|item| item.until).max();
    let (settlements, claims): (Vec<_>, Vec<_>) =
        batch.map(|item| (item.settlement, (item.claim, item.slot))).unzip();
    let Some(answers) = record(core, shared, &settlements, until).await else { return };
    shared.count_recorded(settlements.iter().filter(|item| item.attempt.is_some()).count());
    let fenced = answers.iter().filter(|answer| **answer == Settled::Fenced).count();
    if fenced > 0 {
        debug!(fenced, "outcomes came after their leases had ended, and were not recorded");
    }
    for ((claim, slot), (settlement, answer)) in claims.into_iter().zip(settlements.iter().zip(&answers)) {
        let Settled::Applied(effect) = answer else { continue };
        tally.add(&claim, settlement);
        core.tell_settled(&claim, settlement, effect);
        if effect.end.is_some() {
            slot.end();
        }
    }
}

/// Records settlements, and tries again while any of their leases holds, the last one until `until`. `None` if the store
/// has not taken them.
async fn record(
    core: &Core,
    shared: &Shared,
    settlements: &[Settlement],
    until: Option<Instant>,
) -> Option<Vec<Settled>> {
    loop {
        let began = Instant::now();
        let error = match shared.calls.answer(try_settle(core, settlements)).await {
            Ok(answers) => {
                shared.store_answered();
                core.tell_batch(settlements.len(), began.elapsed());
                return Some(answers);
            }
            Err(error) => error,
        };
        let failures = shared.store_failed(&error);
        let error = error.detail();
        if until.is_none_or(|until| until <= Instant::now()) {
            warn!(error, lost = settlements.len(), "outcomes could not be recorded; they come again");
            return None;
        }
        warn!(error, failures, "outcomes could not be recorded yet");
        sleep(backoff(failures)).await;
    }
}

/// Counts a panic of the store as a failure.
async fn try_settle(core: &Core, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
    let panicked = || StoreError::new(StoreErrorKind::Unavailable, "the store panicked");
    catch_panic(core.store().settle(settlements)).await.unwrap_or_else(|| Err(panicked()))
}

/// Returns the delay before the next call after this many failures in a row: 50 ms, doubling up to 3.2 s.
pub(super) fn backoff(failures: u32) -> Duration {
    Duration::from_millis(50 << failures.saturating_sub(1).min(6))
}
