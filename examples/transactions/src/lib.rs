//! What the examples share: a service whose dispatcher is at work, and somebody's webhook.

use std::sync::Arc;
use std::time::Duration;

use hookwire::dispatcher::Dispatcher;
use hookwire::model::EventType;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Catalog, EventId, Payload, Tenant, TenantId, WebhookDraft, Webhooks};
use hookwire_postgres::PostgresStore;
use serde::Serialize;
use tokio::sync::mpsc::{self, UnboundedReceiver};

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The payload of `invoice.paid`.
#[derive(Serialize)]
pub struct InvoicePaid {
    pub invoice: i64,
    pub cents: i64,
}

impl Payload for InvoicePaid {
    const EVENT: EventId = EventId::new(1);
}

/// The events that this service offers.
pub fn catalog() -> Result<Catalog, Error> {
    let sample = InvoicePaid { invoice: 4711, cents: 1_999 };
    Ok(Catalog::builder().event(EventType::of("invoice.paid", "Invoice paid", &sample)).build()?)
}

/// A service with hookwire inside.
pub struct Service {
    /// Where the host has its data, and hookwire its own.
    pub url: String,
    pub store: Arc<PostgresStore>,
    pub hooks: Webhooks,
    pub acme: Tenant,
    dispatcher: Dispatcher,
    arrived: UnboundedReceiver<String>,
}

impl Service {
    /// Starts it on the database that `DATABASE_URL` names.
    pub async fn start() -> Result<Self, Error> {
        let url = std::env::var("DATABASE_URL")?;
        PostgresStore::migrate(&url).await?; // when you deploy
        let store = Arc::new(PostgresStore::connect(&url).await?); // in each process
        let (arrivals, arrived) = mpsc::unbounded_channel();
        // In place of `HttpTransport`: what would be sent is told to the example.
        let transport = RecordingTransport::answering(move |request, _| {
            // Nobody listens any more once the example has ended.
            let _ = arrivals.send(String::from_utf8_lossy(request.body()).into_owned());
            Answer::status(200)
        });
        let hooks = Webhooks::builder(catalog()?)
            .store(Arc::clone(&store))
            // Left out in a real service: `HttpTransport` is the default.
            .transport(transport)
            .build()?;
        let dispatcher = hooks.start()?; // delivers in the background

        let acme = hooks.tenant(TenantId::new("acme")?); // one of your customers
        let draft = WebhookDraft::new("Bookkeeping", "https://hooks.example.com/");
        let draft = draft.subscribe(InvoicePaid::EVENT);
        acme.create(&draft).await?; // webhook and secret, or every violation at once
        Ok(Self { url, store, hooks, acme, dispatcher, arrived })
    }

    /// Checks that the event of this invoice alone arrives, and ends.
    pub async fn ends_with(mut self, invoice: i64) -> Result<(), Error> {
        let arrived = tokio::time::timeout(Duration::from_secs(20), self.arrived.recv()).await?;
        let arrived = arrived.unwrap_or_default();
        self.dispatcher.shutdown_within(Duration::from_secs(20)).await;
        let is_of_invoice = arrived.replace(' ', "").contains(&format!("\"invoice\":{invoice}"));
        match is_of_invoice && self.arrived.is_empty() {
            true => println!("received: {arrived}"),
            false => {
                return Err(format!("invoice {invoice} is awaited alone, and first came {arrived}").into());
            }
        }
        Ok(())
    }
}
