//! Makes, rotates and reveals webhooks' secrets, and seals them before each write to the store.

use std::fmt;
use std::time::Duration;

use tracing::info;
use zeroize::Zeroizing;

use super::core::Core;
use super::error::Error;
use super::notice::{Notice, WebhookRef};
use super::tenant::Tenant;
use crate::model::{HookId, Rule, Scope, SealedSecrets, TenantId, Violation};
use crate::registry::{self, Refusal, RegisteredWebhook, Registry, RegistryChange, Terms};
use crate::sealing::{self, UnsealError};
use crate::signature::{KeyRing, Secret, SigningKey, VerifyingKey};

impl Tenant {
    /// Gives a webhook a new key, and returns what its receiver needs: the secret, or with `V1a` the public key.
    /// The old key signs along for 24 h by default, so that the receiver can change over. A tracing event records
    /// the rotation, without the key.
    ///
    /// ```
    /// # async fn run(acme: hookwire::Tenant, hook_id: hookwire::HookId) -> Result<(), hookwire::Error> {
    /// use std::time::Duration;
    /// use hookwire::service::Rotation;
    ///
    /// let new = acme.rotate_secret(hook_id, Rotation::default()).await?;
    /// // The old one has leaked:
    /// let new = acme.rotate_secret(hook_id, Rotation::default().overlap(Duration::ZERO)).await?;
    /// # drop(new);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`disable`](Self::disable); [`Invalid`](crate::ErrorKind::Invalid) for a secret that cannot be one, or that the
    /// webhook's signature scheme cannot use; [`Store`](crate::ErrorKind::Store) also when the present secrets do not
    /// open.
    ///
    /// # Cancellation
    ///
    /// The key is changed or not; reveal it to find out.
    pub async fn rotate_secret(&self, hook_id: HookId, rotation: Rotation) -> Result<VerifyingKey, Error> {
        self.require(Scope::Update)?;
        let invalid = |violation| Refusal::Invalid(vec![violation]);
        let brought = self.core.brought(rotation.secret.as_deref()).map_err(invalid)?;
        let random = random_bytes()?;
        let new_key = |present: &RegisteredWebhook| match &brought {
            Some(secret) => secret.clone().into(),
            None => SigningKey::from_random(present.options.signature(), *random),
        };
        let rotate = |registry: &Registry, _: Terms<'_>| {
            let present = registry.get(hook_id).ok_or(Refusal::NotFound(hook_id))?;
            if brought.is_some() && present.options.signature().is_asymmetric() {
                return Err(invalid(no_pair()).into());
            }
            let secrets = self.rotated(present, new_key(present), rotation.overlap)?;
            Ok(registry::set_secrets(hook_id, secrets, registry)?)
        };
        let changed = self.commit(rotate).await?;
        self.secret_rotated(hook_id);
        let new = changed.registered().ok_or(Refusal::NotFound(hook_id))?;
        Ok(new_key(new).verifying_key())
    }

    /// Reads what a webhook's receiver needs: the present secret, or with `V1a` the public key. A tracing event
    /// records it, without the key.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound), [`MissingScope`](crate::ErrorKind::MissingScope),
    /// [`Store`](crate::ErrorKind::Store).
    pub async fn reveal_secret(&self, hook_id: HookId) -> Result<VerifyingKey, Error> {
        self.require(Scope::Update)?;
        let ring = self.core.key_ring(&self.id, &self.get_registered(hook_id).await?)?;
        info!(target: "hookwire", tenant = %self.id, webhook = %hook_id, "the secret was revealed");
        let webhook = WebhookRef { tenant: &self.id, hook_id };
        self.core.tell(&Notice::SecretRevealed { webhook });
        Ok(ring.current().verifying_key())
    }

    /// Returns the webhook's keys with `key` as the present one, and the present one signing along for `overlap`, or as
    /// long as the policy says.
    pub(super) fn rotated(
        &self,
        present: &RegisteredWebhook,
        key: SigningKey,
        overlap: Option<Duration>,
    ) -> Result<SealedSecrets, Error> {
        let overlap = overlap.unwrap_or_else(|| self.core.policy().secret_overlap());
        let ring = self.core.key_ring(&self.id, present)?;
        Ok(in_clear(&ring.rotate(key, overlap, self.core.now())))
    }

    /// Records that a webhook has a new key.
    pub(super) fn secret_rotated(&self, hook_id: HookId) {
        info!(target: "hookwire", tenant = %self.id, webhook = %hook_id, "the secret was rotated");
        let webhook = WebhookRef { tenant: &self.id, hook_id };
        self.core.tell(&Notice::SecretRotated { webhook });
    }
}

