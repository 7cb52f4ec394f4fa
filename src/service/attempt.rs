use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Response};

use super::core::Core;
use crate::handshake::REQUEST_ORIGIN;
use crate::model::{CallbackUrl, DeliveryOptions, FailureKind, Outcome};
use crate::request::post;
use crate::retry::parse_retry_after;
use crate::transport::{SendLimits, TransportError};

/// The bytes of a failure's detail that are kept: room for a few causes, and for an operator to read.
const MAX_DETAIL: usize = 1024;

impl Core {
    /// Makes one request within `deadline`, and tells what came of it.
    pub(crate) async fn attempt(
        &self,
        url: &CallbackUrl,
        (options, mut headers): (&DeliveryOptions, HeaderMap),
        body: Bytes,
        deadline: Duration,
    ) -> Outcome {
        let origin = self.handshake().map(|it| (REQUEST_ORIGIN, it.origin().clone()));
        headers.extend(origin);
        let request = match post(url, options, headers, body) {
            Ok(request) => request,
            Err(error) => return failed(FailureKind::Prepare, error.to_string()),
        };
        let limits = SendLimits::new(deadline, self.policy().response_bytes());
        match self.transport().send(request, &limits).await {
            Ok(response) => self.answered(&response),
            Err(error) => failed_by(&error),
        }
    }

    fn answered(&self, response: &Response<Bytes>) -> Outcome {
        let hint = response.headers().get(RETRY_AFTER);
        let body = response.body();
        let kept = &body[..body.len().min(self.policy().response_bytes())];
        Outcome::Answered {
            status: response.status(),
            retry_after: hint.and_then(|value| parse_retry_after(value, self.now())),
            body: String::from_utf8_lossy(kept).into_owned(),
        }
    }
}

/// The outcome of a request that the transport gave up.
pub(super) fn failed_by(error: &TransportError) -> Outcome {
    failed(error.kind(), error.detail())
}

/// The outcome of a request that got no complete answer. A detail may hold what the receiver sent, the names of its
/// certificate say, and is kept with every attempt: so it is cut.
pub(crate) fn failed(kind: FailureKind, detail: impl Into<String>) -> Outcome {
    let mut detail = detail.into();
    let fits = |end: &usize| detail.is_char_boundary(*end);
    let end = (0..=detail.len().min(MAX_DETAIL)).rev().find(fits);
    detail.truncate(end.unwrap_or_default());
    Outcome::Failed { kind, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_cut_however_much_a_receiver_puts_into_it() {
        let kept = |detail: &str| match failed(FailureKind::TlsWrongHost, detail) {
            Outcome::Failed { detail, .. } => detail,
            Outcome::Answered { .. } => panic!("it failed"),
        };
        let (short, long) = ("e".repeat(1024), "\u{e9}".repeat(1_000_000));
        assert_eq!(kept(&short), short);
        assert_eq!(kept(&long), long[..1024]);
        assert_eq!(kept(&format!("e{long}")).len(), 1023, "no character is cut in two");
    }
}
