//! Sends: the body, the signature, the request, and the outcome of the answer. Attempts and pings share it.
//!
//! It has no runtime and so no timer: the dispatcher limits how long a signer or a transport may take.

use std::time::Duration;

use bytes::Bytes;
use http::header::{DATE, RETRY_AFTER};
use http::{Request, Response, Uri};
use tracing::warn;

use super::core::Core;
use super::redirect::redirect_target;
use super::templates::Template;
use crate::catch_panic::catch_panic;
use crate::envelope;
use crate::handshake::{Consent, Handshake, REQUEST_ORIGIN};
use crate::model::{
    BodyTemplate, CallbackUrl, DeliveryOptions, FailureKind, MessageId, Outcome, StampedEvent, TenantId,
    Timestamp,
};
use crate::registry::RegisteredWebhook;
use crate::request::{Content, RequestTemplate};
use crate::retry::parse_retry_after;
use crate::signature::{KeyRing, Message};
use crate::signer::SignError;
use crate::transport::{IncompleteBody, SendLimits, TransportError};

/// The bytes of a failure's detail that are kept: room for a few causes, and short enough to read.
const MAX_DETAIL: usize = 1024;

impl Core {
    /// Makes the request that delivers an event to a webhook, signed. The error is the outcome of an attempt for
    /// which no request could be made.
    pub(crate) async fn prepare(
        &self,
        tenant: &TenantId,
        hook: &RegisteredWebhook,
        event: &StampedEvent,
        at: Timestamp,
    ) -> Result<Request<Bytes>, Outcome> {
        let template = hook.template(event.event_id, self.catalog());
        let content = self.content(template, &hook.options, event, tenant);
        let mut request = self.prepare_content(tenant, hook, (&event.message_id, at), content).await?;
        self.requests().trace(event.trace.as_ref(), request.headers_mut());
        Ok(request)
    }

    /// Makes the request that brings a webhook this content, signed under this id and time.
    pub(super) async fn prepare_content(
        &self,
        tenant: &TenantId,
        hook: &RegisteredWebhook,
        (id, at): (&MessageId, Timestamp),
        content: Content,
    ) -> Result<Request<Bytes>, Outcome> {
        let template = self.templates().get(tenant, hook, || self.template(tenant, hook))?;
        let body = content.body.clone();
        let message = Message { scheme: hook.options.signature(), id, at, body: &body };
        let signatures = match (self.signer(), &template.keys) {
            (Some(signer), _) => signer.sign(tenant, hook.hook_id(), &message).await.map_err(unsigned)?,
            (None, keys) => keys.as_ref().map(|keys| keys.sign(&message)).unwrap_or_default(),
        };
        let mut request = template.request.post(content);
        let added = message.write_headers(&signatures, request.headers_mut());
        added.map_err(|error| unsigned(SignError::new(error)))?;
        self.requests().repeat(request.headers_mut());
        Ok(request)
    }

    /// Makes what the requests to a webhook have in common.
    fn template(&self, tenant: &TenantId, hook: &RegisteredWebhook) -> Result<Template, Outcome> {
        let ready = |ring: KeyRing| ring.ready(hook.options.signature());
        let keys = match self.signer() {
            Some(_) => None,
            None => Some(
                self.key_ring(tenant, hook).map(ready).map_err(|error| unsigned(SignError::new(error)))?,
            ),
        };
        Ok(Template { request: self.request(hook.webhook.url(), &hook.options)?, keys })
    }

    /// Makes an unsigned request, for a URL that has no webhook yet.
    pub(super) fn prepare_unsigned(
        &self,
        url: &CallbackUrl,
        content: Content,
    ) -> Result<Request<Bytes>, Outcome> {
        self.request(url, &DeliveryOptions::default()).map(|template| template.post(content))
    }

