//! Sealing: encryption of webhooks' secrets before they reach a store.
//!
//! With the feature `seal` and [`seal_with`], the service encrypts the secrets of a webhook with
//! XChaCha20-Poly1305 when it writes them. Sealed secrets are bound to their tenant and webhook: copied into
//! another row, they do not open. Without keys, secrets are stored unencrypted.
//!
//! Secrets that were stored unencrypted still open. They are sealed when the webhook next changes, or at once by
//! [`reseal`].
//!
//! # Design
//!
//! - The service alone seals and opens. [`KeyRing`] reads and writes unencrypted bytes; no store and no other
//!   module knows the difference.
//! - Every change that reaches a store seals secrets that are not sealed with the current key. The id of the
//!   webhook is known by then, and each try uses a new nonce.
//! - The first byte tells unencrypted secrets from sealed ones, so a host can add keys later. In return, whoever
//!   can write to the store can put a key of his own there. Sealing protects secrets from readers, not the
//!   registry from writers.
//! - Without the feature `seal`, the type of the keys has no values. The service has the same code for both
//!   builds, and sealed bytes fail with the same error.
//!
//! # Changing keys
//!
//! Every sealed secret carries the id of its key. To change keys, with several processes on one store:
//!
//! 1. pass the new key to every process as an older one, which only opens;
//! 2. make it the current one, and the previous one an older one;
//! 3. run [`reseal`] over all tenants, until nothing is left to reseal;
//! 4. drop the old key. Older backups still need it.
//!
//! # The sealed form
//!
//! | bytes | content |
//! |---|---|
//! | 1 | the version: 1 |
//! | 1 | the length of the key id |
//! | 1 to 32 | the key id |
//! | 24 | the nonce, random at each write |
//! | rest | the key ring in JSON, encrypted, and the tag of 16 bytes |
//!
//! The associated data is the bytes before the nonce, the id of the webhook as 8 bytes big-endian, and the id of
//! the tenant. Bytes that start with `{` are an unencrypted key ring.
//!
//! [`KeyRing`]: crate::signature::KeyRing
//! [`seal_with`]: crate::service::WebhooksBuilder#method.seal_with
//! [`reseal`]: crate::Webhooks#method.reseal

mod error;
mod format;
#[cfg(feature = "seal")]
mod keys;
#[cfg(not(feature = "seal"))]
mod no_keys;
mod open;

pub use error::UnsealError;
#[cfg(feature = "seal")]
pub use keys::{InvalidSealingKey, SealingKey, SealingKeys};
#[cfg(not(feature = "seal"))]
pub(crate) use no_keys::SealingKeys;
pub(crate) use open::open;
