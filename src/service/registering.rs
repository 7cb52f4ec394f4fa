//! Registers, changes, lists and deletes webhooks.

use super::address::AddressFinding;
use super::details::Details;
use super::error::Error;
use super::secrets::{in_clear, random_bytes, secret_stays};
use super::tenant::Tenant;
use crate::model::{
    CreationKey, CreationRecord, DeliveryOptions, HookId, Scope, SealedSecrets, Status, Webhook,
    WebhookDraft, WebhookPatch,
};
use crate::registry::{self, Backlog, Refusal, RegisteredWebhook, Registry, RegistryChange, Terms};
use crate::signature::{KeyRing, Secret, SigningKey};
use crate::store::{StoreError, StoreErrorKind};

/// A webhook that was created, with the secret that its receiver needs.
#[derive(Clone, Debug)]
pub struct Created {
    webhook: Webhook,
    secret: Secret,
    warnings: Vec<String>,
}

impl Created {
    /// The webhook.
    pub const fn webhook(&self) -> &Webhook {
        &self.webhook
    }

    /// The secret by which its receiver verifies requests.
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Problems that do not refuse the webhook but may keep deliveries from it, such as a host name that is not
    /// resolved.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// A webhook that is created under a key: by this call, or by an earlier one.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "this call has created it or it has not")]
pub enum CreatedOnce {
    /// This call has created it.
    Now(Created),
    /// An earlier call with the same key and content has created it. This is how it is now, whatever has changed since.
    Before(Webhook),
}

impl CreatedOnce {
    /// The webhook.
    pub const fn webhook(&self) -> &Webhook {
        match self {
            Self::Now(created) => created.webhook(),
            Self::Before(webhook) => webhook,
        }
    }
}

/// A webhook that was replaced or patched.
#[derive(Clone, Debug)]
pub struct Updated {
    webhook: Webhook,
    warnings: Vec<String>,
}

impl Updated {
    /// The webhook as it is now.
    pub const fn webhook(&self) -> &Webhook {
        &self.webhook
    }

    /// Problems that may keep deliveries from it, as with a webhook that was [created](Created::warnings). Empty if
    /// the URL stayed as it was.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// How often the rules are checked again after another change came first.
const MAX_CONFLICTS: usize = 32;

impl Tenant {
    /// Registers a webhook, with a new secret or the one that the [draft brings](WebhookDraft::secret).
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) with every violation, [`LimitReached`](crate::ErrorKind::LimitReached),
    /// [`NotInEdition`](crate::ErrorKind::NotInEdition), [`MissingScope`](crate::ErrorKind::MissingScope),
    /// [`Conflict`](crate::ErrorKind::Conflict), [`Store`](crate::ErrorKind::Store).
    ///
    /// # Cancellation
    ///
    /// The webhook is registered or not; list to find out.
    pub async fn create(&self, draft: &WebhookDraft) -> Result<Created, Error> {
        self.require(Scope::Create)?;
        self.register(draft, |secrets, registry, terms| registry::create(draft, secrets, registry, terms))
            .await
    }

