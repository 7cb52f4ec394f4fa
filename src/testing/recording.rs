//! A transport that records requests and answers them by a script.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use crate::model::{CallbackUrl, FailureKind};
use crate::transport::{IncompleteBody, SendLimits, Transport, TransportError};

/// A transport that keeps each request and answers it by a script. It sends nothing. Clones share everything.
///
/// ```
/// use hookwire::testing::{Answer, RecordingTransport};
///
/// // One receiver hangs, the others answer 200.
/// let transport = RecordingTransport::answering(|request, _nth| match request.uri().host() {
///     Some("hangs.example") => Answer::hang(),
///     _ => Answer::status(200),
/// });
/// assert!(transport.requests().is_empty());
/// ```
#[derive(Clone)]
pub struct RecordingTransport {
    script: Arc<Script>,
    requests: Arc<Mutex<Vec<Request<Bytes>>>>,
}

type Script = dyn Fn(&Request<Bytes>, usize) -> Answer + Send + Sync;

impl RecordingTransport {
    /// Creates a transport that answers every request with 200.
    pub fn new() -> Self {
        Self::answering(|_, _| Answer::status(200))
    }

    /// Creates a transport that answers each request by `script`. The second argument of `script` is the number of
    /// earlier requests to the same URL.
    pub fn answering(script: impl Fn(&Request<Bytes>, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self { script: Arc::new(script), requests: Arc::default() }
    }

    /// Returns every request so far, in order.
    pub fn requests(&self) -> Vec<Request<Bytes>> {
        self.lock().clone()
    }

    fn record(&self, request: Request<Bytes>) -> Answer {
        let mut requests = self.lock();
        let earlier = requests.iter().filter(|earlier| earlier.uri() == request.uri()).count();
        let answer = (self.script)(&request, earlier);
        requests.push(request);
        answer
    }

    /// Locks the requests. The list is consistent at every point, so a poisoned lock is safe to use.
    fn lock(&self) -> MutexGuard<'_, Vec<Request<Bytes>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for RecordingTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RecordingTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingTransport").field("requests", &self.lock().len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for RecordingTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError> {
        let answer = self.record(request);
        tokio::time::sleep(answer.after.min(limits.deadline())).await;
        if answer.after >= limits.deadline() {
            return Err(TransportError::new(FailureKind::Timeout, "the receiver took too long"));
        }
        let response = answer.outcome.map_err(|kind| TransportError::new(kind, "as the test says"))?;
        Ok(response.map(|body| body.slice(..body.len().min(limits.body_bytes()))))
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        Ok(())
    }
}

/// The answer of a [`RecordingTransport`] to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    after: Duration,
    outcome: Result<Response<Bytes>, FailureKind>,
}

impl Answer {
    /// Creates an empty answer with this status, which comes at once.
    ///
    /// # Panics
    ///
    /// Panics if `status` is not an HTTP status.
    pub fn status(status: u16) -> Self {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::from_u16(status).expect("an HTTP status");
        Self { after: Duration::ZERO, outcome: Ok(response) }
    }

    /// Creates a failure of this kind in place of an answer.
    pub const fn fail(kind: FailureKind) -> Self {
        Self { after: Duration::ZERO, outcome: Err(kind) }
    }

    /// Creates an answer that comes within no deadline.
    pub const fn hang() -> Self {
        Self { after: Duration::MAX, outcome: Err(FailureKind::Timeout) }
    }

    /// Delays the answer by `after`.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// Sets the header `retry-after` to `seconds`. A failure stays as it is.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.edit(|response| {
            let headers: &mut HeaderMap = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        })
    }

    /// Sets the body. A failure stays as it is.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        self.edit(|response| *response.body_mut() = body.into())
    }

    /// Sets a header, and replaces one of the same name. A failure stays as it is.
    ///
    /// # Panics
    ///
    /// Panics if `name` is not a header name in lower case, or if `value` is not a header value.
    #[must_use]
    pub fn header(self, name: &'static str, value: &'static str) -> Self {
        self.edit(|response| {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        })
    }

    /// Marks the body as incomplete, as if the receiver had broken off. A failure stays as it is.
    #[must_use]
    pub fn incomplete(self) -> Self {
        self.edit(|response| {
            response.extensions_mut().insert(IncompleteBody);
        })
    }

    fn edit(mut self, change: impl FnOnce(&mut Response<Bytes>)) -> Self {
        if let Ok(response) = &mut self.outcome {
            change(response);
        }
        self
    }
}
