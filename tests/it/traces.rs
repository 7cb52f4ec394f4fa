//! The trace in which an event is published goes with it to receivers, if the host asks for that.

use std::time::Duration;

use hookwire::clock::ManualClock;
use hookwire::model::{DeliveryOptions, TraceContext};
use hookwire::service::{Tenant, WebhooksBuilder};
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, HookId, TenantId, WebhookDraft, Webhooks, assist};
use http::{HeaderMap, Request};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct World {
    hooks: Webhooks,
    acme: Tenant,
    hook: HookId,
    clock: ManualClock,
    transport: RecordingTransport,
}

impl World {
    async fn new(set: impl FnOnce(WebhooksBuilder) -> WebhooksBuilder) -> Self {
        let transport =
            RecordingTransport::answering(|_, nth| Answer::status(if nth == 0 { 503 } else { 204 }));
        let clock = ManualClock::default();
        let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::with_clock(clock.clone()));
        let builder = builder.clock(clock.clone()).transport(transport.clone());
        let hooks = set(builder).build().expect("sound");
        let acme = hooks.tenant(TenantId::new("acme").expect("valid"));
        let draft = WebhookDraft::new("Log", "https://hooks.example.com/").subscribe(assist::DEVICE_ONLINE);
        let hook = acme.create(&draft).await.expect("created").webhook().hook_id();
        Self { hooks, acme, hook, clock, transport }
    }

    /// Publishes, and returns the headers of both attempts.
    async fn deliver(&self, event: Event) -> Vec<HeaderMap> {
        self.acme.publish(event).await.expect("published");
        self.hooks.deliver_due().await.expect("delivered");
        self.clock.advance(Duration::from_secs(10));
        self.hooks.deliver_due().await.expect("delivered");
        self.transport.requests().into_iter().map(Request::into_parts).map(|(head, _)| head.headers).collect()
    }
}

fn event() -> Event {
    Event::new(assist::DEVICE_ONLINE, "LAB-4").expect("JSON")
}

fn traced() -> Event {
    let context: TraceContext = PARENT.parse().expect("a traceparent");
    event().trace_context(context.with_state("rojo=1,congo=t61").expect("a tracestate"))
}

fn has_trace(headers: &HeaderMap) -> bool {
    headers.contains_key("traceparent") || headers.contains_key("tracestate")
}

#[tokio::test]
async fn each_attempt_carries_the_trace_of_its_event() {
    let world = World::new(WebhooksBuilder::send_trace_context).await;
    let sent = world.deliver(traced()).await;
    assert_eq!(sent.len(), 2);
    for headers in sent {
        assert_eq!(headers["traceparent"], PARENT);
        assert_eq!(headers["tracestate"], "rojo=1,congo=t61");
    }
}

#[tokio::test]
async fn a_trace_is_sent_only_if_it_is_asked_for_and_there_is_one() {
    let silent = World::new(|builder| builder).await;
    assert!(!silent.deliver(traced()).await.iter().any(has_trace), "other people's receivers");
    let world = World::new(WebhooksBuilder::send_trace_context).await;
    assert!(!world.deliver(event()).await.iter().any(has_trace), "there is none");
}

#[tokio::test]
async fn the_trace_of_an_event_takes_the_place_of_a_webhook_s_own_headers() {
    let world = World::new(WebhooksBuilder::send_trace_context).await;
    let own = DeliveryOptions::new().with_headers([("traceparent", "mine"), ("tracestate", "mine")]);
    world.acme.set_options(world.hook, own.expect("headers")).await.expect("there");
    let context: TraceContext = PARENT.parse().expect("a traceparent");
    let sent = world.deliver(event().trace_context(context)).await;
    assert!(sent.iter().all(|headers| headers["traceparent"] == PARENT));
    assert!(!sent.iter().any(|headers| headers.contains_key("tracestate")), "a state is of its parent alone");
}
