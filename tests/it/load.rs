//! Load from outside, on paused time: it takes bounded memory and places, and delays nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::model::{CallbackUrl, DeliveryState, End, FailureKind};
use hookwire::service::Tenant;
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport, TokioClock};
use hookwire::transport::{SendLimits, Transport, TransportError};
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, Response};
use tokio::time::{Instant, sleep};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn service(transport: impl Transport) -> Webhooks {
    let store = MemoryStore::with_clock(TokioClock::new());
    let builder = Webhooks::builder(assist::catalog()).store(store).transport(transport);
    builder.clock(TokioClock::new()).build().expect("a sound service")
}

async fn tenant(hooks: &Webhooks, name: &str, hosts: &[String]) -> Tenant {
    let tenant = hooks.tenant(TenantId::new(name).expect("a short name"));
    for host in hosts {
        let draft = WebhookDraft::new(host, format!("https://{host}/")).subscribe(assist::DEVICE_ONLINE);
        tenant.create(&draft).await.expect("a sound draft");
    }
    tenant
}

async fn publish(tenant: &Tenant) -> hookwire::service::Sent {
    tenant.publish(Event::new(assist::DEVICE_ONLINE, &1).expect("JSON")).await.expect("published")
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_asks_for_three_thousand_years_gets_a_day() {
    let transport = RecordingTransport::answering(|_, nth| match nth {
        0 => Answer::status(503).retry_after(99_999_999_999),
        _ => Answer::status(200),
    });
    let hooks = service(transport.clone());
    let acme = tenant(&hooks, "acme", &["patient.example".to_owned()]).await;
    let dispatcher = hooks.start().expect("inside tokio");
    let sent = publish(&acme).await;
    while transport.requests().is_empty() {
        sleep(Duration::from_secs(1)).await;
    }
    sleep(23 * HOUR).await;
    assert_eq!(transport.requests().len(), 1, "it is left alone as far as that is sensible");
    sleep(2 * HOUR).await;
    let state = acme.explain(sent.message_id()).await.expect("known").deliveries[0].state;
    assert_eq!(state, DeliveryState::Ended(End::Delivered));
    dispatcher.shutdown_within(HOUR).await;
}

/// Receivers of which all hang but those at `healthy.*`, which are counted.
#[derive(Clone, Debug, Default)]
struct Crowd {
    arrived: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[async_trait]
impl Transport for Crowd {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError> {
        if request.uri().host().is_some_and(|host| host.starts_with("healthy")) {
            self.arrived.fetch_add(1, Ordering::SeqCst);
            return Ok(Response::new(Bytes::new()));
        }
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        sleep(limits.deadline()).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        Err(TransportError::new(FailureKind::Timeout, "it hangs"))
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        Ok(())
    }
}

impl Crowd {
    /// Publishes what goes to a healthy webhook, and waits until it has arrived there.
    async fn serve(&self, tenant: &Tenant) {
        let (before, published) = (self.arrived.load(Ordering::SeqCst), Instant::now());
        publish(tenant).await;
        while self.arrived.load(Ordering::SeqCst) == before {
            assert!(published.elapsed() < Duration::from_secs(1), "it waits for others");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Half of the places, and a thirty-second for tenants that hold nothing yet.
const HALF_AND_FIRSTS: u64 = 256 + 16;

#[tokio::test(start_paused = true)]
async fn ten_thousand_hanging_webhooks_hold_up_nobody_and_take_no_more_than_their_places() {
    let crowd = Crowd::default();
    let hooks = service(crowd.clone());
    let mut tenants = Vec::new();
    for n in 0..1000 {
        let hosts: Vec<_> = (0..10).map(|hook| format!("hangs-{n}-{hook}.example")).collect();
        tenants.push(tenant(&hooks, &format!("tenant-{n}"), &hosts).await);
    }
    let acme = tenant(&hooks, "acme", &["healthy.example".to_owned()]).await;
    let dispatcher = hooks.start().expect("inside tokio");
    crowd.serve(&acme).await;
    for tenant in &tenants {
        publish(tenant).await;
    }
    for _ in 0..20 {
        crowd.serve(&acme).await;
        let held = hooks.stats().await.expect("counted").held;
        assert!(held <= HALF_AND_FIRSTS + 1, "more than their part is held: {held}");
        sleep(Duration::from_secs(7)).await;
    }
    let most = u64::try_from(crowd.most.load(Ordering::SeqCst)).expect("small");
    assert_eq!(most, HALF_AND_FIRSTS, "they have their part, and all of it");
    // Each has timed out twice by then, and a newcomer no longer stands in line with them.
    sleep(HOUR).await;
    crowd.serve(&tenant(&hooks, "newcomer", &["healthy.new.example".to_owned()]).await).await;
    dispatcher.shutdown_within(Duration::ZERO).await;
}
