//! Webhooks for real: registered, pinged, published, signed, delivered over HTTPS, retried, explained.
//!
//! ```sh
//! cargo run --example quickstart
//! ```

#![allow(clippy::print_stdout)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hookwire::model::DeliveryState;
use hookwire::policy::Policy;
use hookwire::retry::RetryPolicy;
use hookwire::service::Tenant;
use hookwire::store::MemoryStore;
use hookwire::transport::HttpTransport;
use hookwire::{DeptId, Event, SourceId, TenantId, WebhookDraft, Webhooks, assist};
use http::StatusCode;
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    // Somebody's server: it fails at the third request, which is the second event's first attempt.
    let requests = AtomicUsize::new(0);
    let (url, certificate) = support::https(Arc::new(move |headers, body| {
        let status = match requests.fetch_add(1, Ordering::SeqCst) {
            2 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        };
        let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or("(a ping)");
        println!("    receiver: {id} {} -> {}", String::from_utf8_lossy(body), status.as_u16());
        status
    }))
    .await?;

    // Your service. Loopback is for this demonstration; leave the transport out for the real world.
    let transport = HttpTransport::builder().allow_loopback().trust_pem(certificate.as_bytes()).build()?;
    let quickly = RetryPolicy::default().with_delays([Duration::from_secs(2)]);
    let hooks = Webhooks::builder(assist::catalog())
        .limits(assist::limits())
        .store(MemoryStore::new())
        .transport(transport)
        .policy(Policy::default().with_retry(quickly))
        .build()?;
    let dispatcher = hooks.start()?;

    println!("\n1. A user tries a callback URL and registers a webhook for it.");
    let acme = hooks.tenant(TenantId::new("acme")?);
    let ping = acme.ping_url(&url).await?;
    println!("    ping: it works = {}, {} ms", ping.is_success(), ping.took.as_millis());
    let draft = WebhookDraft::new("Device log", &url)
        .ignore_source("crm-sync")
        .subscribe_in(assist::DEVICE_ONLINE, [DeptId::new(7)]);
    let webhook = acme.create(&draft).await?.webhook().clone();
    println!("    registered: {}", serde_json::to_string(&webhook)?);

    println!("\n2. A bad draft is answered with everything that is wrong with it.");
    let bad = WebhookDraft::new("", "http://10.0.0.1/").subscribe_in(assist::DEVICE_ONLINE, []);
    if let Err(error) = acme.create(&bad).await {
        error.violations().iter().for_each(|violation| println!("    {violation}"));
    }

    println!("\n3. An event happens, and is delivered at once.");
    let online = |device| Event::new(assist::DEVICE_ONLINE, &json!({ "deviceName": device }));
    publish(&acme, online("LAB-4")?.department(DeptId::new(7))).await?;

    println!("\n4. The receiver fails; the event is delivered by a retry, under the same id.");
    publish(&acme, online("LAB-5")?.department(DeptId::new(7))).await?;

    println!("\n5. The receiver's own write comes back to it? No: that would be a loop.");
    let own = online("LAB-6")?.department(DeptId::new(7)).source(SourceId::new("crm-sync")?);
    publish(&acme, own).await?;

    let drained = dispatcher.shutdown_within(Duration::from_secs(20)).await;
    println!("\nDone; {} deliveries were still under way.", drained.finished + drained.released);
    Ok(())
}

/// Publishes, waits until nothing of it is pending, and tells what became of it.
async fn publish(tenant: &Tenant, event: Event) -> Result<(), support::Error> {
    let sent = tenant.publish(event).await?;
    loop {
        let explanation = tenant.explain(sent.message_id()).await?;
        if explanation.deliveries.iter().all(|delivery| delivery.state != DeliveryState::Pending) {
            println!("    {}", explanation.to_string().replace('\n', "\n    "));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
