//! The handle on one tenant, its scopes, and the removal of all its data.

use std::fmt;
use std::sync::Arc;

use super::core::Core;
use super::error::{Error, ErrorKind};
use super::visibility::Visibility;
use crate::model::{HookId, Scope, Scopes, TenantId};
use crate::registry::{Limits, Registry, RegistryChange, Version};
use crate::store::{Stats, StatsScope};

/// A handle on the webhooks of one tenant. Clones share everything.
///
/// The scopes of the handle decide which calls it allows:
///
/// | scope | calls |
/// |---|---|
/// | `READ` | `list`, `get`, `details`, `explain`, `messages`, `deliveries`, `deliveries_with_attempts`, `attempts`, `recent_attempts`, `statistics`, `stats`, `webhook_stats`, `route` |
/// | `CREATE` | `create`, `create_once` |
/// | `UPDATE` | `replace`, `patch`, `enable`, `disable`, `pause`, `resume`, `set_options`, `rotate_secret`, `reveal_secret`, `redeliver`, `redeliver_as_new`, `recover` |
/// | `RECOVER` | `recover_skipped` |
/// | `DELETE` | `delete`, `erase_payload`, `delete_everything` |
/// | `CREATE` or `UPDATE` | `ping`, `ping_url`, `ping_event`, `check_receiver` |
///
/// `publish`, `suspend`, `unsuspend` and `deliver_due` need no scope: they are calls of the host, not of its user.
///
/// ```
/// # async fn run(hooks: hookwire::Webhooks) -> Result<(), Box<dyn std::error::Error>> {
/// use hookwire::TenantId;
///
/// let scopes = hooks.catalog().scope_prefix().parse("ZohoAssist.webhooks.READ")?;
/// let reader = hooks.tenant(TenantId::new("acme")?).with_scopes(scopes);
/// let webhooks = reader.list().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tenant {
    pub(super) core: Arc<Core>,
    pub(super) id: TenantId,
    scopes: Scopes,
    pub(super) visibility: Visibility,
    expected: Option<Version>,
}

impl Tenant {
    pub(super) fn new(core: Arc<Core>, id: TenantId, scopes: Scopes) -> Self {
        let visibility = core.visibility();
        Self { core, id, scopes, visibility, expected: None }
    }

    #[cfg(feature = "dispatcher")]
    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Returns the id of the tenant.
    pub const fn id(&self) -> &TenantId {
        &self.id
    }

    /// Returns a handle that has only the scopes that both this handle and `scopes` grant.
    #[must_use]
    pub fn with_scopes(&self, scopes: Scopes) -> Self {
        Self { scopes: self.scopes.intersect(scopes), ..self.clone() }
    }

    /// Returns a handle that shows attempts and pings with the details of failures and the answers of receivers.
    ///
    /// Details may name addresses inside the host's network, so other handles leave them out. Use this one only for
    /// the operator.
    #[must_use]
    pub fn for_operator(&self) -> Self {
        Self { visibility: Visibility::Operator, ..self.clone() }
    }

