//! Pings: one request to a receiver, on trial.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request};
use serde::Serialize;

use super::address::AddressFinding;
use super::error::{Error, ErrorKind};
use super::publishing::new_test_id;
use super::sending::{failed, failed_by};
use super::tenant::Tenant;
use crate::catch_panic::catch_panic;
use crate::model::{
    CallbackUrl, DeliveryOptions, Event, EventId, FailureKind, HookId, MessageId, Outcome, Scope,
    StampedEvent, Timestamp, Violation, WebhookDraft, millis,
};
use crate::registry::{RegisteredWebhook, check_url, draft_template};
use crate::request::{Content, WEBHOOK_PING};

/// The result of a ping. Details of a failure are in it for the [operator](Tenant::for_operator) alone.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PingReport {
    /// Whether it was sent, and the outcome.
    pub outcome: PingOutcome,
    /// The time from the check of the address to the outcome. Zero if rules are broken, because then nothing was
    /// tried.
    #[serde(rename = "took_ms", with = "millis")]
    pub took: Duration,
}

impl PingReport {
    const fn invalid(violations: Vec<Violation>) -> Self {
        Self { outcome: PingOutcome::Invalid(violations), took: Duration::ZERO }
    }

    /// Whether the receiver answered with a 2xx status.
    pub fn is_success(&self) -> bool {
        matches!(&self.outcome, PingOutcome::Sent(outcome) if outcome.is_success())
    }
}

/// Whether a ping was sent, and the outcome.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PingOutcome {
    /// Nothing was sent: the URL or the draft's templates break rules, or the URL leads to an address that is not allowed.
    Invalid(Vec<Violation>),
    /// The outcome of the attempt, which begins with the look-up of the host's name.
    Sent(Outcome),
}

/// The receiver that [`Tenant::ping_event`] pings.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum PingTarget<'a> {
    /// The URL of a draft. The ping is unsigned, since a draft has no secret. It has the template of the draft's subscription
    /// to the event.
    Draft(&'a WebhookDraft),
    /// A registered webhook. The ping has its headers, its template or envelope, and its signature.
    Webhook(HookId),
}

impl<'a> From<&'a WebhookDraft> for PingTarget<'a> {
    fn from(draft: &'a WebhookDraft) -> Self {
        Self::Draft(draft)
    }
}

impl From<HookId> for PingTarget<'_> {
    fn from(hook_id: HookId) -> Self {
        Self::Webhook(hook_id)
    }
}

/// The body of a ping.
pub(super) const PING: &[u8] = br#"{"type":"ping"}"#;

async fn or_panicked(
    prepared: impl Future<Output = Result<Request<Bytes>, Outcome>>,
) -> Result<Request<Bytes>, Outcome> {
    let panicked = || Err(failed(FailureKind::Prepare, "the signer panicked"));
    catch_panic(prepared).await.unwrap_or_else(panicked)
}

impl Tenant {
    /// Sends one unsigned POST of `{"type":"ping"}` to a URL, with the header `webhook-ping: url`.
    ///
    /// The request takes the same way as a delivery. It is not retried, and has no effect on a webhook's health.
    ///
    /// # Errors
    ///
    /// [`MissingScope`](ErrorKind::MissingScope). A failure to reach the receiver is no error, but in the report.
    pub async fn ping_url(&self, url: &str) -> Result<PingReport, Error> {
        self.require_any(&[Scope::Create, Scope::Update])?;
        let content = Content::json(Bytes::from_static(PING));
        Ok(self.ping_unsigned(url, "url", content).await)
    }

    /// Sends one signed POST of `{"type":"ping"}` to a webhook, with its own headers and the header `webhook-ping: url`. The
    /// message id begins with `test_`, so that the receiver knows a [test](crate::signature::Verified::is_test).
    ///
    /// A receiver that verifies signatures refuses [`ping_url`](Self::ping_url), as it should.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound), [`MissingScope`](ErrorKind::MissingScope), [`Store`](ErrorKind::Store). A failure
    /// to reach the receiver is no error, but in the report.
    pub async fn ping(&self, hook_id: HookId) -> Result<PingReport, Error> {
        self.require_any(&[Scope::Create, Scope::Update])?;
        let hook = self.get_registered(hook_id).await?;
        let now = self.core.now();
        let id = new_test_id(now.as_millis());
        let request = self.test_request(&hook, (&id, now), Bytes::from_static(PING)).await;
        Ok(self.try_out(hook.webhook.url(), request, "url").await)
    }

