//! webhooksmith: an engine over PostgreSQL, and one over SQLite, here in memory.

use std::sync::Arc;

use delivery::Error;
use delivery::load::AT_ONCE;
use delivery::note::Note;
use webhooksmith::{SqliteEngine, WebhookEngine};

use crate::database;
use crate::peer::Running;

const SECRET: &str = "a secret of thirty-two characters";
const EVENT: &str = "invoice.paid";

/// A peer over an engine. The two have the same methods, and no trait for them.
macro_rules! peer {
    ($name:ident, $engine:ty) => {
        impl $name {
            async fn start(engine: $engine, urls: &[String]) -> Result<Self, Error> {
                let engine = Arc::new(engine);
                engine.migrate().await?;
                for url in urls {
                    engine.register(url, SECRET).await?;
                }
                let running = Arc::clone(&engine);
                let worker = Running::spawn(async move { running.run().await });
                Ok(Self { engine, _worker: worker })
            }

            pub(crate) async fn publish(&self, note: &Note) -> Result<(), Error> {
                self.engine.broadcast(EVENT, serde_json::to_value(note)?).await?;
                Ok(())
            }
        }
    };
}

/// Over SQLite in memory.
pub(crate) struct InMemory {
    engine: Arc<SqliteEngine>,
    _worker: Running,
}

peer!(InMemory, SqliteEngine);

impl InMemory {
    pub(crate) async fn open(urls: &[String]) -> Result<Self, Error> {
        let builder = SqliteEngine::builder().database_url("sqlite::memory:").allow_insecure_urls();
        Self::start(builder.build().await?, urls).await
    }
}

/// Over PostgreSQL.
pub(crate) struct InPostgres {
    engine: Arc<WebhookEngine>,
    _worker: Running,
}

peer!(InPostgres, WebhookEngine);

impl InPostgres {
    pub(crate) async fn open(urls: &[String]) -> Result<Self, Error> {
        let batch = i64::try_from(AT_ONCE)?;
        let builder = WebhookEngine::builder().allow_insecure_urls().batch_size(batch);
        Self::start(builder.database_url(database::create().await?).build().await?, urls).await
    }
}
