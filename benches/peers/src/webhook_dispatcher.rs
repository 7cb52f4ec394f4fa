//! webhook-dispatcher: an engine in memory, which may keep a copy in PostgreSQL.

use std::sync::Arc;

use delivery::Error;
use delivery::load::AT_ONCE;
use delivery::note::Note;
use webhook_dispatcher::{
    Dispatcher, DispatcherConfig, Endpoint, EndpointId, Event, OverflowPolicy, PostgresStorage,
};

use crate::database;

const SECRET: &[u8] = b"a secret of thirty-two characters";

pub(crate) struct WebhookDispatcher {
    dispatcher: Dispatcher,
    endpoints: Vec<EndpointId>,
}

impl WebhookDispatcher {
    pub(crate) async fn in_memory(urls: &[String]) -> Self {
        Self::open(Dispatcher::new(config()), urls).await
    }

    pub(crate) async fn in_postgres(urls: &[String]) -> Result<Self, Error> {
        let client = database::connect(&database::create().await?).await?;
        let storage = Arc::new(PostgresStorage::new(client).await?);
        Ok(Self::open(Dispatcher::new_with_storage(config(), storage).await, urls).await)
    }

    async fn open(dispatcher: Dispatcher, urls: &[String]) -> Self {
        let mut endpoints = Vec::new();
        for (number, url) in urls.iter().enumerate() {
            let endpoint = Endpoint::new(format!("endpoint-{number}"), url.as_str());
            let endpoint = endpoint.with_secret(SECRET).with_max_concurrent(AT_ONCE);
            endpoints.push(endpoint.id.clone());
            dispatcher.register_endpoint(endpoint).await;
        }
        Self { dispatcher, endpoints }
    }

    pub(crate) async fn publish(&self, note: &Note, number: usize) -> Result<(), Error> {
        // No number comes twice at one dispatcher within a turn, but from turn to turn: the time tells them apart.
        let at = delivery::clock::now().as_nanos();
        let event = Event::new(format!("event-{number}-{at}"), serde_json::to_vec(note)?);
        let dispatched = self.dispatcher.dispatch(event, self.endpoints.clone()).await;
        dispatched.map_err(|error| format!("not dispatched: {error:?}").into())
    }
}

fn config() -> DispatcherConfig {
    DispatcherConfig {
        max_in_flight: AT_ONCE,
        worker_count: AT_ONCE,
        overflow_policy: OverflowPolicy::Block,
        ..DispatcherConfig::default()
    }
}
