//! Sealing of stored secrets by a new key.

use super::error::{Error, ErrorKind};
use super::tenant::Tenant;
use super::webhooks::Webhooks;
use crate::model::{HookId, PageRequest, SealedSecrets, TenantId};
use crate::registry::{self, Refusal, Registry, Terms};
use crate::sealing::UnsealError;

/// The result of one step of [`Webhooks::reseal`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Resealed {
    /// The number of webhooks whose secrets were sealed anew.
    pub sealed: usize,
    /// The webhooks whose secrets cannot be unsealed, and stay as they were.
    pub unopened: Vec<Unopened>,
    /// The cursor of the next step, for [`PageRequest::after`]; `None` after the last.
    pub next: Option<String>,
}

/// A webhook whose secrets none of the keys unseals.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Unopened {
    /// The tenant of the webhook.
    pub tenant: TenantId,
    /// The id of the webhook.
    pub hook_id: HookId,
    /// The reason.
    pub error: UnsealError,
}

impl Webhooks {
    /// Seals secrets that are in clear, or sealed by an older key, by the current key, for one page of tenants.
    ///
    /// After the last page, if no step reported an unopened webhook, the older keys are no longer needed. Resealing
    /// counts as a change of the webhook, which delays attempts that are about to start for a moment.
    ///
    /// Without [`seal_with`](crate::service::WebhooksBuilder::seal_with) it changes nothing, and reports the webhooks
    /// whose secrets are sealed.
    ///
    /// ```
    /// # async fn run(hooks: hookwire::Webhooks) -> Result<(), hookwire::Error> {
    /// use hookwire::model::PageRequest;
    ///
    /// let mut page = PageRequest::first();
    /// loop {
    ///     let step = hooks.reseal(&page).await?;
    ///     step.unopened.iter().for_each(|it| println!("{} {}: {}", it.tenant, it.hook_id, it.error));
    ///     match step.next {
    ///         Some(cursor) => page = PageRequest::after(cursor),
    ///         None => break,
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Conflict`](ErrorKind::Conflict), [`Store`](ErrorKind::Store): try the same page again.
    /// [`Invalid`](ErrorKind::Invalid) when the page begins after a cursor that no step returned.
    ///
    /// # Cancellation
    ///
    /// Part of the page may be sealed. Try the same page again.
    pub async fn reseal(&self, page: &PageRequest) -> Result<Resealed, Error> {
        let tenants = self.tenants(page).await?;
        let mut done = Resealed { next: tenants.next, ..Resealed::default() };
        for tenant in tenants.items {
            self.tenant(tenant).reseal(&mut done).await?;
        }
        Ok(done)
    }
}

impl Tenant {
    async fn reseal(&self, done: &mut Resealed) -> Result<(), Error> {
        let registry = self.core.store().registry(&self.id).await?;
        for registered in &registry.webhooks {
            let hook_id = registered.hook_id();
            match self.core.open(&registered.secrets, (&self.id, hook_id)) {
                Err(error) => done.unopened.push(Unopened { tenant: self.id.clone(), hook_id, error }),
                Ok(_) if self.is_sealed(&registered.secrets) => {}
                Ok(_) => done.sealed += usize::from(self.reseal_one(hook_id).await?),
            }
        }
        Ok(())
    }

    /// Returns whether these secrets need no change.
    fn is_sealed(&self, secrets: &SealedSecrets) -> bool {
        self.core.sealing().is_none_or(|keys| keys.is_current(secrets))
    }

    /// Writes a webhook's secrets unchanged, which seals them. Returns whether the webhook still exists.
    async fn reseal_one(&self, hook_id: HookId) -> Result<bool, Error> {
        let reseal = |registry: &Registry, _: Terms<'_>| {
            let present = registry.get(hook_id).ok_or(Refusal::NotFound(hook_id))?;
            Ok(registry::set_secrets(hook_id, present.secrets.clone(), registry)?)
        };
        match self.commit(reseal).await {
            Ok(_) => Ok(true),
            Err(error) if *error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
