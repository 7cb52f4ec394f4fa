//! [`Policy`]: retries, quotas, deadlines and sizes of a service, each with its default and the default's source.
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
//! [`WebhooksBuilder::policy`](crate::service::WebhooksBuilder::policy) takes it. Other settings are elsewhere:
//!
//! - [`Limits`](crate::registry::Limits) bounds the webhooks that a tenant may register.
//! - `HttpTransport::builder()` sets the addresses that requests may reach.
//! - [`DeliveryOptions`](crate::model::DeliveryOptions) sets the additions of one webhook to its requests.

use std::time::Duration;

use crate::delivery::{DisablePolicy, Rules};
use crate::retry::RetryPolicy;
use crate::store::Quota;

/// The retries, quotas, deadlines and sizes of a service.
#[derive(Clone, Debug)]
pub struct Policy {
    deadline: Duration,
    disable: DisablePolicy,
    expires: Duration,
    in_flight_bytes: usize,
    keep: Duration,
    keep_payloads: Option<Duration>,
    lease: Duration,
    payload_bytes: usize,
    publish_timeout: Duration,
    quota: Quota,
    response_bytes: usize,
    retry: RetryPolicy,
    secret_overlap: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Policy {
    /// The time to record the outcome of an attempt that took its whole deadline.
    pub const SETTLE_MARGIN: Duration = Duration::from_secs(5);

    /// Sets the total deadline of an attempt: name lookup, connection, TLS, headers and body. Default: 15 s; Standard
    /// Webhooks recommends 15 to 30 s.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Sets the policy by which a webhook that only fails is disabled.
    #[must_use]
    pub fn with_disable(self, disable: DisablePolicy) -> Self {
        Self { disable, ..self }
    }

    /// Sets the time that a delivery may wait before it ends as expired. Default: 30 days, our own choice.
    #[must_use]
    pub fn with_expires(self, expires: Duration) -> Self {
        Self { expires, ..self }
    }

    /// Sets the bytes of payload that a service holds at once, to publish them and again to deliver them. Default:
    /// 64 MiB, our own choice.
    ///
    /// All calls of `publish` together hand no more to the store at once. Others wait for
    /// [`publish_timeout`](Self::publish_timeout). A dispatcher claims no more at once. An event that is larger is
    /// published and delivered while no other is.
    #[must_use]
    pub fn with_in_flight_bytes(self, in_flight_bytes: usize) -> Self {
        Self { in_flight_bytes: in_flight_bytes.max(1), ..self }
    }

    /// Sets the time that the log keeps an event after its last delivery ended. Its message id is remembered for the
    /// same time. Default: 30 days, our own choice.
    #[must_use]
    pub fn with_keep(self, keep: Duration) -> Self {
        Self { keep, ..self }
    }

    /// Sets the time that the log keeps the payload of an event after its last delivery ended, where that is less than
    /// [`keep`](Self::keep). Default: as long as the event.
    ///
    /// Without its payload an event is still explained, but it cannot be delivered again. Publishing it again is a duplicate
    /// only if the payload is the same byte for byte.
    #[must_use]
    pub fn with_keep_payloads(self, keep_payloads: Duration) -> Self {
        Self { keep_payloads: Some(keep_payloads), ..self }
    }

    /// Sets the time that a claim holds. It must be at least the deadline plus
    /// [`SETTLE_MARGIN`](Self::SETTLE_MARGIN). Default: 35 s, our own choice of twice the deadline plus 5 s.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// Sets the bytes that the JSON of a payload may have. Default: 256 KiB, as EventBridge; Standard Webhooks
    /// recommends less than 20 kB.
    #[must_use]
    pub fn with_payload_bytes(self, payload_bytes: usize) -> Self {
        Self { payload_bytes, ..self }
    }

    /// Sets the time that publishing waits for room among the [`in_flight_bytes`](Self::in_flight_bytes), before it
    /// fails as [`Overloaded`](crate::ErrorKind::Overloaded). The store then has three times as long to answer.
    /// Default: 5 s, as the stores' own options of this name.
    #[must_use]
    pub fn with_publish_timeout(self, publish_timeout: Duration) -> Self {
        Self { publish_timeout, ..self }
    }

    /// Sets the quota of deliveries that a dispatcher holds at once.
    #[must_use]
    pub fn with_quota(self, quota: Quota) -> Self {
        Self { quota, ..self }
    }

    /// Sets the bytes of a receiver's answer that are kept. Default: 16 KiB, our own choice.
    #[must_use]
    pub fn with_response_bytes(self, response_bytes: usize) -> Self {
        Self { response_bytes, ..self }
    }

    /// Sets the schedule by which failed deliveries are tried again.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Sets the time that the old secret signs beside the new one after a rotation. Default: 24 h, as Svix.
    #[must_use]
    pub fn with_secret_overlap(self, secret_overlap: Duration) -> Self {
        Self { secret_overlap, ..self }
    }

    /// Returns the total deadline of an attempt.
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Returns the time that a delivery may wait before it ends as expired.
    pub const fn expires(&self) -> Duration {
        self.expires
    }

    /// Returns the bytes of payload that a service holds at once, to publish them and again to deliver them.
    pub const fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes
    }

    /// Returns the time that the log keeps an event after its last delivery ended.
    pub const fn keep(&self) -> Duration {
        self.keep
    }

    /// Returns the time that the log keeps the payload of an event after its last delivery ended.
    pub fn keep_payloads(&self) -> Duration {
        self.keep_payloads.map_or(self.keep, |payloads| payloads.min(self.keep))
    }

    /// Returns the time that a claim holds.
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// Returns the bytes that the JSON of a payload may have.
    pub const fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// Returns the time that publishing waits for room.
    pub const fn publish_timeout(&self) -> Duration {
        self.publish_timeout
    }

    /// Returns the quota of deliveries that a dispatcher holds at once.
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    /// Returns the bytes of a receiver's answer that are kept.
    pub const fn response_bytes(&self) -> usize {
        self.response_bytes
    }

    /// Returns the time that the old secret signs beside the new one after a rotation.
    pub const fn secret_overlap(&self) -> Duration {
        self.secret_overlap
    }

    /// Returns the rules by which failed deliveries are tried again and webhooks are disabled.
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
            keep_payloads: None,
            lease: Duration::from_secs(35),
            payload_bytes: 256 * 1024,
            publish_timeout: Duration::from_secs(5),
            quota: Quota::default(),
            response_bytes: 16 * 1024,
            retry: RetryPolicy::default(),
            secret_overlap: DAY,
        }
    }
}
