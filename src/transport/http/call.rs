//! One call of the HTTP client: its request's body, and its end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use super::managed_stream::ConnectionHandle;
use crate::request::clone_with_room;

/// The headers that the client adds to a request: `host` and `content-length`.
const CLIENT_HEADERS: usize = 2;

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
    connection: Option<ConnectionHandle>,
    is_http2: bool,
    body: Weak<()>,
    is_answered: bool,
}

impl Call {
    /// Begins a call on a connection, by a copy of the request.
    pub(super) fn begin(
        request: &Request<Bytes>,
        connection: Option<ConnectionHandle>,
        is_http2: bool,
    ) -> (Self, Request<RequestBody>) {
        let held = Arc::new(());
        let body = Arc::downgrade(&held);
        let data = Full::new(request.body().clone());
        let request = copy(request, RequestBody { data, _held: held });
        (Self { connection, is_http2, body, is_answered: false }, request)
    }

    /// Ends a call whose response came whole, so that its connection can serve others.
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

/// Copies a request to another body, with room for the headers that the client adds.
fn copy<B>(request: &Request<Bytes>, body: B) -> Request<B> {
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.extensions_mut() = request.extensions().clone();
    *copy.headers_mut() = clone_with_room(request.headers(), CLIENT_HEADERS);
    copy
}

impl Drop for Call {
    fn drop(&mut self) {
        let Some(connection) = &self.connection else { return };
        // An HTTP/1 connection in the middle of an exchange can serve no other, and one to a mute receiver none at all.
        let serves_others = self.is_http2 && connection.is_heard();
        if !self.is_answered && !serves_others {
            return connection.close();
        }
        let body = Weak::clone(&self.body);
        connection.close_unless_read(move || body.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, CONTENT_LENGTH, HOST};
    use http::{HeaderValue, Method, Version};

    use super::*;

    #[test]
    fn a_copy_has_all_of_the_request_and_room_for_what_the_client_adds() {
        let mut request = Request::put("https://hooks.example.com/a?b=1").version(Version::HTTP_2);
        for number in 0..12 {
            request = request.header(ACCEPT, number).header(format!("x-{number}"), number);
        }
        let request = request.extension(7_u8).body(Bytes::from("body")).expect("a request");
        let mut copied = copy(&request, request.body().clone());
        assert_eq!((copied.method(), copied.uri()), (&Method::PUT, request.uri()));
        assert_eq!((copied.version(), copied.body()), (Version::HTTP_2, request.body()));
        assert_eq!((copied.headers(), copied.extensions().get()), (request.headers(), Some(&7_u8)));
        let room = copied.headers().capacity();
        for name in [HOST, CONTENT_LENGTH] {
            copied.headers_mut().insert(name, HeaderValue::from_static("1"));
        }
        assert_eq!(copied.headers().capacity(), room);
    }
}
