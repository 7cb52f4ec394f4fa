//! `Target`: a database, a schema in it, and the settings of every connection to it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime,
};
use tokio::time::timeout;
use tokio_postgres::{Client, Config};

use crate::connection::begin::Begin;
use crate::connection::dial::{self, Dialer, Messages};
use crate::connection::error::ConnectError;
use crate::connection::options::PostgresOptions;
use crate::connection::schema::{self, SchemaName};
use crate::connection::session::Sessions;
use crate::connection::statements::Statements;
use crate::connection::url::DatabaseUrl;

/// The time that a connection may take to open, unless the URL names another.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time without an answer of the server's machine after which a connection counts as broken.
const MAX_SILENCE: Duration = Duration::from_secs(30);
/// The interval of the keep-alive probes. They start after half of `MAX_SILENCE`; the other half has room for all.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// The number of keep-alive probes.
const KEEPALIVE_RETRIES: u32 = 3;
/// A database, a schema in it, and the settings of every connection to it.
pub(crate) struct Target {
    dialer: Dialer,
    pub(crate) schema: SchemaName,
}

impl Target {
    /// Parses `url`, and reads the files that it names. Nothing is connected yet.
    pub(crate) fn new(url: &str, options: &PostgresOptions) -> Result<Self, ConnectError> {
        let schema = SchemaName::new(&options.schema)?;
        let mut url = DatabaseUrl::parse(url)?;
        set_timeouts(&mut url.config);
        Ok(Self { dialer: Dialer::new(url, &options.roots)?, schema })
    }

    /// Opens a connection outside the pool. It ends with its client.
    pub(crate) async fn client(&self) -> Result<Client, ConnectError> {
        let (client, messages) = self.open().await?;
        tokio::spawn(dial::drive(messages));
        Ok(client)
    }

    /// Opens a connection outside the pool. It works only while its messages are polled.
    pub(crate) async fn open(&self) -> Result<(Client, Messages), ConnectError> {
        let opened = in_time(self.dialer.dial()).await?;
        opened.map_err(|error| ConnectError::of_connecting(error, self.schema.as_str()))
    }

    /// Creates the pool of connections. None of them is open yet.
    pub(crate) fn pool(
        &self,
        options: &PostgresOptions,
        statements: Statements,
    ) -> Result<Sessions, ConnectError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        // The dialer has the settings.
        let manager = Manager::from_connect(Config::new(), self.dialer.clone(), recycling);
        let begin = Begin::new(&self.schema, &statements);
        let session: Arc<str> = Arc::from(&begin.session[..]);
        let set_up = Hook::async_fn(move |client: &mut ClientWrapper, _| {
            let session = Arc::clone(&session);
            Box::pin(async move { client.batch_execute(&session).await.map_err(HookError::Backend) })
        });
        let pool = Pool::builder(manager)
            .max_size(options.connections)
            .wait_timeout(Some(options.publish_timeout))
            .create_timeout(Some(CONNECT_TIMEOUT * 2))
            .runtime(Runtime::Tokio1)
            .post_create(set_up)
            .build()
            .map_err(|error| ConnectError::Other(error.into()))?;
        Ok(Sessions::new(pool, begin, statements))
    }

    /// Returns whether a pooler stands in between, which gives the connections to others after each transaction. It refuses
    /// an option for the start of a process of the server, or leaves it out.
    pub(crate) async fn is_pooled(&self) -> Result<bool, ConnectError> {
        const OPTION: &str = "-c hookwire.session=on";
        const HAS_OPTION: &str = "SELECT current_setting('hookwire.session', true) IS NOT DISTINCT FROM 'on'";
        let (client, messages) = match in_time(self.dialer.clone().with_option(OPTION).dial()).await? {
            Err(error) if error.is_of_parameter() => return Ok(true),
            dialled => dialled.map_err(|error| ConnectError::of_connecting(error, self.schema.as_str()))?,
        };
        tokio::spawn(dial::drive(messages));
        let rows = in_time(client.query_typed(HAS_OPTION, &[])).await?;
        let rows = rows.map_err(|error| ConnectError::of(error, self.schema.as_str()))?;
        Ok(!rows.first().is_some_and(|row| row.get(0)))
    }

    /// Checks that the schema is there, and that this code knows its version.
    pub(crate) async fn check(&self) -> Result<(), ConnectError> {
        let client = self.client().await?;
        in_time(schema::check(&client, &self.schema)).await?
    }
}

/// Waits for an answer as long as a connection may take to open.
async fn in_time<T>(answer: impl Future<Output = T>) -> Result<T, ConnectError> {
    timeout(CONNECT_TIMEOUT * 2, answer).await.map_err(|elapsed| ConnectError::Unreachable(elapsed.into()))
}

/// Notices a machine that vanished within half a minute, instead of two hours.
fn set_timeouts(config: &mut Config) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    config.keepalives_idle(MAX_SILENCE / 2);
    config.keepalives_interval(KEEPALIVE_INTERVAL);
    config.keepalives_retries(KEEPALIVE_RETRIES);
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(MAX_SILENCE);
    }
    if config.get_application_name().is_none() {
        config.application_name("hookwire");
    }
}
