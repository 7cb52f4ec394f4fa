use tracing::{info, warn};

use super::core::random_bytes;
use super::error::Error;
use super::tenant::Tenant;
use crate::handshake::Consent;
use crate::model::{
    DeliveryOptions, DisableReason, FailureKind, HookId, Rule, Scope, SealedSecrets, Status, Violation,
    Webhook, WebhookDraft, WebhookPatch,
};
use crate::registry::{
    self, Backlog, Refusal, RegisteredWebhook, Registry, RegistryChange, Terms, check_url,
};
use crate::signature::{KeyRing, Secret, SigningKey, VerifyingKey};
use crate::store::{StoreError, StoreErrorKind};
use crate::transport::TransportError;

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

    /// The secret by which its receiver verifies what arrives.
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// What may keep it from being delivered to, and can be mended later: a host name that is not
    /// resolved, say.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
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

    /// What may keep it from being delivered to, and can be mended later, as with a webhook that was
    /// [created](Created::warnings). Empty when the URL stayed as it was.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// A webhook with what stands beside its Zoho attributes; never its secrets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Details {
    /// The webhook.
    pub webhook: Webhook,
    /// Its settings.
    pub options: DeliveryOptions,
    /// Why hookwire disabled it, if it did.
    pub disabled: Option<DisableReason>,
}

/// How often the rules are checked anew when others change the registry in between.
const MAX_CONFLICTS: usize = 32;

