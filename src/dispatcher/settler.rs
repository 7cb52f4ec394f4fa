use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::shared::{Shared, Slot};
use crate::service::Core;
use crate::store::Settlement;

/// A settlement on its way to the store, with the place that it frees.
pub(super) struct Settling {
    pub(super) settlement: Settlement,
    pub(super) slot: Slot,
    /// When the lease ends: later there is no use in recording it.
    pub(super) until: Instant,
}

/// The most settlements that are recorded at once.
const BATCH: usize = 256;

/// Starts to record settlements, several at once, in the order in which they come. Dropping the sender
/// ends the task once all are recorded.
pub(super) fn spawn(core: Arc<Core>, shared: Arc<Shared>) -> (UnboundedSender<Settling>, JoinHandle<()>) {
    // Bounded by the places that settlements hold until they are recorded.
    let (sender, receiver) = unbounded_channel();
    (sender, tokio::spawn(run(core, shared, receiver)))
}

async fn run(core: Arc<Core>, shared: Arc<Shared>, mut receiver: UnboundedReceiver<Settling>) {
    let mut batch = Vec::with_capacity(BATCH);
    while receiver.recv_many(&mut batch, BATCH).await > 0 {
        settle(&core, &shared, std::mem::take(&mut batch)).await;
    }
}

/// Records a batch, trying again for as long as any of its leases holds. What cannot be recorded is
/// delivered again.
async fn settle(core: &Core, shared: &Shared, batch: Vec<Settling>) {
    let until = batch.iter().map(|item| item.until).max();
    let parts = batch.into_iter().map(|item| (item.settlement, item.slot));
    let (settlements, slots): (Vec<_>, Vec<_>) = parts.unzip();
    while let Err(error) = core.store().settle(&settlements).await {
        let failures = shared.store_failed(&error);
        if until.is_none_or(|until| until <= Instant::now()) {
            warn!(%error, lost = settlements.len(), "outcomes could not be recorded; they come again");
            return;
        }
        warn!(%error, failures, "outcomes could not be recorded yet");
        sleep(backoff(failures)).await;
    }
    shared.store_answered();
    settlements.iter().for_each(tell);
    drop(slots);
}

fn tell(settlement: &Settlement) {
    if let Some(disable) = &settlement.disable {
        info!(delivery = %settlement.id, reason = %disable.reason, "webhook disabled");
    }
}

/// How long to leave the store alone after this many failures in a row: 50 ms, doubling up to 3.2 s.
pub(super) fn backoff(failures: u32) -> Duration {
    Duration::from_millis(50 << failures.saturating_sub(1).min(6))
}
