//! What the examples share: a service whose dispatcher is at work, and somebody's webhook.

use std::sync::Arc;
use std::time::Duration;

use hookwire::dispatcher::Dispatcher;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Tenant, TenantId, WebhookDraft, Webhooks, assist};
use hookwire_postgres::PostgresStore;
use tokio::sync::mpsc::{self, UnboundedReceiver};

pub type Error = Box<dyn std::error::Error + Send + Sync>;

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
    /// Starts it on the database that `DATABASE_URL` names, with an empty table of devices.
    pub async fn start() -> Result<Self, Error> {
        let url = std::env::var("DATABASE_URL")?;
        PostgresStore::migrate(&url).await?;
        let store = Arc::new(PostgresStore::connect(&url).await?);
        let (arrivals, arrived) = mpsc::unbounded_channel();
        // In place of `HttpTransport`: what would be sent is told to the example.
        let transport = RecordingTransport::answering(move |request, _| {
            // Nobody listens any more once the example has ended.
            let _ = arrivals.send(String::from_utf8_lossy(request.body()).into_owned());
            Answer::status(200)
        });
        let builder = Webhooks::builder(assist::catalog()).store(Arc::clone(&store));
        let hooks = builder.transport(transport).build()?;
        let dispatcher = hooks.start()?;
        let acme = hooks.tenant(TenantId::new("acme")?);
        let draft =
            WebhookDraft::new("Device log", "https://hooks.example.com/").subscribe(assist::DEVICE_ONLINE);
        acme.create(&draft).await?;
        Ok(Self { url, store, hooks, acme, dispatcher, arrived })
    }

    /// Checks that the event of this device alone arrives, and ends.
    pub async fn ends_with(mut self, device: &str) -> Result<(), Error> {
        let arrived = tokio::time::timeout(Duration::from_secs(20), self.arrived.recv()).await?;
        let arrived = arrived.unwrap_or_default();
        self.dispatcher.shutdown_within(Duration::from_secs(20)).await;
        match arrived.contains(&format!("\"{device}\"")) && self.arrived.is_empty() {
            true => println!("received: {arrived}"),
            false => return Err(format!("{device} is awaited alone, and first came {arrived}").into()),
        }
        Ok(())
    }
}
