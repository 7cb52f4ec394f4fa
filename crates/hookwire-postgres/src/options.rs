use std::time::Duration;

use crate::connect::{ConnectError, Target};
use crate::schema;
use crate::store::PostgresStore;

/// How a [`PostgresStore`] is connected.
///
/// It keeps connections of its own, with settings for as long as each lives. A pooler in between that shares
/// connections between transactions is not supported: it mixes up the settings of those who share them.
///
/// ```
/// use std::time::Duration;
/// use hookwire_postgres::PostgresStore;
///
/// let options = PostgresStore::options().schema("webhooks").connections(4).poll_every(Duration::from_secs(1));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    pub(crate) schema: String,
    pub(crate) connections: usize,
    pub(crate) publish_timeout: Duration,
    pub(crate) poll_every: Duration,
    pub(crate) listen: bool,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            schema: "hookwire".to_owned(),
            connections: 8,
            publish_timeout: Duration::from_secs(5),
            poll_every: Duration::from_millis(500),
            listen: false,
        }
    }
}

impl PostgresOptions {
    /// Sets the schema in which the tables are. Default `hookwire`.
    #[must_use]
    pub fn schema(self, schema: impl Into<String>) -> Self {
        Self { schema: schema.into(), ..self }
    }

    /// Sets how many connections it opens at most, one more for [`listen`](Self::listen). Default 8.
    #[must_use]
    pub fn connections(self, connections: usize) -> Self {
        Self { connections: connections.max(1), ..self }
    }

    /// Sets how long a call waits for a connection before it fails as
    /// [`Overloaded`](hookwire::store::StoreErrorKind::Overloaded). Default 5 s.
    #[must_use]
    pub fn publish_timeout(self, publish_timeout: Duration) -> Self {
        Self { publish_timeout, ..self }
    }

    /// Sets how often dispatchers look for work of other processes. Default 500 ms.
    #[must_use]
    pub fn poll_every(self, poll_every: Duration) -> Self {
        Self { poll_every, ..self }
    }

    /// Sets whether dispatchers of other processes are told of work at once, by `LISTEN` and `NOTIFY`, and
    /// not only when they next look. Off by default: it costs a connection.
    #[must_use]
    pub fn listen(self, listen: bool) -> Self {
        Self { listen, ..self }
    }

    /// Connects to the database, whose schema must be there.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] tells what is wrong, and what to do.
    pub async fn connect(self, url: &str) -> Result<PostgresStore, ConnectError> {
        let target = Target::new(url, &self)?;
        target.check().await?;
        PostgresStore::new(target, &self)
    }

    /// Creates or updates the schema, whole or not at all; nothing happens when it is as it should be.
    /// Several may do so at once.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] tells what is wrong, and what to do.
    pub async fn migrate(self, url: &str) -> Result<(), ConnectError> {
        let target = Target::new(url, &self)?;
        schema::migrate(&mut target.client().await?, &target.schema).await
    }
}
