//! The other side: a receiver that verifies what arrives and handles each message once.
//!
//! ```sh
//! cargo run --example receive
//! ```

#![allow(clippy::print_stdout)]

mod support;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use hookwire::service::Rotation;
use hookwire::signature::Verifier;
use hookwire::store::MemoryStore;
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};
use http::{HeaderMap, StatusCode};
use serde_json::json;

/// A receiver: it knows the secret that it was given at registration, and the messages it has handled.
#[derive(Default)]
struct Receiver {
    verifier: OnceLock<Verifier>,
    handled: Mutex<HashSet<String>>,
}

impl Receiver {
    fn receive(&self, headers: &HeaderMap, body: &[u8]) -> StatusCode {
        let Some(verifier) = self.verifier.get() else { return StatusCode::SERVICE_UNAVAILABLE };
        let verified = match verifier.verify(headers, body, now()) {
            Ok(verified) => verified,
            Err(error) => {
                println!("refused: {error}");
                return StatusCode::UNAUTHORIZED;
            }
        };
        // At least once means that a message may come again: handle it once.
        let mut handled = self.handled.lock().unwrap_or_else(PoisonError::into_inner);
        if handled.insert(verified.message_id().to_owned()) {
            println!("handled {}: {}", verified.message_id(), String::from_utf8_lossy(body));
        } else {
            println!("already handled {}", verified.message_id());
        }
        StatusCode::NO_CONTENT
    }
}

#[allow(clippy::disallowed_methods, reason = "a receiver reads the clock itself")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let receiver = Arc::new(Receiver::default());
    let url = support::http({
        let receiver = Arc::clone(&receiver);
        Arc::new(move |headers, body| receiver.receive(headers, body))
    })
    .await?;

    let hooks =
        Webhooks::builder(assist::catalog()).store(MemoryStore::new()).allow_loopback_http().build()?;
    let acme = hooks.tenant(TenantId::new("acme")?);
    let created = acme.create(&WebhookDraft::new("CRM", &url).subscribe(assist::DEVICE_ADD)).await?;
    let verifier = Verifier::new([created.secret().clone()]);
    receiver.verifier.set(verifier).map_err(|_| "set once")?;

    acme.publish(Event::new(assist::DEVICE_ADD, &json!({"deviceName": "LAB-4"}))?).await?;
    hooks.deliver_due().await?;

    // Delivered once more by hand: the same message, which the receiver knows.
    let delivery = acme.deliveries(&hookwire::DeliveryQuery::new()).await?.items[0].id;
    acme.redeliver(delivery).await?;
    hooks.deliver_due().await?;

    // A request without a signature, as a ping of a URL is.
    let ping = acme.ping_url(&url).await?;
    println!("an unsigned ping was accepted: {}", ping.is_success());

    // After a rotation the old secret still verifies for a day.
    acme.rotate_secret(created.webhook().hook_id(), Rotation::default()).await?;
    acme.publish(Event::new(assist::DEVICE_ADD, &json!({"deviceName": "LAB-5"}))?).await?;
    hooks.deliver_due().await?;
    Ok(())
}