    /// Returns a handle that changes or deletes a webhook only if it is at this [version](crate::service::Details::version),
    /// so that nobody overwrites what somebody else has changed meanwhile. It is the `If-Match` of an HTTP API.
    ///
    /// ```
    /// # async fn rename(acme: hookwire::Tenant, id: hookwire::HookId) -> Result<(), hookwire::Error> {
    /// use hookwire::ErrorKind;
    /// use hookwire::model::WebhookPatch;
    ///
    /// let seen = acme.details(id).await?.version;
    /// let renamed = acme.expecting(seen).patch(id, &WebhookPatch::new().name("Journal")).await;
    /// if renamed.is_err_and(|error| *error.kind() == ErrorKind::Outdated) {
    ///     println!("somebody else has changed it; read it again");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn expecting(&self, version: Version) -> Self {
        Self { expected: Some(version), ..self.clone() }
    }

    /// Refuses a change of a webhook that is not at the version that is expected, if one is.
    pub(super) fn check_version(&self, registry: &Registry, change: &RegistryChange) -> Result<(), Error> {
        let hook_id = match change {
            RegistryChange::Delete(hook_id) => *hook_id,
            RegistryChange::Update(new, _) => new.hook_id(),
            RegistryChange::Create(_) | RegistryChange::Suspend(_) => return Ok(()),
        };
        let present = registry.get(hook_id).map(|it| it.version);
        match self.expected {
            Some(expected) if present != Some(expected) => Err(Error::outdated(hook_id)),
            _ => Ok(()),
        }
    }

    /// Returns the limits of the tenant, to say them before one is reached; `None` if its edition has no webhooks.
    ///
    /// ```
    /// # async fn run(acme: hookwire::Tenant) -> Result<(), hookwire::Error> {
    /// if let Some(limits) = acme.limits() {
    ///     println!("{} of {} webhooks", acme.list().await?.len(), limits.webhooks());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn limits(&self) -> Option<Limits> {
        self.core.terms(&self.id).limits
    }

    /// Counts the tenant's deliveries that have not ended.
    ///
    /// # Errors
    ///
    /// [`MissingScope`](ErrorKind::MissingScope), [`Store`](ErrorKind::Store).
    pub async fn stats(&self) -> Result<Stats, Error> {
        self.require(Scope::Read)?;
        Ok(self.core.store().stats(&StatsScope::Tenant(self.id.clone())).await?)
    }

    /// Counts the deliveries of one webhook that have not ended; zero for a webhook that does not exist.
    ///
    /// # Errors
    ///
    /// [`MissingScope`](ErrorKind::MissingScope), [`Store`](ErrorKind::Store).
    pub async fn webhook_stats(&self, hook_id: HookId) -> Result<Stats, Error> {
        self.require(Scope::Read)?;
        Ok(self.core.store().stats(&StatsScope::Webhook(self.id.clone(), hook_id)).await?)
    }

    /// Removes all data of the tenant: webhooks, secrets, events and log. Their ids are never used again. After it
    /// has returned, this process starts no attempt to any of these webhooks.
    ///
    /// # Errors
    ///
    /// [`MissingScope`](ErrorKind::MissingScope), [`Store`](ErrorKind::Store). After a failure of the store, part of
    /// the data may be gone, as after a cancellation.
    ///
    /// # Cancellation
    ///
    /// Part of the data may be gone, the webhooks first. Call the method again: it continues from there, after any
    /// number of cancellations. It does nothing if nothing is left.
    pub async fn delete_everything(&self) -> Result<(), Error> {
        const STEP: usize = 500;
        self.require(Scope::Delete)?;
        loop {
            // The bound is the next id, because an earlier call that did not finish may have deleted the webhooks.
            let below = self.core.store().registry(&self.id).await?.next_hook_id;
            let erased = self.core.store().erase(&self.id, STEP).await?;
            self.core.erased(&self.id, below);
            if !erased.more {
                return Ok(());
            }
        }
    }

    pub(super) fn require(&self, scope: Scope) -> Result<(), Error> {
        self.require_any(&[scope])
    }

    pub(super) fn require_any(&self, scopes: &[Scope]) -> Result<(), Error> {
        if scopes.iter().any(|scope| self.scopes.grant(*scope)) {
            return Ok(());
        }
        let prefix = self.core.catalog().scope_prefix();
        let names: Vec<_> = scopes.iter().map(|scope| prefix.name(*scope)).collect();
        let message = format!("this needs the scope {}", names.join(" or "));
        Err(Error::new(ErrorKind::MissingScope, message))
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, scopes) = (&self.id, &self.scopes);
        f.debug_struct("Tenant").field("id", id).field("scopes", scopes).finish_non_exhaustive()
    }
}
