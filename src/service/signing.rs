use bytes::Bytes;
use http::HeaderMap;
use zeroize::Zeroizing;

use super::core::{Core, random_bytes};
use super::error::Error;
use crate::model::{HookId, MessageId, SealedSecrets, TenantId, Timestamp};
use crate::registry::{RegisteredWebhook, RegistryChange};
use crate::sealing;
use crate::signature::{KeyRing, Message};
use crate::signer::SignError;

impl Core {
    /// The headers that sign `body` for a webhook: by the host's signer, or by the webhook's own keys.
    pub(crate) async fn sign(
        &self,
        (tenant, hook): (&TenantId, &RegisteredWebhook),
        id: &MessageId,
        body: &Bytes,
        at: Timestamp,
    ) -> Result<HeaderMap, SignError> {
        let message = Message { scheme: hook.options.signature(), id, at, body };
        let signatures = match self.signer() {
            Some(signer) => signer.sign(tenant, hook.hook_id(), &message).await?,
            None => self.key_ring(tenant, hook).map_err(SignError::new)?.sign(&message),
        };
        message.headers(&signatures).map_err(SignError::new)
    }

    /// A webhook's own keys.
    pub(super) fn key_ring(&self, tenant: &TenantId, hook: &RegisteredWebhook) -> Result<KeyRing, Error> {
        Ok(KeyRing::read(&self.open(&hook.secrets, (tenant, hook.hook_id()))?)?)
    }

    pub(super) fn open(
        &self,
        stored: &SealedSecrets,
        of: (&TenantId, HookId),
    ) -> Result<Zeroizing<Vec<u8>>, sealing::UnsealError> {
        sealing::open(self.sealing(), stored, of)
    }

    /// The change as the store is to keep it: with secrets sealed by the present key, under a nonce of its own
    /// each time. Those that do not open stay as they are.
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
                Ok(clear) if !keys.is_present(&new.secrets) => {
                    new.secrets = keys.seal(&clear, of, *random_bytes()?);
                }
                _ => {}
            }
        }
        Ok(change)
    }
}