/// How a webhook's secret is [rotated](Tenant::rotate_secret).
///
/// ```
/// use hookwire::service::Rotation;
///
/// let rotation = Rotation::default().secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
/// assert!(!format!("{rotation:?}").contains("MfKQ"));
/// ```
#[derive(Clone, Default)]
#[must_use = "it does nothing until it is passed to `rotate_secret`"]
pub struct Rotation {
    overlap: Option<Duration>,
    secret: Option<Zeroizing<String>>,
}

impl Rotation {
    /// Sets how long the old key signs along; zero if it has leaked. Default:
    /// [`Policy::with_secret_overlap`](crate::policy::Policy::with_secret_overlap), 24 h unless set.
    pub fn overlap(self, overlap: Duration) -> Self {
        Self { overlap: Some(overlap), ..self }
    }

    /// Sets the new secret: `whsec_` and 24 to 64 bytes in base64. Default: a random one.
    pub fn secret(self, secret: impl Into<String>) -> Self {
        Self { secret: Some(Zeroizing::new(secret.into())), ..self }
    }
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotation").field("overlap", &self.overlap).finish_non_exhaustive()
    }
}

impl Core {
    /// Checks a secret that somebody brings.
    pub(super) fn brought(&self, text: Option<&String>) -> Result<Option<Secret>, Violation> {
        let Some(text) = text else { return Ok(None) };
        let refused = |rule, message: String| Violation::new("secret", rule, message);
        match text.parse::<Secret>() {
            Ok(secret) if secret.is_short() && !self.takes_short_secrets() => Err(refused(
                Rule::TooShort,
                "has fewer than 24 bytes; bring a longer one, or none".to_owned(),
            )),
            Ok(secret) => Ok(Some(secret)),
            Err(error) => {
                Err(refused(Rule::Format, format!("{error}; bring the text as its sender shows it")))
            }
        }
    }

    /// Reads a webhook's own keys.
    pub(super) fn key_ring(&self, tenant: &TenantId, hook: &RegisteredWebhook) -> Result<KeyRing, Error> {
        Ok(KeyRing::read(&self.open(&hook.secrets, (tenant, hook.hook_id()))?)?)
    }

    pub(super) fn open(
        &self,
        stored: &SealedSecrets,
        of: (&TenantId, HookId),
    ) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        sealing::open(self.sealing(), stored, of)
    }

    /// Returns the change as the store is to keep it: with secrets sealed by the present key, under a new nonce each
    /// time. Secrets that do not open stay as they are.
    pub(super) fn sealed(
        &self,
        tenant: &TenantId,
        mut change: RegistryChange,
    ) -> Result<RegistryChange, Error> {
        if let (Some(keys), RegistryChange::Create(new) | RegistryChange::Update(new, _)) =
            (self.sealing(), &mut change)
        {
            let of = (tenant, new.hook_id());
            match self.open(&new.secrets, of) {
                Ok(clear) if !keys.is_current(&new.secrets) => {
                    new.secrets = keys.seal(&clear, of, *random_bytes()?);
                }
                _ => {}
            }
        }
        Ok(change)
    }
}

/// The violation of a draft that brings a secret for a webhook that has one.
pub(super) fn secret_stays() -> Violation {
    let message =
        "a webhook keeps its secret when it is replaced; leave it out, and rotate the secret to change it";
    Violation::new("secret", Rule::Reserved, message)
}

/// The violation of a secret for a webhook that signs with a pair of keys.
fn no_pair() -> Violation {
    let message = "this webhook signs by `v1a`, with a pair of keys that only hookwire makes; leave it out";
    Violation::new("secret", Rule::Format, message)
}

/// Returns the keys unsealed, as the registry's rules take them. [`Core::sealed`] seals them before they are stored.
pub(super) fn in_clear(ring: &KeyRing) -> SealedSecrets {
    SealedSecrets::new(ring.expose().to_vec())
}

/// Returns random bytes, for a new key or for a nonce.
pub(super) fn random_bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(Error::no_entropy)?;
    Ok(bytes)
}