    /// Makes a signed request to a webhook, under this id and time.
    pub(super) async fn test_request(
        &self,
        hook: &RegisteredWebhook,
        as_of: (&MessageId, Timestamp),
        body: Bytes,
    ) -> Result<Request<Bytes>, Outcome> {
        or_panicked(self.core.prepare_content(&self.id, hook, as_of, Content::json(body))).await
    }

    /// Sends the catalog's sample of an event by the real template or in the real envelope, with the header `webhook-ping: event`. The message id
    /// begins with `test_`, so that the receiver knows a [test](crate::signature::Verified::is_test).
    ///
    /// The request takes the same way as a delivery. The webhook's status, departments and sources are not considered.
    /// The request is not retried, and has no effect on the webhook's health.
    ///
    /// # Errors
    ///
    /// [`UnknownEvent`](ErrorKind::UnknownEvent), [`NotFound`](ErrorKind::NotFound),
    /// [`MissingScope`](ErrorKind::MissingScope), [`Store`](ErrorKind::Store). A failure
    /// to reach the receiver is no error, but in the report.
    pub async fn ping_event(
        &self,
        target: impl Into<PingTarget<'_>> + Send,
        event: EventId,
    ) -> Result<PingReport, Error> {
        self.require_any(&[Scope::Create, Scope::Update])?;
        match target.into() {
            PingTarget::Draft(draft) => {
                let sample = self.sample(event)?;
                let template = match draft_template(draft, event, self.core.catalog()) {
                    Ok(template) => template,
                    Err(violations) => return Ok(PingReport::invalid(violations)),
                };
                let options = DeliveryOptions::default();
                let content = self.core.content(template.as_ref(), &options, &sample, &self.id);
                Ok(self.ping_unsigned(draft.url(), "event", content).await)
            }
            PingTarget::Webhook(hook_id) => {
                let hook = self.get_registered(hook_id).await?;
                let sample = self.sample(event)?;
                let request = or_panicked(self.core.prepare(&self.id, &hook, &sample, self.core.now())).await;
                Ok(self.try_out(hook.webhook.url(), request, "event").await)
            }
        }
    }

    fn parse(&self, url: &str) -> Result<CallbackUrl, Vec<Violation>> {
        let terms = self.core.terms(&self.id);
        check_url(url, terms.urls, &terms.limits.unwrap_or_default())
    }

    /// Makes the catalog's sample of an event, under the id of a test.
    fn sample(&self, event: EventId) -> Result<StampedEvent, Error> {
        let unknown = || Error::new(ErrorKind::UnknownEvent, format!("event {event} is not in the catalog"));
        let kind = self.core.catalog().get(event).ok_or_else(unknown)?;
        let sample = Event::new(event, kind.sample());
        let sample = sample.map_err(|error| Error::new(ErrorKind::UnknownEvent, error.to_string()))?;
        let now = self.core.now();
        Ok(sample.stamped(|| new_test_id(now.as_millis()), now))
    }

    async fn ping_unsigned(&self, url: &str, kind: &'static str, content: Content) -> PingReport {
        match self.parse(url) {
            Ok(url) => self.try_out(&url, self.core.prepare_unsigned(&url, content), kind).await,
            Err(violations) => PingReport::invalid(violations),
        }
    }

    /// Sends a request once, and tells how it went.
    pub(super) async fn try_out(
        &self,
        url: &CallbackUrl,
        request: Result<Request<Bytes>, Outcome>,
        kind: &'static str,
    ) -> PingReport {
        let started = self.core.monotonic();
        let outcome = match self.check_address(url.as_str()).await {
            AddressFinding { violation: Some(violation), .. } => PingOutcome::Invalid(vec![violation]),
            // The request would fail in the same way, and cost deliveries a look-up.
            AddressFinding { failure: Some(error), .. } => self.pinged(failed_by(&error)),
            _ => self.pinged(self.send_ping(request, kind).await),
        };
        PingReport { outcome, took: self.core.monotonic().saturating_sub(started) }
    }

    fn pinged(&self, outcome: Outcome) -> PingOutcome {
        PingOutcome::Sent(self.visibility.redact(outcome))
    }

    async fn send_ping(&self, request: Result<Request<Bytes>, Outcome>, kind: &'static str) -> Outcome {
        let mut request = match request {
            Ok(request) => request,
            Err(outcome) => return outcome,
        };
        request.headers_mut().insert(WEBHOOK_PING, HeaderValue::from_static(kind));
        let sent = catch_panic(self.core.send(request, self.core.policy().deadline())).await;
        sent.unwrap_or_else(|| failed(FailureKind::Prepare, "the transport panicked"))
    }
}
