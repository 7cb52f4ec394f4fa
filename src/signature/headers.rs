//! The names of the headers that carry identity, time and signatures.

use http::HeaderName;

/// The header with the message id, which is the same on each retry.
pub const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
/// The header with the time of the attempt, in seconds since the Unix epoch.
pub const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// The header with the signatures of Standard Webhooks, separated by single spaces.
pub const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// The header with the signature in GitHub's form.
pub const HUB_SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");
/// The header with time and signatures in Stripe's form.
pub const STRIPE_SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");
