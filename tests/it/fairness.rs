//! No tenant delays another: shown through a dispatcher, on paused time. The tests measure the time from publishing to
//! the receiver, which is zero for a tenant alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::model::{CallbackUrl, FailureKind};
use hookwire::policy::Policy;
use hookwire::service::Tenant;
use hookwire::store::MemoryStore;
use hookwire::testing::TokioClock;
use hookwire::transport::{SendLimits, Transport, TransportError};
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, Response};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep};

const SECOND: Duration = Duration::from_secs(1);
/// The longest that 99 of 100 events of a healthy tenant may take.
const BOUND: Duration = Duration::from_millis(15);

/// Receivers that are told apart by their hosts: `healthy.` answers in 10 ms and tells how long its events took, `slow.`
/// answers in 2.7 s, and the others not at all.
#[derive(Clone, Debug)]
struct Receivers {
    start: Instant,
    /// When each event was published, and how long it took.
    took: Arc<Mutex<Vec<(Duration, Duration)>>>,
}

impl Receivers {
    fn new() -> Self {
        Self { start: Instant::now(), took: Arc::default() }
    }

    /// An event of the time at which it is published.
    fn event(&self) -> Event {
        let millis = u64::try_from(self.start.elapsed().as_millis()).expect("small");
        Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"at": millis})).expect("JSON")
    }

    /// Fails unless at least so many events came, 99 of 100 within the bound.
    fn assert_prompt(&self, at_least: usize) {
        let took = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(took.len() >= at_least, "{} arrived", took.len());
        let late: Vec<_> = took.iter().filter(|(_, took)| *took > BOUND).collect();
        assert!(late.len() * 100 <= took.len(), "late, by when they were published: {late:?}");
    }

    fn arrived(&self, body: &[u8]) {
        let body: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        let at = Duration::from_millis(body["payload"]["at"].as_u64().expect("a time"));
        self.took.lock().unwrap_or_else(PoisonError::into_inner).push((at, self.start.elapsed() - at));
    }
}

#[async_trait]
impl Transport for Receivers {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError> {
        let host = request.uri().host().unwrap_or_default();
        if host.starts_with("healthy.") {
            self.arrived(request.body());
        }
        match host.split('.').next() {
            Some("healthy" | "busy") => sleep(Duration::from_millis(10)).await,
            Some("slow") => sleep(Duration::from_millis(2_700)).await,
            _ => {
                sleep(limits.deadline()).await;
                return Err(TransportError::new(FailureKind::Timeout, "it hangs"));
            }
        }
        Ok(Response::new(Bytes::new()))
    }

    async fn check(&self, _: &CallbackUrl) -> Result<(), TransportError> {
        Ok(())
    }
}

fn service(receivers: &Receivers, policy: Policy) -> Webhooks {
    let store = MemoryStore::with_clock(TokioClock::new());
    let builder = Webhooks::builder(assist::catalog()).store(store).transport(receivers.clone());
    builder.clock(TokioClock::new()).policy(policy).build().expect("a sound service")
}

/// A tenant with so many webhooks of this kind.
async fn tenant(hooks: &Webhooks, name: &str, kind: &str, webhooks: usize) -> Tenant {
    let tenant = hooks.tenant(TenantId::new(name).expect("a short name"));
    for number in 0..webhooks {
        let url = format!("https://{kind}.{name}-{number}.example/");
        let draft = WebhookDraft::new(format!("hook {number}"), url).subscribe(assist::DEVICE_ONLINE);
        tenant.create(&draft).await.expect("a sound draft");
    }
    tenant
}

/// Publishes an event of each tenant in turn, one every so often, until it is aborted.
fn publish(receivers: &Receivers, tenants: Vec<Tenant>, every: Duration) -> JoinHandle<()> {
    let receivers = receivers.clone();
    tokio::spawn(async move {
        let mut ticks = interval(every);
        for tenant in tenants.iter().cycle() {
            ticks.tick().await;
            tenant.publish(receivers.event()).await.expect("published");
        }
    })
}

#[tokio::test(start_paused = true)]
async fn four_hundred_slow_webhooks_delay_no_quick_one() {
    let receivers = Receivers::new();
    let hooks = service(&receivers, Policy::default().with_deadline(3 * SECOND));
    let acme = tenant(&hooks, "acme", "healthy", 1).await;
    let mut slow = Vec::new();
    for number in 0..40 {
        slow.push(tenant(&hooks, &format!("slow-{number}"), "slow", 10).await);
    }
    let dispatcher = hooks.start().expect("inside tokio");
    let healthy = publish(&receivers, vec![acme], SECOND / 10);
    sleep(SECOND).await;
    let others = publish(&receivers, slow, SECOND / 100);
    sleep(40 * SECOND).await;
    let stats = hooks.stats().await.expect("counted");
    assert!(
        stats.pending() > 10_000 && stats.held > 400,
        "the others need far more than there is: {stats:?}"
    );
    for task in [healthy, others] {
        task.abort();
    }
    receivers.assert_prompt(380);
    dispatcher.shutdown_within(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_hanging_webhooks_delay_no_healthy_one() {
    let receivers = Receivers::new();
    let hooks = service(&receivers, Policy::default());
    let acme = tenant(&hooks, "acme", "healthy", 1).await;
    let mut hanging = Vec::new();
    for number in 0..1_000 {
        hanging.push(tenant(&hooks, &format!("hanging-{number}"), "hanging", 10).await);
    }
    let dispatcher = hooks.start().expect("inside tokio");
    let healthy = publish(&receivers, vec![acme], SECOND / 10);
    sleep(SECOND).await;
    for tenant in &hanging {
        tenant.publish(receivers.event()).await.expect("published");
    }
    sleep(60 * SECOND).await;
    healthy.abort();
    receivers.assert_prompt(600);
    dispatcher.shutdown_within(Duration::ZERO).await;
}

/// 20,000 at once stand for 200,000, which take minutes without optimization; what the others wait for is the same.
#[tokio::test(start_paused = true)]
async fn a_tenant_that_publishes_all_at_once_delays_nobody() {
    let receivers = Receivers::new();
    let hooks = service(&receivers, Policy::default());
    let busy = tenant(&hooks, "busy", "busy", 1).await;
    let mut others = Vec::new();
    for number in 0..20 {
        others.push(tenant(&hooks, &format!("quiet-{number}"), "healthy", 1).await);
    }
    let dispatcher = hooks.start().expect("inside tokio");
    let healthy = publish(&receivers, others, SECOND / 20);
    sleep(2 * SECOND).await;
    let sent = busy.publish_all((0..20_000).map(|_| receivers.event())).await;
    assert!(sent.iter().all(Result::is_ok));
    sleep(10 * SECOND).await;
    assert!(hooks.stats().await.expect("counted").pending() > 1_000, "it is not done yet");
    healthy.abort();
    receivers.assert_prompt(220);
    dispatcher.shutdown_within(Duration::ZERO).await;
}
