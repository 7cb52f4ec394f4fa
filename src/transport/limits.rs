//! [`SendLimits`]: the deadline of a request, and how much of its response is kept.

use std::time::Duration;

/// The deadline of a request, and the part of its response body that is kept.
///
/// ```
/// use std::time::Duration;
///
/// use hookwire::transport::SendLimits;
///
/// let limits = SendLimits::default().with_deadline(Duration::from_secs(20));
/// assert_eq!((limits.deadline().as_secs(), limits.body_bytes()), (20, 16 * 1024));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SendLimits {
    deadline: Duration,
    body_bytes: usize,
}

impl SendLimits {
    /// Creates limits with this total deadline, keeping at most `body_bytes` of the response body.
    pub const fn new(deadline: Duration, body_bytes: usize) -> Self {
        Self { deadline, body_bytes }
    }

    /// Sets the time for DNS, connect, TLS, headers and body together. The default is 15 s; Standard Webhooks
    /// recommends 15 to 30 s.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Sets how many bytes of the response body are kept. The default of 16 KiB is our choice: it holds an
    /// error message for the delivery log.
    #[must_use]
    pub fn with_body_bytes(self, body_bytes: usize) -> Self {
        Self { body_bytes, ..self }
    }

    /// Returns the time for DNS, connect, TLS, headers and body together.
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Returns how many bytes of the response body are kept.
    pub const fn body_bytes(&self) -> usize {
        self.body_bytes
    }
}

impl Default for SendLimits {
    fn default() -> Self {
        Self::new(Duration::from_secs(15), 16 * 1024)
    }
}
