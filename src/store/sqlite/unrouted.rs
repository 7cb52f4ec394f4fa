//! Writing events that a dispatcher is to route.

use super::store::SqliteStore;
use super::threads::writer::Job;
use super::transaction::Transaction;
use crate::model::{StampedEvent, TenantId};
use crate::store::error::StoreError;
use crate::store::publication::warn_duplicate_id;

impl SqliteStore {
    /// Writes an event without routing it; a dispatcher routes it. Nothing happens when the tenant has a message of
    /// that id already; if that has other content, a warning is logged.
    ///
    /// # Errors
    ///
    /// [`StoreError`], as from every method of [`Store`](crate::store::Store).
    ///
    /// # Cancellation
    ///
    /// The event is written or not.
    pub async fn publish_unrouted(&self, tenant: &TenantId, event: StampedEvent) -> Result<(), StoreError> {
        let (bytes, id) = (event.payload.get().len(), event.message_id.clone());
        let written = self.publish_all_unrouted(vec![(tenant.clone(), event)], bytes).await?;
        if written != [true] {
            warn_duplicate_id(tenant, &id);
        }
        Ok(())
    }

    /// Writes events in this order, all of them or none; tells of each whether it is what the tenant has under its
    /// message id, and not something else that was published before.
    pub(super) async fn publish_all_unrouted(
        &self,
        events: Vec<(TenantId, StampedEvent)>,
        bytes: usize,
    ) -> Result<Vec<bool>, StoreError> {
        let rows = events.len();
        let write = move |it: &mut Transaction<'_>| {
            events.iter().map(|(tenant, event)| it.publish_unrouted(tenant, event)).collect()
        };
        let (job, answer) = Job::write((rows, bytes), write, |_, written| written);
        self.writer.ask(job, answer).await
    }
}
