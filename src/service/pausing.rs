//! Pauses webhooks and suspends tenants: their deliveries wait.

use super::error::Error;
use super::tenant::Tenant;
use crate::model::{HookId, Scope, Timestamp, Webhook};
use crate::registry;

impl Tenant {
    /// Pauses a webhook: its deliveries wait until it is [resumed](Self::resume), those of new events too. After this has
    /// returned, no attempt starts in this process.
    ///
    /// A pause stands beside the status, and no edit ends it. Disabling is for a receiver that is gone: new events skip a
    /// disabled webhook. What waits expires as ever, see [`Policy::with_expires`](crate::policy::Policy::with_expires).
    ///
    /// ```
    /// # async fn run(acme: hookwire::Tenant, hook_id: hookwire::HookId) -> Result<(), hookwire::Error> {
    /// acme.pause(hook_id).await?; // the receiver is being updated
    /// acme.resume(hook_id).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound), [`MissingScope`](crate::ErrorKind::MissingScope),
    /// [`Conflict`](crate::ErrorKind::Conflict), [`Store`](crate::ErrorKind::Store).
    ///
    /// # Cancellation
    ///
    /// The webhook is paused or not; pausing it again is harmless.
    pub async fn pause(&self, hook_id: HookId) -> Result<Webhook, Error> {
        self.set_paused(hook_id, true).await
    }

    /// Resumes a webhook that was [paused](Self::pause). What waits is delivered, unless the webhook is disabled.
    ///
    /// # Errors
    ///
    /// As [`pause`](Self::pause).
    ///
    /// # Cancellation
    ///
    /// The webhook is resumed or not; resuming it again is harmless.
    pub async fn resume(&self, hook_id: HookId) -> Result<Webhook, Error> {
        self.set_paused(hook_id, false).await
    }

    async fn set_paused(&self, hook_id: HookId, is_paused: bool) -> Result<Webhook, Error> {
        self.require(Scope::Update)?;
        self.change(|registry, terms| Ok(registry::set_paused(hook_id, is_paused, registry, terms.now)?))
            .await
    }

    /// Suspends the tenant: nothing is delivered to its webhooks until that is [ended](Self::unsuspend). Events are
    /// published as ever, and wait.
    ///
    /// It is for an account that does not pay, and the host's call, so it needs no scope. What waits expires as ever. After
    /// this has returned, no attempt starts in this process.
    ///
    /// # Errors
    ///
    /// [`Conflict`](crate::ErrorKind::Conflict), [`Store`](crate::ErrorKind::Store).
    ///
    /// # Cancellation
    ///
    /// The tenant is suspended or not; suspending it again is harmless.
    pub async fn suspend(&self) -> Result<(), Error> {
        self.set_suspended(true).await
    }

    /// Ends the [suspension](Self::suspend) of the tenant. What waits is delivered.
    ///
    /// # Errors
    ///
    /// As [`suspend`](Self::suspend).
    ///
    /// # Cancellation
    ///
    /// The suspension is ended or not; ending it again is harmless.
    pub async fn unsuspend(&self) -> Result<(), Error> {
        self.set_suspended(false).await
    }

    async fn set_suspended(&self, is_suspended: bool) -> Result<(), Error> {
        self.commit(|registry, terms| Ok(registry::set_suspended(is_suspended, registry, terms.now)))
            .await
            .map(|_| ())
    }

    /// Returns since when the tenant is [suspended](Self::suspend); `None` while it is not.
    ///
    /// # Errors
    ///
    /// [`Store`](crate::ErrorKind::Store).
    pub async fn suspended_since(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.core.store().registry(&self.id).await?.suspended)
    }
}
