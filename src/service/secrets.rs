//! Webhooks' secrets: made, rotated, revealed, and sealed for the store.

use tracing::info;
use zeroize::Zeroizing;

use super::core::Core;
use super::error::Error;
use super::notice::{Notice, WebhookRef};
use super::tenant::Tenant;
use crate::model::{HookId, Scope, SealedSecrets, TenantId};
use crate::registry::{self, Refusal, RegisteredWebhook, Registry, RegistryChange, Terms};
use crate::sealing::{self, UnsealError};
use crate::signature::{KeyRing, SigningKey, VerifyingKey};

impl Tenant {
    /// Gives a webhook a new key, and returns what its receiver needs: the secret, or with `V1a` the public key.
    /// The old key signs along for 24 h by default, so that the receiver can change over. A tracing event records
    /// the rotation, without the key.
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
        self.secret_rotated(hook_id);
        match changed {
            RegistryChange::Create(new) | RegistryChange::Update(new, _) => Ok(new_key(&new).verifying_key()),
            RegistryChange::Delete(hook_id) => Err(Refusal::NotFound(hook_id).into()),
        }
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
        self.core.tell(&Notice::SecretRevealed(WebhookRef { tenant: &self.id, hook_id }));
        Ok(ring.current().verifying_key())
    }

    /// Returns the webhook's keys with `key` as the present one, and the present one signing along.
    pub(super) fn rotated(
        &self,
        present: &RegisteredWebhook,
        key: SigningKey,
    ) -> Result<SealedSecrets, Error> {
        let overlap = self.core.policy().secret_overlap();
        let ring = self.core.key_ring(&self.id, present)?;
        Ok(in_clear(&ring.rotate(key, overlap, self.core.now())))
    }

    /// Records that a webhook has a new key.
    pub(super) fn secret_rotated(&self, hook_id: HookId) {
        info!(target: "hookwire", tenant = %self.id, webhook = %hook_id, "the secret was rotated");
        self.core.tell(&Notice::SecretRotated(WebhookRef { tenant: &self.id, hook_id }));
    }
}

impl Core {
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
