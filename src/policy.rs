//! The numbers that a service runs by, each with its default and where that comes from.
//!
//! ```
//! use std::time::Duration;
//! use hookwire::policy::Policy;
//! use hookwire::retry::RetryPolicy;
//! use hookwire::store::Quota;
//!
//! let policy = Policy::default()
//!     .with_retry(RetryPolicy::default().with_delays([10, 60, 600].map(Duration::from_secs)))
//!     .with_quota(Quota::default().with_in_all(1024).with_per_tenant(128))
//!     .with_payload_bytes(20_000)
//!     .with_deadline(Duration::from_secs(30)) // a longer lease goes with a longer deadline
//!     .with_lease(Duration::from_secs(65));
//! assert_eq!(policy.rules().retry.attempts(), 4);
//! ```
//!
//! It is given to [`WebhooksBuilder::policy`](crate::service::WebhooksBuilder::policy). How much a tenant may
//! register is in [`Limits`](crate::registry::Limits), what requests may reach in
//! `HttpTransport::builder()`, and what one webhook adds to its requests in
//! [`DeliveryOptions`](crate::model::DeliveryOptions).

use std::time::Duration;

use crate::delivery::{DisablePolicy, Rules};
use crate::retry::RetryPolicy;
use crate::store::Quota;

/// The numbers that a service runs by.
#[derive(Clone, Debug)]
pub struct Policy {
    deadline: Duration,
    disable: DisablePolicy,
    expires: Duration,
    in_flight_bytes: usize,
    keep: Duration,
    lease: Duration,
    payload_bytes: usize,
    quota: Quota,
    response_bytes: usize,
    retry: RetryPolicy,
    secret_overlap: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Policy {
    /// The time that is left to record what came of an attempt that took its whole deadline.
    pub const SETTLE_MARGIN: Duration = Duration::from_secs(5);

    /// Sets the total deadline of an attempt: name lookup, connection, TLS, headers and body. Default
    /// 15 s; Standard Webhooks recommends 15 to 30 s.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Sets when a webhook that only fails is disabled.
    #[must_use]
    pub fn with_disable(self, disable: DisablePolicy) -> Self {
        Self { disable, ..self }
    }

    /// Sets how long a delivery may wait before it ends as expired. Default 30 days, ours.
    #[must_use]
    pub fn with_expires(self, expires: Duration) -> Self {
        Self { expires, ..self }
    }

    /// Sets how many bytes of payload a dispatcher takes into memory at once. Default 64 MiB, ours.
    #[must_use]
    pub fn with_in_flight_bytes(self, in_flight_bytes: usize) -> Self {
        Self { in_flight_bytes: in_flight_bytes.max(1), ..self }
    }

    /// Sets how long the log keeps events after their last delivery ended; a message id is remembered as
    /// long. Default 30 days, ours.
    #[must_use]
    pub fn with_keep(self, keep: Duration) -> Self {
        Self { keep, ..self }
    }

    /// Sets how long a claim holds; at least the deadline and
    /// [`SETTLE_MARGIN`](Self::SETTLE_MARGIN). Default 35 s, ours: twice the deadline, and 5 s.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// Sets the bytes that the JSON of a payload may have. Default 256 KiB, as EventBridge; Standard
    /// Webhooks recommends less than 20 kB.
    #[must_use]
    pub fn with_payload_bytes(self, payload_bytes: usize) -> Self {
        Self { payload_bytes, ..self }
    }

    /// Sets how much runs at once.
    #[must_use]
    pub fn with_quota(self, quota: Quota) -> Self {
        Self { quota, ..self }
    }

    /// Sets how much of a receiver's answer is kept. Default 16 KiB, ours.
    #[must_use]
    pub fn with_response_bytes(self, response_bytes: usize) -> Self {
        Self { response_bytes, ..self }
    }

    /// Sets when failed deliveries are tried again.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Sets how long the old secret signs along after a rotation. Default 24 h, as Svix.
    #[must_use]
    pub fn with_secret_overlap(self, secret_overlap: Duration) -> Self {
        Self { secret_overlap, ..self }
    }

    /// The total deadline of an attempt.
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// How long a delivery may wait before it ends as expired.
    pub const fn expires(&self) -> Duration {
        self.expires
    }

    /// How many bytes of payload a dispatcher takes into memory at once.
    pub const fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// How long the log keeps what has ended.
    pub const fn keep(&self) -> Duration {
        self.keep
    }

    /// How long a claim holds.
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// The bytes that the JSON of a payload may have.
    pub const fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// How much runs at once.
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    /// How much of a receiver's answer is kept.
    pub const fn response_bytes(&self) -> usize {
        self.response_bytes
    }

    /// How long the old secret signs along after a rotation.
    pub const fn secret_overlap(&self) -> Duration {
        self.secret_overlap
    }

    /// When failed deliveries are tried again, and when webhooks are disabled.
    pub const fn rules(&self) -> Rules<'_> {
        Rules { retry: &self.retry, disable: &self.disable }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(15),
            disable: DisablePolicy::default(),
            expires: 30 * DAY,
            in_flight_bytes: 64 * 1024 * 1024,
            keep: 30 * DAY,
            lease: Duration::from_secs(35),
            payload_bytes: 256 * 1024,
            quota: Quota::default(),
            response_bytes: 16 * 1024,
            retry: RetryPolicy::default(),
            secret_overlap: DAY,
        }
    }
}
