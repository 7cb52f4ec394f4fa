//! The parts that the examples share: a service with a running dispatcher, and a registered webhook.

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
    /// The database of the host, which has the schema of hookwire too.
    pub url: String,
    pub store: Arc<PostgresStore>,
    pub hooks: Webhooks,
    pub acme: Tenant,
    dispatcher: Dispatcher,
    arrived: UnboundedReceiver<String>,
}

impl Service {
    /// Starts the service on the database that `DATABASE_URL` names, with an empty table of devices.
    pub async fn start() -> Result<Self, Error> {
        let url = std::env::var("DATABASE_URL")?;
        PostgresStore::migrate(&url).await?;
        let store = Arc::new(PostgresStore::connect(&url).await?);
        let (arrivals, arrived) = mpsc::unbounded_channel();
        // In place of `HttpTransport`: it passes each body to the example.
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

    /// Checks that only the event of this device arrives, and shuts down.
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
