//! Signatures: signing requests that are sent, and verifying requests that are received.
//!
//! A new scheme begins at [`SignatureScheme`](crate::model::SignatureScheme). The content that it signs and its headers
//! are in `message`, its key in `key`, its verifier in a file of its own.
//!
//! # Sending
//!
//! Each webhook has a [scheme](crate::model::SignatureScheme), which its options name; the default is `V1`.
//!
//! | scheme | header | signed | key |
//! |---|---|---|---|
//! | `V1` | `webhook-signature: v1,` and base64 | `{webhook-id}.{webhook-timestamp}.{body}`, by HMAC-SHA256 | the bytes of `whsec_` |
//! | `V1a` | `webhook-signature: v1a,` and base64 | the same, by ed25519 | `whsk_`; the receiver has `whpk_` |
//! | `GitHub` | `x-hub-signature-256: sha256=` and hexadecimal | `{body}`, by HMAC-SHA256 | the text `whsec_..` |
//! | `Stripe` | `stripe-signature: t=..,v1=` and hexadecimal | `{t}.{body}`, by HMAC-SHA256 | the text `whsec_..` |
//!
//! `V1` and `V1a` are those of Standard Webhooks 1.0. `webhook-id` and `webhook-timestamp` are sent with every
//! scheme. The timestamp is that of the attempt, so each retry carries a signature of its own.
//!
//! After a rotation the old key also signs, for 24 h by default. Some verifiers read the last entry only, and
//! none of the official ones reads `v1a`. So the current key comes last, and every `v1` entry follows every
//! `v1a` entry. GitHub's form has room for one signature: there the new key signs alone at once.
//!
//! A webhook has one [`KeyRing`], whatever its scheme. The kind of a key decides the signature it makes, so a
//! change to a scheme with another kind of key is a rotation, and a receiver can switch without a gap. No
//! method of a tenant returns a private key: rotating and revealing return the key that verifies.
//!
//! A host that keeps its keys elsewhere, in a key service, implements [`Signer`](crate::signer::Signer). A
//! `Signer` makes signatures, not headers: it gets the exact bytes to sign and needs no knowledge of schemes. It
//! runs within the deadline of the attempt, and its errors are failed attempts.
//!
//! # Receiving
//!
//! A receiver needs a [`Verifier`], and a [`ReplayMemory`] to recognise replays. The two are separate, because a
//! replay and a retry carry the same message id; a receiver answers both with 2xx.
//!
//! ```
//! use hookwire::signature::{Secret, Verifier};
//! use http::{HeaderMap, HeaderValue};
//! use hookwire::model::Timestamp;
//!
//! let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
//! let mut headers = HeaderMap::new();
//! headers.insert("webhook-id", HeaderValue::from_static("msg_p5jXN8AQM9LWM0D4loKWxJek"));
//! headers.insert("webhook-timestamp", HeaderValue::from_static("1614265330"));
//! let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
//! headers.insert("webhook-signature", HeaderValue::from_static(signature));
//!
//! let now = Timestamp::from_secs(1_614_265_331); // in a service: std::time::SystemTime::now()
//! let verified = Verifier::new([secret]).verify(&headers, br#"{"test": 2432232314}"#, now)?;
//! assert_eq!(verified.message_id(), "msg_p5jXN8AQM9LWM0D4loKWxJek");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! [`diagnose`] says why a request is not verified: a changed body, another key, a clock that is off.
//!
//! `examples/receive_axum.rs` in the repository is a complete receiver. [`GitHubVerifier`] and
//! [`StripeVerifier`] verify the other two forms, including requests of GitHub and Stripe themselves.

mod diagnose;
mod ed25519;
mod encoding;
mod github;
mod headers;
mod hex;
mod hmac;
mod key;
mod key_ring;
mod message;
mod ready;
mod replay;
mod secret;
mod stripe;
mod text_keys;
mod verify;

pub use diagnose::{BodyChange, Diagnosis, diagnose};
pub use ed25519::{PrivateKey, PublicKey};
pub use encoding::InvalidKey;
pub use github::GitHubVerifier;
pub use headers::{HUB_SIGNATURE, STRIPE_SIGNATURE, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
pub use key::{SigningKey, VerifyingKey};
pub use key_ring::{InvalidKeyRing, KeyRing};
pub use message::{Message, MissingSignature, Signature};
pub(crate) use ready::ReadyKeys;
pub use replay::{ReplayMemory, Replayed};
pub use secret::Secret;
pub use stripe::StripeVerifier;
pub use verify::{Verified, Verifier, VerifyError};
