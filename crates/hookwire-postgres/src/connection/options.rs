//! `PostgresOptions`: the settings of a store.

use std::time::Duration;

/// The settings with which a [`PostgresStore`](crate::PostgresStore) connects.
///
/// The store keeps a pool of its own. A pooler in between is possible: see [`pooler`](Self::pooler).
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
    pub(crate) pooler: bool,
    pub(crate) roots: Vec<Vec<u8>>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            schema: "hookwire".to_owned(),
            connections: 8,
            publish_timeout: Duration::from_secs(5),
            poll_every: Duration::from_millis(500),
            listen: false,
            pooler: false,
            roots: Vec::new(),
        }
    }
}

impl PostgresOptions {
    /// Sets the schema that has the tables. Default `hookwire`.
    #[must_use]
    pub fn schema(self, schema: impl Into<String>) -> Self {
        Self { schema: schema.into(), ..self }
    }

    /// Sets the size of the pool of connections. [`listen`](Self::listen) opens one more. At least 1. Default 8.
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

    /// Sets the interval at which dispatchers look for work of other processes. Default 500 ms.
    #[must_use]
    pub fn poll_every(self, poll_every: Duration) -> Self {
        Self { poll_every, ..self }
    }

    /// Sets whether dispatchers of other processes hear of work at once, by `LISTEN` and `NOTIFY`, instead of when they
    /// next look. It costs a connection. Through a [pooler](Self::pooler) it has no effect. Default off.
    #[must_use]
    pub fn listen(self, listen: bool) -> Self {
        Self { listen, ..self }
    }

    /// Says that a pooler stands in between which shares connections between transactions, as PgBouncer does with
    /// `pool_mode = transaction`. The store then uses statements without names, which the server parses each time, and
    /// does not [listen](Self::listen).
    ///
    /// A store that connects finds most poolers by itself: they refuse an option for the start of a process of the
    /// server, or leave it out. Use this for one that it does not find. `pool_mode = statement` cannot be used:
    /// connecting fails as [`ConnectError::Pooler`](crate::ConnectError::Pooler).
    #[must_use]
    pub fn pooler(self) -> Self {
        Self { pooler: true, ..self }
    }

    /// Trusts the certificates in this PEM text, in addition to those that `sslrootcert` names, or to the roots of the
    /// platform. It matters where `sslmode` is `require`, `verify-ca` or `verify-full`.
    #[must_use]
    pub fn trust_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }
}
