//! A peer: an engine that runs, with webhooks that get each event.

use delivery::Error;
use delivery::note::Note;
use tokio::task::JoinHandle;

use crate::graphile_worker::GraphileWorker;
use crate::options;
use crate::webhook_dispatcher::WebhookDispatcher;
use crate::webhooksmith::{InMemory, InPostgres};

/// The peers, by crate and store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    GraphileWorker,
    WebhookDispatcherMemory,
    WebhookDispatcherPostgres,
    WebhooksmithMemory,
    WebhooksmithPostgres,
}

impl Kind {
    pub(crate) const NAMES: [(&'static str, Self); 5] = [
        ("graphile-worker", Self::GraphileWorker),
        ("webhook-dispatcher-memory", Self::WebhookDispatcherMemory),
        ("webhook-dispatcher-postgres", Self::WebhookDispatcherPostgres),
        ("webhooksmith-memory", Self::WebhooksmithMemory),
        ("webhooksmith-postgres", Self::WebhooksmithPostgres),
    ];

    pub(crate) fn name(self) -> &'static str {
        options::name(&Self::NAMES, self)
    }
}

/// A task of an engine, which ends with the value.
pub(crate) struct Running(JoinHandle<()>);

impl Running {
    pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An engine that delivers until it is dropped.
pub(crate) enum Peer {
    GraphileWorker(GraphileWorker),
    WebhookDispatcher(WebhookDispatcher),
    WebhooksmithMemory(InMemory),
    WebhooksmithPostgres(InPostgres),
}

impl Peer {
    /// A new one, with a webhook for each URL.
    pub(crate) async fn open(kind: Kind, urls: &[String]) -> Result<Self, Error> {
        Ok(match kind {
            Kind::GraphileWorker => Self::GraphileWorker(GraphileWorker::open(urls).await?),
            Kind::WebhookDispatcherMemory => {
                Self::WebhookDispatcher(WebhookDispatcher::in_memory(urls).await)
            }
            Kind::WebhookDispatcherPostgres => {
                Self::WebhookDispatcher(WebhookDispatcher::in_postgres(urls).await?)
            }
            Kind::WebhooksmithMemory => Self::WebhooksmithMemory(InMemory::open(urls).await?),
            Kind::WebhooksmithPostgres => Self::WebhooksmithPostgres(InPostgres::open(urls).await?),
        })
    }

    /// Publishes one event to all webhooks.
    pub(crate) async fn publish(&self, number: usize) -> Result<(), Error> {
        let note = Note::new(number);
        match self {
            Self::GraphileWorker(peer) => peer.publish(&note).await,
            Self::WebhookDispatcher(peer) => peer.publish(&note, number).await,
            Self::WebhooksmithMemory(peer) => peer.publish(&note).await,
            Self::WebhooksmithPostgres(peer) => peer.publish(&note).await,
        }
    }
}
