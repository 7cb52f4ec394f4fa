//! A service on a clock that stands still, and what left it.

use bytes::Bytes;
use hookwire::clock::ManualClock;
use hookwire::model::{Rule, Violation, Webhook};
use hookwire::service::{Created, Tenant, WebhooksBuilder};
use hookwire::store::MemoryStore;
pub(crate) use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Error, ErrorKind, Event, EventId, TenantId, WebhookDraft, Webhooks, assist};
use http::Request;
use serde_json::{Value, json};

/// A service for Zoho Assist's events whose requests are kept instead of sent.
pub(crate) struct Service {
    pub(crate) hooks: Webhooks,
    pub(crate) transport: RecordingTransport,
    pub(crate) clock: ManualClock,
}

impl Service {
    /// A service whose receivers answer 200.
    pub(crate) fn new() -> Self {
        Self::on(RecordingTransport::new())
    }

    pub(crate) fn on(transport: RecordingTransport) -> Self {
        Self::build(transport, |builder| builder)
    }

    pub(crate) fn build(
        transport: RecordingTransport,
        configure: impl FnOnce(WebhooksBuilder) -> WebhooksBuilder,
    ) -> Self {
        let clock = ManualClock::default();
        let builder = Webhooks::builder(assist::catalog())
            .store(MemoryStore::with_clock(clock.clone()))
            .transport(transport.clone())
            .clock(clock.clone());
        let hooks = configure(builder).build().expect("a store and a transport are set");
        Self { hooks, transport, clock }
    }

    pub(crate) fn tenant(&self, name: &str) -> Tenant {
        self.hooks.tenant(TenantId::new(name).expect("a plain name"))
    }

    pub(crate) fn acme(&self) -> Tenant {
        self.tenant("acme")
    }

    /// Sends what is due, and gives the requests that left.
    pub(crate) async fn deliver(&self) -> Vec<Request<Bytes>> {
        let before = self.transport.requests().len();
        self.hooks.deliver_due().await.expect("the store is in memory");
        self.transport.requests().split_off(before)
    }

    /// Sends what is due, and gives the names of the webhooks that heard, sorted.
    pub(crate) async fn heard(&self) -> Vec<String> {
        let mut names: Vec<_> = self.deliver().await.iter().map(name_in).collect();
        names.sort();
        names
    }
}

fn name_in(request: &Request<Bytes>) -> String {
    let host = request.uri().host().expect("a callback URL has a host");
    host.trim_end_matches(".example").to_owned()
}

/// A draft whose URL tells its name, subscribed to nothing yet.
pub(crate) fn named(name: &str) -> WebhookDraft {
    WebhookDraft::new(name, format!("https://{name}.example/"))
}

/// A draft from JSON, as a form would send it.
pub(crate) fn from_json(value: Value) -> WebhookDraft {
    serde_json::from_value(value).expect("every object is a draft")
}

pub(crate) async fn create(tenant: &Tenant, draft: &WebhookDraft) -> Webhook {
    created(tenant, draft).await.webhook().clone()
}

pub(crate) async fn created(tenant: &Tenant, draft: &WebhookDraft) -> Created {
    tenant.create(draft).await.expect("the draft is sound")
}

/// An event without department, source or actor.
pub(crate) fn event(id: EventId) -> Event {
    Event::new(id, &json!({"deviceName": "LAB-4"})).expect("JSON serialises")
}

/// Field and rule of each violation, in order.
pub(crate) fn broken(violations: &[Violation]) -> Vec<(&str, Rule)> {
    violations.iter().map(|it| (it.field(), it.rule())).collect()
}

/// Field and rule of each violation of a request that must be invalid.
pub(crate) fn invalid(error: &Error) -> Vec<(&str, Rule)> {
    assert!(matches!(error.kind(), ErrorKind::Invalid(_)), "{error:?}");
    broken(error.violations())
}

pub(crate) fn body(request: &Request<Bytes>) -> Value {
    serde_json::from_slice(request.body()).expect("bodies are JSON")
}
