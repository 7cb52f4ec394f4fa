use bytes::Bytes;
use http::HeaderMap;

use super::core::Core;
use crate::model::{MessageId, TenantId, Timestamp};
use crate::registry::Registered;
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
            None => KeyRing::open(&hook.secrets).map_err(SignError::new)?.sign(&message),
        };
        message.headers(&signatures).map_err(SignError::new)
    }
}