    /// Registers a webhook under a key, unless it was registered under that key before. It is the `Idempotency-Key` of an
    /// HTTP API: a client that has got no answer calls again with the same key and the same draft.
    ///
    /// A repeated call answers with the webhook as it is now, even where it could not be created any more, and sends nothing. Its
    /// secret is told by the first call alone: read it by [`reveal_secret`](Self::reveal_secret) if that answer was lost. Of
    /// calls at the same time, one creates the webhook. A key belongs to its tenant, is kept as a hash, and may be used again
    /// once the webhook is deleted.
    ///
    /// ```
    /// # async fn run(acme: hookwire::Tenant, draft: hookwire::WebhookDraft) -> Result<(), Box<dyn std::error::Error>> {
    /// use hookwire::model::CreationKey;
    /// use hookwire::service::CreatedOnce;
    ///
    /// let key = CreationKey::new("0b6d2f5c-6a3e-4a55-9d1b-6f6c0f6a7f10")?; // what the client has sent
    /// match acme.create_once(&key, &draft).await? {
    ///     CreatedOnce::Now(created) => println!("created: {}", created.webhook().hook_id()),
    ///     CreatedOnce::Before(webhook) => println!("it was there: {}", webhook.hook_id()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), and [`CreationKeyReused`](crate::ErrorKind::CreationKeyReused) if the key has created a
    /// webhook from another draft. A call that is refused does not use up its key.
    ///
    /// # Cancellation
    ///
    /// The webhook is registered or not; call again to find out.
    pub async fn create_once(&self, key: &CreationKey, draft: &WebhookDraft) -> Result<CreatedOnce, Error> {
        self.require(Scope::Create)?;
        let creation = CreationRecord::new(key, draft);
        if let Some(webhook) = self.created_before(&creation).await? {
            return Ok(CreatedOnce::Before(webhook));
        }
        let create = |secrets, registry: &Registry, terms: Terms<'_>| {
            registry::create_once(draft, creation, secrets, registry, terms)
        };
        let refused = match self.register(draft, create).await {
            Ok(created) => return Ok(CreatedOnce::Now(created)),
            Err(refused) => refused,
        };
        // A call at the same time may have been first, and have reached the limit.
        self.created_before(&creation).await?.map(CreatedOnce::Before).ok_or(refused)
    }

    /// Returns the webhook that the same request has created before.
    async fn created_before(&self, creation: &CreationRecord) -> Result<Option<Webhook>, Error> {
        let registry = self.core.store().registry(&self.id).await?;
        let present = registry::find_created(creation, &registry)?;
        Ok(present.map(|registered| registered.webhook.clone()))
    }

    /// Registers the webhook that `create` makes of a draft, with the secret that it brings or a new one.
    async fn register(
        &self,
        draft: &WebhookDraft,
        create: impl Fn(SealedSecrets, &Registry, Terms<'_>) -> Result<RegistryChange, Refusal> + Send + Sync,
    ) -> Result<Created, Error> {
        let brought = self.core.brought(draft.secret.as_deref());
        let refused = brought.as_ref().err().cloned();
        let secret = match brought {
            Ok(Some(secret)) => secret,
            Ok(None) | Err(_) => Secret::from_random(*random_bytes()?),
        };
        let secrets = in_clear(&KeyRing::new(secret.clone()));
        let decide = |registry: &Registry, terms: Terms<'_>| {
            Refusal::with(refused.as_ref(), create(secrets.clone(), registry, terms))
        };
        let address = self.check_new_receiver(draft.url(), decide).await?;
        let webhook = self.change(|registry, terms| address.judge(decide(registry, terms))).await?;
        Ok(Created { webhook, secret, warnings: address.warnings() })
    }

