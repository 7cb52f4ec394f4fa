//! How a request leaves: the [`Transport`] seam, and [`HttpTransport`] behind the feature `http-transport`.
//!
//! A transport carries one prepared request to one receiver and brings back the answer. It knows nothing
//! of webhooks, retries or stores.
//!
//! # Which addresses pass
//!
//! `HttpTransport` judges every address of a host by the first of these that speaks of it:
//!
//! | | from |
//! |---|---|
//! | closed | `deny_network` of its builder |
//! | closed | metadata and credential services of the clouds, those on public addresses too |
//! | open | `allow_network` |
//! | open | loopback, with `allow_loopback` |
//! | closed | all that is no public unicast: the special-purpose registries of IANA, multicast, what is not allocated |
//! | open | the rest |
//!
//! An IPv4 address inside an IPv6 address (mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP) has to
//! pass by itself too, and without the switch for loopback. One closed address refuses the whole host. The
//! same function judges at registration, at ping and whenever a connection is opened.

mod error;
#[cfg(feature = "http-transport")]
mod http;
mod limits;

use std::fmt::Debug;
use std::sync::Arc;

use ::http::{Request, Response};
use async_trait::async_trait;
use bytes::Bytes;

pub use self::error::TransportError;
#[cfg(feature = "http-transport")]
pub use self::http::{BuildTransportError, HttpTransport, HttpTransportBuilder, Resolve, TransportFault};
pub use self::limits::SendLimits;
use crate::model::CallbackUrl;

/// Carries requests to receivers.
///
/// # Contract
///
/// 1. One call of `send` puts at most one request on the wire: no retry, no redirect, no silent resend.
/// 2. Any status is `Ok`, 3xx and 5xx too. `Err` means that no complete answer came.
/// 3. The deadline covers all of a call, from the look-up of the name to the end of the body. When it
///    passes, the call ends with [`Timeout`](crate::model::FailureKind::Timeout).
/// 4. An answer whose body is longer than the limit is a complete answer: its first bytes are kept, the rest
///    is not read. The bytes are those that the receiver sent, nothing is decompressed.
/// 5. No connection is opened to an address that the transport's policy forbids, whatever the URL, and
///    whatever its name resolves to by then: the call ends with
///    [`Refused`](crate::model::FailureKind::Refused).
/// 6. `check` judges as `send` would at that moment, and opens no connection.
/// 7. A call whose future is dropped is given up: its request is not sent later on.
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
    /// Sends one request and reads its answer.
    ///
    /// # Errors
    ///
    /// `Connect`, `Dns`, `Protocol`, `Refused`, `Timeout`, `Tls` or one of its kinds: no complete answer
    /// came.
    ///
    /// # Cancellation
    ///
    /// The receiver may have got the request all the same.
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError>;

    /// Whether this URL could be dialled at all: asked at registration and ping.
    ///
    /// # Errors
    ///
    /// `Refused` is final for this URL as it stands. `Dns` and `Timeout` say that the name was not
    /// resolved, which may be mended by the time of a delivery.
    async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError>;
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Transport + ?Sized> Transport for Arc<T> {
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

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<T: Transport + ?Sized> Transport for Box<T> {
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
