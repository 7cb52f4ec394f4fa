//! Troubles of our own side, of which no receiver is at fault.

use std::time::Duration;

use hookwire::dispatcher::DispatcherHealth;
use hookwire::service::{ClockOffset, Tenant};
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport, TokioClock};
use hookwire::transport::Transport;
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};
use tokio::time::sleep;

use crate::support::log::Log;

const EVENT: hookwire::EventId = assist::DEVICE_ONLINE;

/// A service on paused time, whose clock is ahead by this.
fn service(transport: impl Transport, ahead: Duration) -> Webhooks {
    let clock = TokioClock::new();
    let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::with_clock(clock));
    builder.transport(transport).clock(clock.ahead_by(ahead)).build().expect("a sound service")
}

/// Tenants that have each a webhook at every one of so many hosts of their own.
async fn tenants(hooks: &Webhooks, tenants: usize, hosts: usize) -> Vec<Tenant> {
    let mut made = Vec::new();
    for number in 0..tenants {
        let tenant = hooks.tenant(TenantId::new(format!("tenant-{number}")).expect("a short name"));
        for host in 0..hosts {
            let url = format!("https://host-{host}.tenant-{number}.example/");
            let draft = WebhookDraft::new(format!("hook {host}"), url).subscribe(EVENT);
            tenant.create(&draft).await.expect("a sound draft");
        }
        made.push(tenant);
    }
    made
}

async fn publish(tenants: &[Tenant]) {
    for tenant in tenants {
        let event = Event::new(EVENT, &serde_json::json!({"deviceName": "LAB-4"})).expect("JSON");
        tenant.publish(event).await.expect("published");
    }
}

/// Lets each of so many hosts answer a few times with the right date, and returns what was found and logged of a clock
/// that is ahead by so many seconds.
async fn clock_check(hosts: usize, ahead: u64) -> (DispatcherHealth, usize) {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let transport = RecordingTransport::answering(|_, _| {
        Answer::status(200).header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
    });
    let hooks = service(transport, Duration::from_secs(ahead));
    let tenants = tenants(&hooks, hosts, 1).await;
    let dispatcher = hooks.start().expect("inside tokio");
    for _ in 0..5 {
        publish(&tenants).await;
        sleep(Duration::from_millis(10)).await;
    }
    let health = dispatcher.health();
    dispatcher.shutdown_within(Duration::from_secs(60)).await;
    drop(guard);
    (health, log.text().matches("the clock of this machine is off").count())
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_the_answers_of_three_hosts_contradict_is_told_once() {
    let (health, warnings) = clock_check(3, 301).await;
    let Some(ClockOffset::Ahead(by)) = health.clock_off else { panic!("{health:?}") };
    assert_eq!((by.as_secs(), warnings), (301, 1));
    for (hosts, ahead) in [(2, 301), (3, 119)] {
        let (health, warnings) = clock_check(hosts, ahead).await;
        assert_eq!((health.clock_off, warnings), (None, 0), "{hosts} hosts, {ahead} s");
    }
}
