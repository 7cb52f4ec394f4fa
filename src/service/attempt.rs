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

/// The outcome of a request that got no complete answer.
pub(crate) fn failed(kind: FailureKind, detail: impl Into<String>) -> Outcome {
    Outcome::Failed { kind, detail: detail.into() }
}
