//! webhooksmith: an engine over PostgreSQL, and one over SQLite, here in memory.

use std::sync::Arc;

use delivery::Error;
use delivery::load::AT_ONCE;
use delivery::note::Note;
use tokio::task::JoinHandle;
use webhooksmith::{SqliteEngine, WebhookEngine};

use crate::database;

const SECRET: &str = "a secret of thirty-two characters";
const EVENT: &str = "invoice.paid";

/// Over SQLite in memory.
pub(crate) struct InMemory {
    engine: Arc<SqliteEngine>,
    worker: JoinHandle<()>,
}

impl InMemory {
    pub(crate) async fn open(urls: &[String]) -> Result<Self, Error> {
        let builder = SqliteEngine::builder().database_url("sqlite::memory:").allow_insecure_urls();
        let engine = Arc::new(builder.build().await?);
        engine.migrate().await?;
        for url in urls {
            engine.register(url, SECRET).await?;
        }
        let running = Arc::clone(&engine);
        let worker = tokio::spawn(async move { running.run().await });
        Ok(Self { engine, worker })
    }

    pub(crate) async fn publish(&self, note: &Note) -> Result<(), Error> {
        self.engine.broadcast(EVENT, serde_json::to_value(note)?).await?;
        Ok(())
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

/// Over PostgreSQL.
pub(crate) struct InPostgres {
    engine: Arc<WebhookEngine>,
    worker: JoinHandle<()>,
}

impl InPostgres {
    pub(crate) async fn open(urls: &[String]) -> Result<Self, Error> {
        let batch = i64::try_from(AT_ONCE)?;
        let builder = WebhookEngine::builder().allow_insecure_urls().batch_size(batch);
        let engine = Arc::new(builder.database_url(database::create().await?).build().await?);
        engine.migrate().await?;
        for url in urls {
            engine.register(url, SECRET).await?;
        }
        let running = Arc::clone(&engine);
        let worker = tokio::spawn(async move { running.run().await });
        Ok(Self { engine, worker })
    }

    pub(crate) async fn publish(&self, note: &Note) -> Result<(), Error> {
        self.engine.broadcast(EVENT, serde_json::to_value(note)?).await?;
        Ok(())
    }
}

impl Drop for InPostgres {
    fn drop(&mut self) {
        self.worker.abort();
    }
}
