//! Standard Webhooks signatures: signing what is sent, verifying what arrives.
//!
//! The signed content is `{webhook-id}.{webhook-timestamp}.{body}`, the signature `v1,` and the base64 of
//! its HMAC-SHA256. The timestamp is that of the attempt, so each retry carries a signature of its own.
//!
//! A receiver needs [`Verifier`] alone:
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

mod key_ring;
mod secret;
mod verify;

pub use key_ring::{InvalidKeyRing, KeyRing};
pub use secret::{InvalidSecret, Secret};
pub use verify::{Verified, Verifier, VerifyError};

use http::HeaderName;

/// The header with the identity of the message, the same on each retry.
pub const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
/// The header with the time of the attempt, in seconds since the Unix epoch.
pub const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// The header with the signatures, separated by single spaces.
pub const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
