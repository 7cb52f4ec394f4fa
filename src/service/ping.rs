use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::attempt::{failed, failed_by};
use super::error::{Error, ErrorKind};
use super::registering::AddressFinding;
use super::tenant::Tenant;
use crate::model::{
    CallbackUrl, DeliveryOptions, Event, EventId, FailureKind, HookId, MessageId, Outcome, Scope, Violation,
    WebhookDraft,
};
use crate::registry::check_url;
use crate::request::WEBHOOK_PING;
use crate::signer::SignError;

/// What came of a ping: the class of it, and for the [operator](Tenant::for_operator) the details.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PingReport {
    /// What came of it.
    pub outcome: PingOutcome,
    /// How long it took.
    pub took: Duration,
}

impl PingReport {
    /// Whether the receiver answered with a 2xx status.
    pub fn is_success(&self) -> bool {
        matches!(&self.outcome, PingOutcome::Sent(outcome) if outcome.is_success())
    }
}

/// Whether a ping was sent, and what came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PingOutcome {
    /// The URL breaks rules, or leads to an address that is not allowed: nothing was sent.
    Invalid(Vec<Violation>),
    /// What came of the attempt, the look-up of the host's name being the first step of it.
    Sent(Outcome),
}

/// What [`Tenant::ping_event`] pings: a draft, or a webhook that is registered.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum PingTarget<'a> {
    /// A draft: unsigned, since it has no secret yet.
    Draft(&'a WebhookDraft),
    /// A webhook: with its headers, its envelope and its signature.
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

impl Tenant {
    /// Tries a URL: one unsigned POST of `{"type":"ping"}` by the way that deliveries take, marked by the
    /// header `webhook-ping: url`. It is not tried again, and counts for nothing.
    ///
    /// # Errors
    ///
    /// [`MissingScope`](ErrorKind::MissingScope). Whatever the receiver does is in the report.
    pub async fn ping_url(&self, url: &str) -> Result<PingReport, Error> {
        self.require_any(&[Scope::Create, Scope::Update])?;
        let body = Bytes::from_static(br#"{"type":"ping"}"#);
        let target = self.parse(url).map(|url| (url, DeliveryOptions::default()));
        Ok(self.ping(target, Ok(HeaderMap::new()), "url", body).await)
    }

    /// Tries an event: the real envelope with the sample payload of the catalog, by the way that
    /// deliveries take, marked by the header `webhook-ping: event`. Status, departments and source are
    /// passed over; it is not tried again, and counts for nothing.
    ///
    /// # Errors
    ///
    /// [`UnknownEvent`](ErrorKind::UnknownEvent), [`NotFound`](ErrorKind::NotFound),
    /// [`MissingScope`](ErrorKind::MissingScope), [`Store`](ErrorKind::Store). Whatever the receiver does
    /// is in the report.
    pub async fn ping_event(
        &self,
        target: impl Into<PingTarget<'_>> + Send,
        event: EventId,
    ) -> Result<PingReport, Error> {
        self.require_any(&[Scope::Create, Scope::Update])?;
        match target.into() {
            PingTarget::Draft(draft) => {
                let (_, body) = self.sample(event, &DeliveryOptions::default())?;
                let target = self.parse(draft.url()).map(|url| (url, DeliveryOptions::default()));
                Ok(self.ping(target, Ok(HeaderMap::new()), "event", body).await)
            }
            PingTarget::Webhook(hook_id) => {
                let hook = self.get_registered(hook_id).await?;
                let (id, body) = self.sample(event, &hook.options)?;
                let signed = self.core.sign((&self.id, &hook), &id, &body, self.core.now()).await;
                let target = Ok((hook.webhook.url().clone(), hook.options));
                Ok(self.ping(target, signed, "event", body).await)
            }
        }
    }

    fn parse(&self, url: &str) -> Result<CallbackUrl, Vec<Violation>> {
        let terms = self.core.terms(&self.id);
        check_url(url, terms.urls, &terms.limits.unwrap_or_default())
    }

    /// The sample of an event as it would be sent, under an id of its own.
    fn sample(&self, event: EventId, options: &DeliveryOptions) -> Result<(MessageId, Bytes), Error> {
        let unknown = || Error::new(ErrorKind::UnknownEvent, format!("event {event} is not in the catalog"));
        let kind = self.core.catalog().get(event).ok_or_else(unknown)?;
        let sample = Event::new(event, kind.sample());
        let sample = sample.map_err(|error| Error::new(ErrorKind::UnknownEvent, error.to_string()))?;
        let sample = self.prepare(sample)?;
        let body = self.core.body(options, &sample, &self.id);
        Ok((sample.message_id, body))
    }

    async fn ping(
        &self,
        target: Result<(CallbackUrl, DeliveryOptions), Vec<Violation>>,
        headers: Result<HeaderMap, SignError>,
        kind: &'static str,
        body: Bytes,
    ) -> PingReport {
        let started = self.core.now();
        let outcome = match target {
            Err(violations) => PingOutcome::Invalid(violations),
            Ok((url, options)) => match self.check_address(url.as_str()).await {
                AddressFinding { violation: Some(violation), .. } => PingOutcome::Invalid(vec![violation]),
                // What could not be checked cannot be sent either; trying would cost deliveries a look-up.
                AddressFinding { failure: Some(error), .. } => self.pinged(failed_by(&error)),
                _ => self.pinged(self.send_ping(&url, (&options, headers), kind, body).await),
            },
        };
        PingReport { outcome, took: self.core.now().since(started) }
    }

    fn pinged(&self, outcome: Outcome) -> PingOutcome {
        PingOutcome::Sent(self.audience.see(outcome))
    }

    async fn send_ping(
        &self,
        url: &CallbackUrl,
        (options, headers): (&DeliveryOptions, Result<HeaderMap, SignError>),
        kind: &'static str,
        body: Bytes,
    ) -> Outcome {
        let mut headers = match headers {
            Ok(headers) => headers,
            Err(error) => return failed(FailureKind::Prepare, error.detail()),
        };
        headers.insert(WEBHOOK_PING, HeaderValue::from_static(kind));
        self.core.attempt(url, (options, headers), body, self.core.policy().deadline()).await
    }
}