impl Tenant {
    /// Registers a webhook.
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
        let secret = Secret::from_random(*random_bytes()?);
        let secrets = in_clear(&KeyRing::new(secret.clone()));
        let decide =
            |registry: &Registry, terms: Terms<'_>| registry::create(draft, secrets.clone(), registry, terms);
        let address = self.check_receiver(draft.url(), decide).await?;
        let webhook = self.change(|registry, terms| address.judge(decide(registry, terms))).await?;
        Ok(Created { webhook, secret, warnings: address.warnings() })
    }

    /// Replaces a webhook by what `draft` asks for. It keeps its id, its secrets, its options, and its
    /// status where the draft names none.
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
        let decide =
            |registry: &Registry, terms: Terms<'_>| registry::replace(hook_id, draft, registry, terms);
        let address = self.check_new_address(&present, draft.url(), decide).await?;
        let webhook = self.change(|registry, terms| address.judge(decide(registry, terms))).await?;
        Ok(Updated { webhook, warnings: address.warnings() })
    }

    /// Changes what `patch` names.
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

    /// Enables a webhook, and resumes or drops the deliveries that waited.
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
            Ok(registry::set_status(hook_id, Status::Enabled, backlog, registry)?)
        })
        .await
    }

    /// Disables a webhook. Its deliveries wait; no attempt starts once this has returned in this process.
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
        self.change(|registry, _| {
            Ok(registry::set_status(hook_id, Status::Disabled, Backlog::Resume, registry)?)
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

    /// Sets what stands beside a webhook's Zoho attributes.
    ///
    /// A signature scheme that needs a key of another kind, `V1a` instead of `V1` say, gives the webhook a new
    /// key; the old one signs along as after a [rotation](Self::rotate_secret).
    /// [`reveal_secret`](Self::reveal_secret) tells what its receiver needs from then on.
    ///
    /// # Errors
    ///
    /// As [`rotate_secret`](Self::rotate_secret).
    ///
    /// # Cancellation
    ///
    /// The options are set or not.
    pub async fn set_options(&self, hook_id: HookId, options: DeliveryOptions) -> Result<(), Error> {
        self.require(Scope::Update)?;
        let random = random_bytes()?;
        let mut rotates = false;
        let set = |registry: &Registry, _: Terms<'_>| {
            let present = registry.get(hook_id).ok_or(Refusal::NotFound(hook_id))?;
            rotates = present.options.signature().is_asymmetric() != options.signature().is_asymmetric();
            let secrets = if rotates {
                self.rotated(present, SigningKey::from_random(options.signature(), *random))?
            } else {
                present.secrets.clone()
            };
            Ok(registry::set_options(hook_id, options.clone(), secrets, registry)?)
        };
        self.change(set).await?;
        if rotates {
            self.note(hook_id, "the secret was rotated");
        }
        Ok(())
    }

    /// Gives a webhook a new key, and tells what its receiver needs: the secret, or with `V1a` the public key.
    /// The old one signs along for a while, so that the receiver can change over: 24 h by default. The log tells
    /// of it, without the key.
    ///
    /// # Errors
    ///
    /// As [`disable`](Self::disable); [`Store`](crate::ErrorKind::Store) also when the present secrets do not
    /// open.
    ///
    /// # Cancellation
    ///
    /// The key is changed or not; reveal it to find out.
    pub async fn rotate_secret(&self, hook_id: HookId) -> Result<VerifyingKey, Error> {
        self.require(Scope::Update)?;
        let random = random_bytes()?;
        let new_key =
            |present: &RegisteredWebhook| SigningKey::from_random(present.options.signature(), *random);
        let rotate = |registry: &Registry, _: Terms<'_>| {
            let present = registry.get(hook_id).ok_or(Refusal::NotFound(hook_id))?;
            let secrets = self.rotated(present, new_key(present))?;
            Ok(registry::set_secrets(hook_id, secrets, registry)?)
        };
        let changed = self.commit(rotate).await?;
        self.note(hook_id, "the secret was rotated");
        match changed {
            RegistryChange::Create(new) | RegistryChange::Update(new, _) => Ok(new_key(&new).verifying_key()),
            RegistryChange::Delete(hook_id) => Err(Refusal::NotFound(hook_id).into()),
        }
    }

    /// The webhook's keys with `key` as the present one, and the one so far signing along.
    fn rotated(&self, present: &RegisteredWebhook, key: SigningKey) -> Result<SealedSecrets, Error> {
        let overlap = self.core.policy().secret_overlap();
        let ring = self.core.key_ring(&self.id, present)?;
        Ok(in_clear(&ring.rotate(key, overlap, self.core.now())))
    }

    /// Reads what a webhook's receiver needs: the present secret, or with `V1a` the public key. The log tells of
    /// it, without the key.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound), [`MissingScope`](crate::ErrorKind::MissingScope),
    /// [`Store`](crate::ErrorKind::Store).
    pub async fn reveal_secret(&self, hook_id: HookId) -> Result<VerifyingKey, Error> {
        self.require(Scope::Update)?;
        let ring = self.core.key_ring(&self.id, &self.get_registered(hook_id).await?)?;
        self.note(hook_id, "the secret was revealed");
        Ok(ring.current().verifying_key())
    }

    /// Notes in the log what was done with a webhook's secret.
    fn note(&self, hook_id: HookId, what: &str) {
        info!(target: "hookwire", tenant = %self.id, webhook = %hook_id, "{what}");
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

    /// Reads a webhook's options, and why hookwire disabled it if it did.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    pub async fn details(&self, hook_id: HookId) -> Result<Details, Error> {
        self.require(Scope::Read)?;
        let RegisteredWebhook { webhook, options, disabled, .. } = self.get_registered(hook_id).await?;
        Ok(Details { webhook, options, disabled })
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

    /// Commits what `decide` makes of the registry, and gives the webhook that it leaves.
    async fn change(
        &self,
        decide: impl FnMut(&Registry, Terms<'_>) -> Result<RegistryChange, Error>,
    ) -> Result<Webhook, Error> {
        match self.commit(decide).await? {
            RegistryChange::Create(new) | RegistryChange::Update(new, _) => Ok(new.webhook),
            RegistryChange::Delete(hook_id) => Err(Refusal::NotFound(hook_id).into()),
        }
    }

    /// Decides again on the registry as it is by then, each time somebody else was faster. The one way to a
    /// store's registry, so that no secret gets there unsealed.
    pub(super) async fn commit(
        &self,
        mut decide: impl FnMut(&Registry, Terms<'_>) -> Result<RegistryChange, Error>,
    ) -> Result<RegistryChange, Error> {
        let mut last: Option<StoreError> = None;
        for _ in 0..MAX_CONFLICTS {
            let registry = self.core.store().registry(&self.id).await?;
            let change = decide(&registry, self.core.terms(&self.id))?;
            let change = self.core.sealed(&self.id, change)?;
            match self.core.store().commit(&self.id, registry.revision, &change).await {
                Ok(_) => {
                    self.core.changed(&self.id, &change);
                    return Ok(change);
                }
                Err(error) if error.kind() == StoreErrorKind::Conflict => last = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.unwrap_or_else(|| StoreErrorKind::Conflict.into()).into())
    }

    async fn check_new_address(
        &self,
        present: &RegisteredWebhook,
        url: &str,
        decide: impl Fn(&Registry, Terms<'_>) -> Result<RegistryChange, Refusal> + Send,
    ) -> Result<AddressFinding, Error> {
        if present.webhook.url().as_str() == url {
            return Ok(AddressFinding::default());
        }
        self.check_receiver(url, decide).await
    }

    /// Whether a URL could be dialled, and whether its receiver wants to be sent to where that is asked. It is
    /// asked once all that can be told without it is in order: otherwise anybody could have requests sent to
    /// strangers by drafts that nobody would register.
    async fn check_receiver(
        &self,
        url: &str,
        decide: impl Fn(&Registry, Terms<'_>) -> Result<RegistryChange, Refusal> + Send,
    ) -> Result<AddressFinding, Error> {
        let finding = self.check_address(url).await;
        let Some(handshake) = self.core.handshake() else { return Ok(finding) };
        let registry = self.core.store().registry(&self.id).await?;
        let change = finding.judge(decide(&registry, self.core.terms(&self.id)))?;
        match change {
            RegistryChange::Create(new) | RegistryChange::Update(new, _) => {
                let consent = match &finding.failure {
                    None => self.core.ask(handshake, new.webhook.url()).await,
                    Some(_) => Consent::Unasked,
                };
                Ok(finding.with_consent(consent))
            }
            RegistryChange::Delete(_) => Ok(finding),
        }
    }

    /// Asks the transport whether a URL that keeps the rules could be dialled.
    pub(super) async fn check_address(&self, url: &str) -> AddressFinding {
        let terms = self.core.terms(&self.id);
        let limits = terms.limits.unwrap_or_default();
        let Ok(url) = check_url(url, terms.urls, &limits) else { return AddressFinding::default() };
        match self.core.transport().check(&url).await {
            Ok(()) => AddressFinding::default(),
            Err(error) if error.kind() == FailureKind::Refused => {
                // Somebody may be trying what can be reached; the address is for the operator alone.
                let detail = error.detail();
                warn!(target: "hookwire", tenant = %self.id, detail, "a URL was refused by its address");
                let message = "leads to an address that is not allowed; use a public one";
                let violation = Violation::new("url", Rule::AddressRefused, message);
                AddressFinding { violation: Some(violation), ..AddressFinding::default() }
            }
            Err(error) => AddressFinding { failure: Some(error), ..AddressFinding::default() },
        }
    }
}

/// The keys as the registry is told them: [`Core::sealed`](super::core::Core::sealed) has the last word.
fn in_clear(ring: &KeyRing) -> SealedSecrets {
    SealedSecrets::new(ring.expose().to_vec())
}

/// What is known of a URL: that it is refused, why nothing could be told, how much its receiver allows.
#[derive(Default)]
pub(super) struct AddressFinding {
    pub(super) violation: Option<Violation>,
    pub(super) failure: Option<TransportError>,
    allowed_rate: Option<u32>,
}

impl AddressFinding {
    fn with_consent(mut self, consent: Consent) -> Self {
        match consent {
            Consent::Given => {}
            Consent::AtMost(rate) => self.allowed_rate = Some(rate),
            Consent::Denied => self.unwanted(
                "the receiver did not allow it; let it answer OPTIONS with WebHook-Allowed-Origin",
            ),
            Consent::Unasked => self.unwanted(
                "no address was found for the host, so the receiver could not be asked; try again once it has one",
            ),
        }
        self
    }

    fn unwanted(&mut self, message: &str) {
        self.violation = Some(Violation::new("url", Rule::Unwanted, message));
    }

    fn warnings(&self) -> Vec<String> {
        let failure = self.failure.iter().map(ToString::to_string);
        let rate = self.allowed_rate.iter().map(|rate| {
            format!(
                "the receiver allows {rate} requests a minute; it may answer more with 429, and they are tried again"
            )
        });
        failure.chain(rate).collect()
    }

    /// A refused address stands beside every other violation.
    fn judge(&self, decided: Result<RegistryChange, Refusal>) -> Result<RegistryChange, Error> {
        let Some(violation) = &self.violation else { return Ok(decided?) };
        let refusal = match decided {
            Ok(_) | Err(Refusal::LimitReached(_)) => Refusal::Invalid(vec![violation.clone()]),
            Err(Refusal::Invalid(mut violations)) => {
                violations.push(violation.clone());
                Refusal::Invalid(violations)
            }
            Err(refusal) => refusal,
        };
        Err(refusal.into())
    }
}
