//! Webhooks for real: registered, pinged, published, signed, delivered over HTTPS, retried, explained, and
//! carried on after a crash: `cargo run --example quickstart`, with `-- FILE` for a file of your own.

#![allow(clippy::print_stdout)]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookwire::model::{DeliveryState, WebhookPatch};
use hookwire::service::{Sent, Tenant};
use hookwire::store::SqliteStore;
use hookwire::transport::HttpTransport;
use hookwire::{DeptId, Event, SourceId, TenantId, WebhookDraft, Webhooks, assist};
use http::StatusCode;
use serde_json::json;

#[tokio::main]
pub(crate) async fn main() -> Result<(), support::Error> {
    // Somebody's server, which fails once when told to.
    let fails = Arc::new(AtomicBool::new(false));
    let fail = Arc::clone(&fails);
    let (url, certificate) = support::https(Arc::new(move |headers, body| {
        let status =
            if fail.swap(false, Ordering::SeqCst) { StatusCode::BAD_GATEWAY } else { StatusCode::OK };
        let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or("(a ping)");
        println!("    receiver: {id} {} -> {}", String::from_utf8_lossy(body), status.as_u16());
        status
    }))
    .await?;

    // Your service. Loopback is for this demonstration; leave the transport out for the real world.
    let file = std::env::args_os().nth(1).map(PathBuf::from);
    let file = file.unwrap_or_else(|| std::env::temp_dir().join("hookwire-quickstart.db"));
    let transport = HttpTransport::builder().allow_loopback().trust_pem(certificate.as_bytes()).build()?;
    let hooks = Webhooks::builder(assist::catalog())
        .limits(assist::limits())
        .store(SqliteStore::open(&file).await?)
        .transport(transport)
        .build()?;
    println!("{} holds {} deliveries of an earlier run.", file.display(), hooks.stats().await?.pending());

    println!("\n1. A user tries a callback URL and registers a webhook for it.");
    let acme = hooks.tenant(TenantId::new("acme")?);
    println!("    ping: it works = {}", acme.ping_url(&url).await?.is_success());
    let draft = WebhookDraft::new("Device log", &url)
        .ignore_source("crm-sync")
        .subscribe_in(assist::DEVICE_ONLINE, [DeptId::new(7)]);
    let webhook = match acme.list().await?.first() {
        None => acme.create(&draft).await?.webhook().clone(),
        Some(known) => acme.patch(known.hook_id(), &WebhookPatch::new().url(&url)).await?.webhook().clone(),
    };
    println!("    registered: {}", serde_json::to_string(&webhook)?);

    println!("\n2. A bad draft is answered with everything that is wrong with it.");
    let bad = WebhookDraft::new("", "http://10.0.0.1/").subscribe_in(assist::DEVICE_ONLINE, []);
    if let Err(error) = acme.create(&bad).await {
        error.violations().iter().for_each(|violation| println!("    {violation}"));
    }

    println!("\n3. An event happens. It is in the file when `publish` returns, though nothing delivers yet:");
    println!("    `kill -9 {}` within 3 s, and run this again.", std::process::id());
    let online = |device| Event::new(assist::DEVICE_ONLINE, &json!({ "deviceName": device }));
    let sent = acme.publish(online("LAB-4")?.department(DeptId::new(7))).await?;
    println!("    {} is published", sent.message_id());
    tokio::time::sleep(Duration::from_secs(3)).await;

    println!("\n4. A dispatcher starts, and delivers at once what is pending, of earlier runs too.");
    let dispatcher = hooks.start()?;
    tell(&acme, &sent).await?;

    println!("\n5. The receiver fails; the event is delivered by a retry after 5 s, under the same id.");
    fails.store(true, Ordering::SeqCst);
    let sent = acme.publish(online("LAB-5")?.department(DeptId::new(7))).await?;
    tell(&acme, &sent).await?;

    println!("\n6. The receiver's own write comes back to it? No: that would be a loop.");
    let own = online("LAB-6")?.department(DeptId::new(7)).source(SourceId::new("crm-sync")?);
    tell(&acme, &acme.publish(own).await?).await?;

    let drained = dispatcher.shutdown_within(Duration::from_secs(20)).await;
    println!("\nDone; {} deliveries were still under way.", drained.finished + drained.released);
    Ok(())
}

/// Waits until nothing of an event is pending, and tells what became of it.
async fn tell(tenant: &Tenant, sent: &Sent) -> Result<(), support::Error> {
    loop {
        let explanation = tenant.explain(sent.message_id()).await?;
        if explanation.deliveries.iter().all(|delivery| delivery.state != DeliveryState::Pending) {
            println!("    {}", explanation.to_string().replace('\n', "\n    "));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
