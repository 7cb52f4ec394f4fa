//! A receiver in axum: verify the exact bytes of the body before anything reads them.
//!
//! ```sh
//! cargo run --example receive_axum
//! ```

#![allow(clippy::print_stdout)]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Router, routing};
use hookwire::signature::{ReplayMemory, Verifier, VerifyingKey};
use hookwire::store::MemoryStore;
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};

struct Receiver {
    verifier: Verifier,
    seen: Mutex<ReplayMemory>,
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let now = now();
    let Ok(verified) = receiver.verifier.verify(&headers, &body, now) else {
        return StatusCode::UNAUTHORIZED;
    };
    let mut seen = receiver.seen.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.admit(&verified, now).is_ok() {
        println!("{}: {}", verified.message_id(), String::from_utf8_lossy(&body));
    }
    StatusCode::NO_CONTENT
}

fn router(key: VerifyingKey) -> Router {
    let seen = Mutex::new(ReplayMemory::new(100_000));
    let receiver = Arc::new(Receiver { verifier: Verifier::new([key]), seen });
    Router::new().route("/hooks", routing::post(receive)).with_state(receiver)
}

#[allow(clippy::disallowed_methods, reason = "a receiver reads the clock itself")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// A sender, so that something arrives.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hooks", listener.local_addr()?);
    let hooks =
        Webhooks::builder(assist::catalog()).store(MemoryStore::new()).allow_loopback_http().build()?;
    let acme = hooks.tenant(TenantId::new("acme")?);
    let created = acme.create(&WebhookDraft::new("CRM", &url).subscribe(assist::DEVICE_ADD)).await?;
    let router = router(created.secret().clone().into());
    tokio::spawn(async move { axum::serve(listener, router).await });

    acme.publish(Event::new(assist::DEVICE_ADD, &serde_json::json!({"deviceName": "LAB-4"}))?).await?;
    hooks.deliver_due().await?;
    println!("an unsigned ping was accepted: {}", acme.ping_url(&url).await?.is_success());
    Ok(())
}