    /// Replaces a webhook by a draft. It keeps its id, its secrets and its options, and its status if the draft names
    /// none.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create), and [`NotFound`](crate::ErrorKind::NotFound).
    ///
    /// # Cancellation
    ///
    /// The webhook is replaced or not.
    pub async fn replace(&self, hook_id: HookId, draft: &WebhookDraft) -> Result<Updated, Error> {
        self.require(Scope::Update)?;
        let present = self.get_registered(hook_id).await?;
        let refused = draft.secret.is_some().then(secret_stays);
        let decide = |registry: &Registry, terms: Terms<'_>| {
            Refusal::with(refused.as_ref(), registry::replace(hook_id, draft, registry, terms))
        };
        let address = self.check_new_address(&present, draft.url(), decide).await?;
        let webhook = self.change(|registry, terms| address.judge(decide(registry, terms))).await?;
        Ok(Updated { webhook, warnings: address.warnings() })
    }

    /// Changes the attributes that `patch` names.
    ///
    /// # Errors
    ///
    /// As [`replace`](Self::replace).
    ///
    /// # Cancellation
    ///
    /// The webhook is changed or not.
    pub async fn patch(&self, hook_id: HookId, patch: &WebhookPatch) -> Result<Updated, Error> {
        self.require(Scope::Update)?;
        let present = self.get_registered(hook_id).await?;
        let decide = |registry: &Registry, terms: Terms<'_>| registry::patch(hook_id, patch, registry, terms);
        let url = patch.apply(&present.webhook);
        let address = self.check_new_address(&present, url.url(), decide).await?;
        let webhook = self.change(|registry, terms| address.judge(decide(registry, terms))).await?;
        Ok(Updated { webhook, warnings: address.warnings() })
    }

    /// Enables a webhook, and resumes or drops its waiting deliveries.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound), [`NotInEdition`](crate::ErrorKind::NotInEdition),
    /// [`MissingScope`](crate::ErrorKind::MissingScope), [`Conflict`](crate::ErrorKind::Conflict),
    /// [`Store`](crate::ErrorKind::Store).
    ///
    /// # Cancellation
    ///
    /// The webhook is enabled or not; enabling it again is harmless.
    pub async fn enable(&self, hook_id: HookId, backlog: Backlog) -> Result<Webhook, Error> {
        self.require(Scope::Update)?;
        self.change(|registry, terms| {
            terms.limits.ok_or(Refusal::NotInEdition)?;
            Ok(registry::set_status(hook_id, Status::Enabled, backlog, registry, terms.now)?)
        })
        .await
    }

    /// Disables a webhook. Its deliveries wait, and new events skip it; [`pause`](Self::pause) lets them wait. After this
    /// has returned, no attempt starts in this process.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound), [`MissingScope`](crate::ErrorKind::MissingScope),
    /// [`Conflict`](crate::ErrorKind::Conflict), [`Store`](crate::ErrorKind::Store).
    ///
    /// # Cancellation
    ///
    /// The webhook is disabled or not; disabling it again is harmless.
    pub async fn disable(&self, hook_id: HookId) -> Result<Webhook, Error> {
        self.require(Scope::Update)?;
        self.change(|registry, terms| {
            Ok(registry::set_status(hook_id, Status::Disabled, Backlog::Resume, registry, terms.now)?)
        })
        .await
    }

    /// Deletes a webhook. Its waiting deliveries end as cancelled, and its id is not used again.
    ///
    /// # Errors
    ///
    /// As [`disable`](Self::disable).
    ///
    /// # Cancellation
    ///
    /// The webhook is deleted or not.
    pub async fn delete(&self, hook_id: HookId) -> Result<(), Error> {
        self.require(Scope::Delete)?;
        self.commit(|registry, _| Ok(registry::delete(hook_id, registry)?)).await.map(|_| ())
    }

    /// Sets a webhook's delivery options: envelope, template, signature scheme, headers.
    ///
    /// A signature scheme that needs another kind of key, such as `V1a` after `V1`, gives the webhook a new key. The
    /// old one signs along as after a [rotation](Self::rotate_secret). [`reveal_secret`](Self::reveal_secret) returns
    /// the key that its receiver needs from then on.
    ///
    /// # Errors
    ///
    /// As [`rotate_secret`](Self::rotate_secret), and [`Invalid`](crate::ErrorKind::Invalid) for a template where the catalog
    /// [allows none](crate::model::CatalogBuilder::allow_templates).
    ///
    /// # Cancellation
    ///
    /// The options are set or not.
    pub async fn set_options(&self, hook_id: HookId, options: DeliveryOptions) -> Result<(), Error> {
        self.require(Scope::Update)?;
        let random = random_bytes()?;
        let mut rotates = false;
        let set = |registry: &Registry, terms: Terms<'_>| {
            let present = registry.get(hook_id).ok_or(Refusal::NotFound(hook_id))?;
            rotates = present.options.signature().is_asymmetric() != options.signature().is_asymmetric();
            let secrets = if rotates {
                self.rotated(present, SigningKey::from_random(options.signature(), *random), None)?
            } else {
                present.secrets.clone()
            };
            Ok(registry::set_options(hook_id, options.clone(), secrets, registry, terms.catalog)?)
        };
        self.change(set).await?;
        if rotates {
            self.secret_rotated(hook_id);
        }
        Ok(())
    }

    /// Reads one webhook.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound), [`MissingScope`](crate::ErrorKind::MissingScope),
    /// [`Store`](crate::ErrorKind::Store).
    pub async fn get(&self, hook_id: HookId) -> Result<Webhook, Error> {
        self.require(Scope::Read)?;
        self.get_registered(hook_id).await.map(|registered| registered.webhook)
    }

    /// Reads a webhook's version and options, since when and why it is disabled or paused, since when it fails, and its
    /// last success.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn details(&self, hook_id: HookId) -> Result<Details, Error> {
        self.require(Scope::Read)?;
        let RegisteredWebhook { webhook, options, version, disabled, paused, .. } =
            self.get_registered(hook_id).await?;
        let health = self.core.store().health(&self.id, hook_id).await?;
        let failing_since = health.and_then(|health| health.failing_since());
        let statistics = self.core.store().statistics(&self.id, hook_id, self.core.now()).await?;
        let last_success_at = statistics.and_then(|statistics| statistics.last_success_at);
        Ok(Details { webhook, version, options, disabled, paused, failing_since, last_success_at })
    }

    /// Lists the tenant's webhooks, by ascending id.
    ///
    /// # Errors
    ///
    /// [`MissingScope`](crate::ErrorKind::MissingScope), [`Store`](crate::ErrorKind::Store).
    pub async fn list(&self) -> Result<Vec<Webhook>, Error> {
        self.require(Scope::Read)?;
        let registry = self.core.store().registry(&self.id).await?;
        Ok(registry.webhooks.into_iter().map(|registered| registered.webhook).collect())
    }

    pub(super) async fn get_registered(&self, hook_id: HookId) -> Result<RegisteredWebhook, Error> {
        let registry = self.core.store().registry(&self.id).await?;
        registry.get(hook_id).cloned().ok_or_else(|| Refusal::NotFound(hook_id).into())
    }

    /// Commits the change that `decide` makes of the registry, and returns the changed webhook.
    pub(super) async fn change(
        &self,
        decide: impl FnMut(&Registry, Terms<'_>) -> Result<RegistryChange, Error>,
    ) -> Result<Webhook, Error> {
        let change = self.commit(decide).await?;
        let registered = change.registered().map(|new| new.webhook.clone());
        registered.ok_or_else(|| StoreError::from(StoreErrorKind::Conflict).into())
    }

    /// Commits the change that `decide` makes of the registry, and decides again each time another change came first.
    ///
    /// Every change goes through here, so that no secret reaches the store unsealed.
    pub(super) async fn commit(
        &self,
        mut decide: impl FnMut(&Registry, Terms<'_>) -> Result<RegistryChange, Error>,
    ) -> Result<RegistryChange, Error> {
        let mut last: Option<StoreError> = None;
        for _ in 0..MAX_CONFLICTS {
            let registry = self.core.store().registry(&self.id).await?;
            let change = decide(&registry, self.core.terms(&self.id))?;
            self.check_version(&registry, &change)?;
            let change = self.core.sealed(&self.id, change)?;
            match self.core.store().commit(&self.id, registry.revision, &change).await {
                Ok(_) => {
                    self.core.changed(&self.id, &registry, &change);
                    self.core.tell_changed(&self.id, &registry, &change);
                    return Ok(change);
                }
                Err(error) if error.kind() == StoreErrorKind::Conflict => last = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.unwrap_or_else(|| StoreErrorKind::Conflict.into()).into())
    }

    /// Checks a URL unless it is the one that the webhook has already.
    async fn check_new_address(
        &self,
        present: &RegisteredWebhook,
        url: &str,
        decide: impl Fn(&Registry, Terms<'_>) -> Result<RegistryChange, Refusal> + Send,
    ) -> Result<AddressFinding, Error> {
        if present.webhook.url().as_str() == url {
            return Ok(AddressFinding::default());
        }
        self.check_new_receiver(url, decide).await
    }
}
