//! Where signatures are made: the [`Signer`] seam, for hosts whose keys live in a key service.
//!
//! Without one, each webhook's own [`KeyRing`](crate::signature::KeyRing) signs.

use std::error::Error;
use std::fmt::{self, Debug};

use async_trait::async_trait;

use crate::error_chain::chain;
use crate::model::{HookId, TenantId};
use crate::signature::{Message, Signature};

/// Signs what is sent, instead of the keys that hookwire keeps.
///
/// It signs [`Message::content`], which the scheme of the webhook's options makes of id, time and body, and
/// answers with one signature, or during a rotation of its own with several, the present key's last. hookwire
/// puts them into headers. The webhook's own keys then sign nothing: hand the service's verifying key to the
/// receiver, not what creation and `reveal_secret` give.
///
/// A failure is a failed attempt, which is tried again by the schedule. In the dispatcher signing counts
/// against the attempt's deadline; at a ping nothing ends it but the signer itself.
///
/// Some key services take short contents alone, of 4 KiB say: keep payloads small for those.
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
    /// The signatures of `message` for this webhook.
    ///
    /// # Errors
    ///
    /// [`SignError`]: nothing is sent, and the attempt has failed.
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

/// A message could not be signed.
///
/// `Display` may be shown to a tenant; [`detail`](Self::detail) says why, for the operator.
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
    /// The failure to sign, for this reason.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }

    /// What failed and why, down to the last cause: for the operator.
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
