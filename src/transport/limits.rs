use std::time::Duration;

/// How long a request may take, and how much of its answer is kept.
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
    /// The limits with this total deadline, keeping this much of the body.
    pub const fn new(deadline: Duration, body_bytes: usize) -> Self {
        Self { deadline, body_bytes }
    }

    /// Sets the time for DNS, connect, TLS, headers and body together. Default 15 s; Standard Webhooks
    /// recommends 15 to 30 s.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Sets how many bytes of the answer's body are kept. Default 16 KiB, ours: enough for an error
    /// message in the log.
    #[must_use]
    pub fn with_body_bytes(self, body_bytes: usize) -> Self {
        Self { body_bytes, ..self }
    }

    /// The time for DNS, connect, TLS, headers and body together.
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// How many bytes of the answer's body are kept.
    pub const fn body_bytes(&self) -> usize {
        self.body_bytes
    }
}

impl Default for SendLimits {
    fn default() -> Self {
        Self::new(Duration::from_secs(15), 16 * 1024)
    }
}
