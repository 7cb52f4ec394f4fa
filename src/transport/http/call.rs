//! One call of the HTTP client: its request's body, its deadline for the connector, and its end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Request};
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use tokio::task::futures::TaskLocalFuture;
use tokio::time::Instant;

use super::connection::ConnectionHandle;

tokio::task_local! {
    /// The end of the call for which a connection is opened. The pool opens some in the background, for a request
    /// that meanwhile got another; they must not outlive its deadline.
    static ENDS: Option<Instant>;
}

/// Makes the future of a call whose connections are opened within `deadline`.
pub(super) fn within<F: Future>(deadline: Duration, call: F) -> TaskLocalFuture<Option<Instant>, F> {
    ENDS.scope(Instant::now().checked_add(deadline), call)
}

/// Returns the time that is left for opening a connection, at most `most`.
pub(super) fn time_to_connect(most: Duration) -> Duration {
    let ends = ENDS.try_with(|ends| *ends).ok().flatten();
    ends.map_or(most, |ends| ends.saturating_duration_since(Instant::now()).min(most))
}

/// The body of a request, which tells whether the client still holds it.
#[derive(Debug)]
pub(super) struct RequestBody {
    data: Full<Bytes>,
    _held: Arc<()>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.data).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.data.size_hint()
    }
}

/// A call in progress. Dropping it ends what the call still has on its connection, within seconds: nothing of a
/// call outlives it because a receiver does not read or does not answer.
#[derive(Debug)]
pub(super) struct Call {
    connection: CaptureConnection,
    body: Weak<()>,
    is_answered: bool,
}

impl Call {
    /// Begins a call. The request must be sent by the client.
    pub(super) fn begin(request: Request<Bytes>) -> (Self, Request<RequestBody>) {
        let held = Arc::new(());
        let body = Arc::downgrade(&held);
        let mut request = request.map(|data| RequestBody { data: Full::new(data), _held: held });
        let connection = capture_connection(&mut request);
        (Self { connection, body, is_answered: false }, request)
    }

    /// Ends a call whose response came whole, so that its connection can serve others.
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let connected = self.connection.connection_metadata();
        let Some(connected) = connected.as_ref() else { return };
        let mut extras = Extensions::new();
        connected.get_extras(&mut extras);
        let Some(connection) = extras.get::<ConnectionHandle>() else { return };
        // An HTTP/1 connection in the middle of an exchange can serve no other, and one to a mute receiver none at all.
        if !self.is_answered && !(connected.is_negotiated_h2() && connection.is_heard()) {
            return connection.close();
        }
        let body = Weak::clone(&self.body);
        connection.close_unless_read(move || body.strong_count() > 0);
    }
}