    /// Sends a request, which the transport gives up after `deadline`.
    pub(crate) async fn send(&self, request: Request<Bytes>, deadline: Duration) -> Outcome {
        let limits = SendLimits::new(deadline, self.policy().response_bytes());
        let url = request.uri().clone();
        match self.transport().send(request, &limits).await {
            Ok(response) => {
                self.check_date(url.host().unwrap_or_default(), &response);
                self.answered(&url, &response)
            }
            Err(error) => failed_by(&error),
        }
    }

    /// Asks a receiver whether it wants to receive webhooks. A receiver that does not answer does not.
    pub(super) async fn ask(&self, handshake: &Handshake, url: &CallbackUrl) -> Consent {
        let Ok(mut request) = handshake.request(url) else { return Consent::Denied };
        self.requests().name_sender(request.headers_mut());
        let limits = SendLimits::new(self.policy().deadline(), self.policy().response_bytes());
        match unless_panicked(self.transport().send(request, &limits)).await {
            Ok(answer) => handshake.judge(&answer),
            Err(_) => Consent::Denied,
        }
    }

    /// Writes an event as a webhook gets it: by the template, or in the envelope.
    pub(super) fn content(
        &self,
        template: Option<&BodyTemplate>,
        options: &DeliveryOptions,
        event: &StampedEvent,
        tenant: &TenantId,
    ) -> Content {
        let key = self.event_key(event.event_id);
        if let Some(template) = template {
            return Content::json(envelope::render(template, event, &key, tenant));
        }
        let kind = options.envelope().unwrap_or_else(|| self.catalog().envelope());
        Content { body: envelope::body(kind, event, &key, tenant), media_type: envelope::media_type(kind) }
    }

    fn request(&self, url: &CallbackUrl, options: &DeliveryOptions) -> Result<RequestTemplate, Outcome> {
        let origin = self.handshake().map(|it| (REQUEST_ORIGIN, it.origin().clone()));
        let template = self.requests().template(url, options, origin);
        template.map_err(|error| failed(FailureKind::Prepare, error.to_string()))
    }

    /// Compares the date of an answer with our own clock, and warns once if those of several hosts agree that it is off.
    fn check_date(&self, host: &str, response: &Response<Bytes>) {
        let date = response.headers().get(DATE).and_then(|value| value.to_str().ok());
        let Some(Ok(date)) = date.map(httpdate::parse_http_date) else { return };
        if let Some(offset) = self.check_clock(host, date.into()) {
            warn!(
                %offset,
                "the clock of this machine is off, by the dates of receivers' answers; \
                 receivers refuse what is signed more than five minutes off"
            );
        }
    }

    fn answered(&self, url: &Uri, response: &Response<Bytes>) -> Outcome {
        let hint = response.headers().get(RETRY_AFTER);
        let body = response.body();
        let kept = &body[..body.len().min(self.policy().response_bytes())];
        Outcome::Answered {
            status: response.status(),
            retry_after: hint.and_then(|value| parse_retry_after(value, self.now())),
            body: String::from_utf8_lossy(kept).into_owned(),
            incomplete: response.extensions().get::<IncompleteBody>().is_some(),
            location: redirect_target(url, response),
        }
    }
}

/// Returns the result of a call of the host's transport. A panic of it is a failure.
pub(super) async fn unless_panicked<T>(
    call: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    let panicked = || Err(TransportError::new(FailureKind::Prepare, "the transport panicked"));
    catch_panic(call).await.unwrap_or_else(panicked)
}

/// Returns the outcome of a request that could not be signed.
fn unsigned(error: SignError) -> Outcome {
    failed(FailureKind::Prepare, error.detail())
}

/// Returns the outcome of a request that the transport gave up.
pub(super) fn failed_by(error: &TransportError) -> Outcome {
    failed(error.kind(), error.detail())
}

/// Returns the outcome of a request that got no answer.
///
/// The detail is cut: it is stored with every attempt, and may hold text of the receiver's, such as the names in its
/// certificate.
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
