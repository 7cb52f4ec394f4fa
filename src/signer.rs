//! [`Signer`]: the trait by which a host signs requests with keys of a key service.
//!
//! Without a signer, each webhook's own [`KeyRing`](crate::signature::KeyRing) signs.

use std::error::Error;
use std::fmt::{self, Debug};

use async_trait::async_trait;

use crate::error_chain::chain;
use crate::model::{HookId, TenantId};
use crate::signature::{Message, Signature};

/// A signer of requests, in place of the keys that hookwire keeps.
///
/// A signer signs [`Message::content`]. The scheme in the webhook's options makes that of id, time and body. The
/// signer returns one signature. During a rotation of its own it returns several, with that of the current key last.
/// hookwire puts them into headers.
///
/// The webhook's own keys then sign nothing. Give the receiver the verifying key of the key service, not the secret
/// that creation and `reveal_secret` return.
///
/// A failure to sign uses no step of the schedule and says nothing of the receiver: the delivery waits 5 s, doubling up to
/// 1 h, until it is signed or expires. The log tells of it once for each webhook. In the dispatcher, signing counts
/// against the deadline of the attempt. A ping sets no deadline for the signer.
///
/// Some key services accept only short contents, for example up to 4 KiB. Keep payloads small for those.
///
/// ```
/// use async_trait::async_trait;
/// use hookwire::model::{HookId, TenantId};
/// use hookwire::signature::{Message, Signature};
/// use hookwire::signer::{SignError, Signer};
///
/// # #[derive(Debug)]
/// # struct Client;
/// # impl Client {
/// #     async fn mac(&self, _: &str, _: &[u8]) -> std::io::Result<[u8; 32]> { Ok([0; 32]) }
/// # }
/// #[derive(Debug)]
/// struct KeyService(Client);
///
/// #[async_trait]
/// impl Signer for KeyService {
///     async fn sign(
///         &self,
///         tenant: &TenantId,
///         hook_id: HookId,
///         message: &Message<'_>,
///     ) -> Result<Vec<Signature>, SignError> {
///         let key = format!("webhooks/{tenant}/{hook_id}");
///         let tag = self.0.mac(&key, &message.content()).await.map_err(SignError::new)?;
///         Ok(vec![Signature::HmacSha256(tag)])
///     }
/// }
/// ```
#[async_trait]
pub trait Signer: Debug + Send + Sync + 'static {
    /// Returns the signatures of `message` for this webhook.
    ///
    /// # Errors
    ///
    /// [`SignError`] when the message cannot be signed. Nothing is sent then, and the attempt has failed.
    ///
    /// # Cancellation
    ///
    /// Nothing is sent.
    async fn sign(
        &self,
        tenant: &TenantId,
        hook_id: HookId,
        message: &Message<'_>,
    ) -> Result<Vec<Signature>, SignError>;
}

/// The error of a signer that could not sign a message.
///
/// `Display` may be shown to a tenant. [`detail`](Self::detail) adds the reason, for the operator.
///
/// ```
/// use hookwire::signer::SignError;
///
/// let error = SignError::new("key 7 is disabled");
/// assert_eq!(error.to_string(), "the request could not be signed");
/// assert_eq!(error.detail(), "the request could not be signed: key 7 is disabled");
/// ```
#[derive(Debug)]
pub struct SignError(Box<dyn Error + Send + Sync>);

impl SignError {
    /// Creates an error with this reason.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }

    /// Returns the failure and all its causes, down to the last, for the operator.
    pub fn detail(&self) -> String {
        chain(self)
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request could not be signed")
    }
}

impl Error for SignError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}
