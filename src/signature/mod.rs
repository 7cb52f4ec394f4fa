//! Signatures: signing what is sent, verifying what arrives.
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
//! After a rotation the old key signs along: 24 h by default. The entries stand in an order that verifiers
//! read right which look at the last one alone: the present key last, and `v1` behind `v1a`. A change between
//! `V1` and `V1a` is a rotation as well, so a receiver can go from one to the other without a gap. GitHub's
//! form has room for one signature: there the new key signs alone at once.
//!
//! The keys are in the [`KeyRing`]; whoever keeps them elsewhere, in a key service, implements
//! [`Signer`](crate::signer::Signer).
//!
//! # Receiving
//!
//! A receiver needs [`Verifier`] alone, and [`ReplayMemory`] if it wants to know replays:
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
//! `examples/receive_axum.rs` in the repository is a whole receiver. [`GitHubVerifier`] and
//! [`StripeVerifier`] verify the other two forms, also of what GitHub and Stripe themselves send.

mod ed25519;
mod github;
mod hex;
mod hmac;
mod key;
mod key_ring;
mod message;
mod replay;
mod secret;
mod stripe;
mod text_key;
mod verify;

pub use ed25519::{PrivateKey, PublicKey};
pub use github::GitHubVerifier;
pub use key::{InvalidKey, SigningKey, VerifyingKey};
pub use key_ring::{InvalidKeyRing, KeyRing};
pub use message::{Message, MissingSignature, Signature};
pub use replay::{ReplayMemory, Replayed};
pub use secret::Secret;
pub use stripe::StripeVerifier;
pub use verify::{Verified, Verifier, VerifyError};

use http::HeaderName;

/// The header with the identity of the message, the same on each retry.
pub const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
/// The header with the time of the attempt, in seconds since the Unix epoch.
pub const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// The header with the signatures of Standard Webhooks, separated by single spaces.
pub const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// The header with the signature in GitHub's form.
pub const HUB_SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");
/// The header with time and signatures in Stripe's form.
pub const STRIPE_SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");
