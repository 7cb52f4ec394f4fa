//! Something to see: events of Assist, and receivers on this machine that fail in different ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use hookwire::{Event, Tenant, TenantId, WebhookDraft, Webhooks, assist};
use serde_json::json;
use tokio::net::TcpListener;

use crate::Error;

pub const TENANT: &str = "demo";

/// Starts the receivers, registers webhooks for some of them, and publishes an event every two seconds.
pub async fn start(hooks: &Webhooks, page: &str) -> Result<(), Error> {
    let tenant = hooks.tenant(TenantId::new(TENANT)?);
    let receivers = receive().await?;
    if tenant.list().await?.is_empty() {
        register(&tenant, "Answers every time", &format!("{receivers}/ok")).await?;
        register(&tenant, "Fails every second time", &format!("{receivers}/flaky")).await?;
        register(&tenant, "Has moved", &format!("{receivers}/moved")).await?;
    }
    println!("The page:  {page}/webhooks");
    println!("The API:   {page}/api/v1/openapi.json");
    println!("Receivers: {receivers}/ok, /flaky, /down, /slow, /moved, /gone; register one on the page.");
    tokio::spawn(publish(tenant));
    Ok(())
}

async fn register(tenant: &Tenant, name: &str, url: &str) -> Result<(), Error> {
    let draft =
        WebhookDraft::new(name, url).subscribe(assist::DEVICE_ONLINE).subscribe(assist::DEVICE_OFFLINE);
    tenant.create(&draft).await?;
    Ok(())
}

async fn publish(tenant: Tenant) {
    for n in 0.. {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let event = if n % 2 == 0 { assist::DEVICE_ONLINE } else { assist::DEVICE_OFFLINE };
        let payload = json!({"deviceName": format!("LAB-{}", n % 7), "deviceId": n % 7});
        let published = match Event::new(event, &payload) {
            Ok(event) => tenant.publish(event.actor("maria@example.com")).await.map(drop),
            Err(error) => return println!("no event: {error}"),
        };
        if let Err(error) = published {
            println!("not published: {error}");
        }
    }
}

/// Starts the receivers, and returns their URL.
async fn receive() -> Result<String, Error> {
    let calls = Arc::new(AtomicUsize::new(0));
    let flaky = move || {
        let is_even = calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        async move { if is_even { (StatusCode::BAD_GATEWAY, "down for a moment") } else { (StatusCode::OK, "") } }
    };
    let router = Router::new()
        .route("/ok", post(async || "thanks"))
        .route("/flaky", post(flaky))
        .route("/down", post(async || (StatusCode::SERVICE_UNAVAILABLE, "down for maintenance")))
        .route("/slow", post(async || tokio::time::sleep(Duration::from_secs(20)).await))
        .route(
            "/moved",
            post(async || (StatusCode::MOVED_PERMANENTLY, [("location", "https://new.example.com/")])),
        )
        .route("/gone", post(async || StatusCode::GONE));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}
