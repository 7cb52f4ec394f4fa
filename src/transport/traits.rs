//! [`Transport`], the trait through which every request leaves, and its implementations for pointers.

use std::fmt::Debug;
use std::sync::Arc;

use ::http::{Request, Response};
use async_trait::async_trait;
use bytes::Bytes;

use super::error::TransportError;
use super::limits::SendLimits;
use crate::model::CallbackUrl;

/// Carries requests to receivers.
///
/// # Contract
///
/// 1. One call of `send` is at most one request that a receiver may process: no retry, no redirect. It is sent
///    again, within the deadline, only if nothing of it was written or the receiver says that it did not process
///    it (HTTP/2: REFUSED_STREAM, or a GOAWAY whose last stream is an earlier one), and never once a byte of an
///    answer came.
/// 2. A complete head with any final status is a response and `Ok`, including 3xx and 5xx, whatever becomes of
///    its body. If the body breaks off or stalls, the bytes that came are kept, and the response's extensions
///    have the mark [`IncompleteBody`](super::IncompleteBody). `Err` means that no complete head came.
/// 3. The deadline covers the whole call, from resolving the name to the end of the body. When it
///    passes before the head, the call ends with [`Timeout`](crate::model::FailureKind::Timeout), or with
///    [`Dns`](crate::model::FailureKind::Dns) if the name was not even resolved; after the head, with the response.
///    The body is not waited for longer than a few seconds, because the status is known.
/// 4. A response whose body is longer than the limit is complete: its first bytes are kept, the rest is not
///    read. The bytes are those that the receiver sent; nothing is decompressed.
/// 5. No connection is opened to an address that the transport's policy forbids, whatever the URL is and
///    whatever its name resolves to. The call ends with [`Refused`](crate::model::FailureKind::Refused).
/// 6. `check` decides as `send` would at that moment, and opens no connection.
/// 7. Dropping the future of a call cancels it: its request is not sent later.
///
/// ```
/// # #[derive(Debug)]
/// # struct Teapot;
/// use async_trait::async_trait;
/// use bytes::Bytes;
/// use hookwire::model::CallbackUrl;
/// use hookwire::transport::{SendLimits, Transport, TransportError};
/// use http::{Request, Response, StatusCode};
///
/// #[async_trait]
/// impl Transport for Teapot {
///     async fn send(&self, _: Request<Bytes>, _: &SendLimits) -> Result<Response<Bytes>, TransportError> {
///         let mut answer = Response::new(Bytes::from_static(b"short and stout"));
///         *answer.status_mut() = StatusCode::IM_A_TEAPOT;
///         Ok(answer)
///     }
///
///     async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Sends one request and reads its response.
    ///
    /// # Errors
    ///
    /// Returns an error of kind `Connect`, `Dns`, `Local`, `Protocol`, `Refused`, `Timeout`, `Tls` or one of the
    /// kinds of TLS failure when no complete head came.
    ///
    /// # Cancellation
    ///
    /// The receiver may have received the request nevertheless.
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError>;

    /// Checks whether a request to this URL could be sent. Called at registration and before a ping.
    ///
    /// # Errors
    ///
    /// `Refused` means that the policy forbids the URL. `Dns` and `Local` mean that the name was not resolved now; it may
    /// be by the time of a delivery.
    async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError>;
}

/// Implements [`Transport`] for pointers to one.
macro_rules! through_pointers {
    ($($pointer:ident),+) => {
        $(
            #[deny(clippy::missing_trait_methods)]
            #[async_trait]
            impl<T: Transport + ?Sized> Transport for $pointer<T> {
                async fn send(
                    &self,
                    request: Request<Bytes>,
                    limits: &SendLimits,
                ) -> Result<Response<Bytes>, TransportError> {
                    (**self).send(request, limits).await
                }

                async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError> {
                    (**self).check(url).await
                }
            }
        )+
    };
}

through_pointers!(Arc, Box);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seam_is_object_safe_through_both_pointers() {
        const fn is_transport<T: Transport + ?Sized>() {}
        is_transport::<dyn Transport>();
        is_transport::<Arc<dyn Transport>>();
        is_transport::<Box<dyn Transport>>();
    }
}
