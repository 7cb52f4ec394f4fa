use bytes::Bytes;
use http::HeaderMap;

use zeroize::Zeroizing;

use super::core::{Core, random_bytes};
use super::error::Error;
use crate::model::{HookId, MessageId, SealedSecrets, TenantId, Timestamp};
use crate::registry::Registered;
use crate::sealing;
use crate::signature::{KeyRing, Message};
use crate::signer::SignError;

impl Core {
    /// The headers that sign `body` for a webhook: by the host's signer, or by the webhook's own keys.
    pub(crate) async fn sign(
        &self,
        (tenant, hook): (&TenantId, &Registered),
        id: &MessageId,
        body: &Bytes,
        at: Timestamp,
    ) -> Result<HeaderMap, SignError> {
        let message = Message { scheme: hook.options.signature(), id, at, body };
        let signatures = match self.signer() {
            Some(signer) => signer.sign(tenant, hook.webhook.hook_id(), &message).await?,
            None => self.key_ring(tenant, hook).map_err(SignError::new)?.sign(&message),
        };
        message.headers(&signatures).map_err(SignError::new)
    }

    /// A webhook's own keys.
    pub(super) fn key_ring(&self, tenant: &TenantId, hook: &Registered) -> Result<KeyRing, Error> {
        Ok(KeyRing::read(&self.open(&hook.secrets, (tenant, hook.webhook.hook_id()))?)?)
    }

    pub(super) fn open(
        &self,
        stored: &SealedSecrets,
        of: (&TenantId, HookId),
    ) -> Result<Zeroizing<Vec<u8>>, sealing::UnsealError> {
        sealing::open(self.sealing(), stored, of)
    }

    /// What the store is to keep: sealed if the host gave keys for it, under a nonce of its own each time.
    pub(super) fn seal(&self, clear: &[u8], of: (&TenantId, HookId)) -> Result<SealedSecrets, Error> {
        Ok(match self.sealing() {
            Some(keys) => keys.seal(clear, of, *random_bytes()?),
            None => SealedSecrets::new(clear.to_vec()),
        })
    }
}
