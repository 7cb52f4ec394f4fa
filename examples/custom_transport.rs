//! A transport of one's own: here one that hands requests to a queue instead of the network.
//!
//! ```sh
//! cargo run --example custom_transport
//! ```

#![allow(clippy::print_stdout)]

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::model::{CallbackUrl, FailureKind};
use hookwire::store::MemoryStore;
use hookwire::transport::{SendLimits, Transport, TransportError};
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, Response, StatusCode};
use tokio::sync::mpsc;

/// Hands each request to whoever makes the connections: an egress gateway in another network, say.
#[derive(Debug)]
struct Gateway {
    outbox: mpsc::Sender<Request<Bytes>>,
}

#[async_trait]
impl Transport for Gateway {
    /// One call, one request. Any status is `Ok`; `Err` means that no complete answer came.
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError> {
        let handed_over = tokio::time::timeout(limits.deadline(), self.outbox.send(request)).await;
        match handed_over {
            Ok(Ok(())) => {
                let mut accepted = Response::new(Bytes::new());
                *accepted.status_mut() = StatusCode::ACCEPTED;
                Ok(accepted)
            }
            Ok(Err(closed)) => Err(TransportError::new(FailureKind::Connect, closed)),
            Err(elapsed) => Err(TransportError::new(FailureKind::Timeout, elapsed)),
        }
    }

    /// Asked at registration: a refused URL is a violation, which the user sees at once.
    async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError> {
        match url.as_url().host_str() {
            Some(host) if host.ends_with(".internal") => {
                Err(TransportError::new(FailureKind::Refused, "the gateway reaches public hosts only"))
            }
            _ => Ok(()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (outbox, mut gateway) = mpsc::channel(100);
    let hooks = Webhooks::builder(assist::catalog())
        .store(MemoryStore::new())
        .transport(Gateway { outbox })
        .build()?;
    let acme = hooks.tenant(TenantId::new("acme")?);

    let inside = WebhookDraft::new("Inside", "https://db.internal/").subscribe(assist::DEVICE_ADD);
    if let Err(error) = acme.create(&inside).await {
        println!("refused: {error}");
    }

    let draft = WebhookDraft::new("CRM", "https://hooks.example.com/").subscribe(assist::DEVICE_ADD);
    acme.create(&draft).await?;
    acme.publish(Event::new(assist::DEVICE_ADD, &serde_json::json!({"deviceName": "LAB-4"}))?).await?;
    hooks.deliver_due().await?;

    let request = gateway.recv().await.ok_or("the request was handed over")?;
    println!("{} {}", request.method(), request.uri());
    for (name, value) in request.headers() {
        println!("  {name}: {}", value.to_str()?);
    }
    println!("  {}", std::str::from_utf8(request.body())?);
    Ok(())
}
