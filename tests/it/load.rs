//! Load from outside, on paused time: what strangers can pile up stays bounded and delays nobody else.

use std::time::Duration;

use hookwire::model::{DeliveryState, End};
use hookwire::service::Tenant;
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport, TokioClock};
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};
use tokio::time::{Instant, sleep};

const HOUR: Duration = Duration::from_secs(60 * 60);

fn service(transport: RecordingTransport) -> Webhooks {
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

#[tokio::test(start_paused = true)]
async fn ten_thousand_hanging_webhooks_hold_up_nobody_and_take_no_more_than_their_places() {
    let transport = RecordingTransport::answering(|request, _| match request.uri().host() {
        Some("healthy.example") => Answer::status(200),
        _ => Answer::hang(),
    });
    let hooks = service(transport.clone());
    let mut tenants = Vec::new();
    for n in 0..1000 {
        let hosts: Vec<_> = (0..10).map(|hook| format!("hangs-{n}-{hook}.example")).collect();
        tenants.push(tenant(&hooks, &format!("tenant-{n}"), &hosts).await);
    }
    let acme = tenant(&hooks, "acme", &["healthy.example".to_owned()]).await;
    let dispatcher = hooks.start().expect("inside tokio");
    for tenant in &tenants {
        publish(tenant).await;
    }
    let healthy =
        || transport.requests().iter().filter(|it| it.uri().host() == Some("healthy.example")).count();
    for round in 1..=20 {
        let published = Instant::now();
        publish(&acme).await;
        while healthy() < round {
            assert!(published.elapsed() < Duration::from_secs(1), "it waits in round {round}");
            sleep(Duration::from_millis(10)).await;
        }
        let (held, health) = (hooks.stats().await.expect("counted").held, dispatcher.health());
        assert!(held <= 512 && health.in_flight <= 512, "{held} are held, {} in flight", health.in_flight);
        sleep(Duration::from_secs(7)).await;
    }
    dispatcher.shutdown_within(Duration::ZERO).await;
}
