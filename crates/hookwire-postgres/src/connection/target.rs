//! `Target`: a database, a schema in it, and the settings of every connection to it.

use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime,
};
use tokio::time::timeout;
use tokio_postgres::{Client, Config};

use crate::connection::dial::{self, Dialer, Messages};
use crate::connection::error::ConnectError;
use crate::connection::options::PostgresOptions;
use crate::connection::schema::{self, SchemaName};
use crate::connection::session::Sessions;
use crate::connection::url::DatabaseUrl;

/// The time that a connection may take to open, unless the URL names another.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time without an answer of the server's machine after which a connection counts as broken.
const MAX_SILENCE: Duration = Duration::from_secs(30);
/// The interval of the keep-alive probes. They start after half of `MAX_SILENCE`; the other half has room for all.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// The number of keep-alive probes.
const KEEPALIVE_RETRIES: u32 = 3;
/// The number of uses after which a connection plans its statements again. A young one does so sooner.
const PLAN_EVERY: usize = 256;

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
        let opened = timeout(CONNECT_TIMEOUT * 2, self.dialer.dial()).await;
        let opened = opened.map_err(|elapsed| ConnectError::Unreachable(elapsed.into()))?;
        opened.map_err(|error| ConnectError::of_connecting(error, self.schema.as_str()))
    }

    /// Creates the pool of connections. None of them is open yet.
    pub(crate) fn pool(&self, options: &PostgresOptions) -> Result<Sessions, ConnectError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        // The dialer has the settings.
        let manager = Manager::from_connect(Config::new(), self.dialer.clone(), recycling);
        let setup = setup(&self.schema);
        let prepare = Hook::async_fn(move |client: &mut ClientWrapper, _| {
            let setup = setup.clone();
            Box::pin(async move { client.batch_execute(&setup).await.map_err(HookError::Backend) })
        });
        let pool = Pool::builder(manager)
            .max_size(options.connections)
            .wait_timeout(Some(options.publish_timeout))
            .create_timeout(Some(CONNECT_TIMEOUT * 2))
            .runtime(Runtime::Tokio1)
            .post_create(prepare)
            .post_recycle(Hook::async_fn(|client: &mut ClientWrapper, metrics| {
                Box::pin(async move {
                    if is_time_to_plan(metrics.recycle_count) {
                        client.batch_execute("DISCARD PLANS").await.map_err(HookError::Backend)?;
                    }
                    Ok(())
                })
            }))
            .build()
            .map_err(|error| ConnectError::Other(error.into()))?;
        Ok(Sessions::new(pool))
    }

    /// Checks that the schema is there, and that this code knows its version.
    pub(crate) async fn check(&self) -> Result<(), ConnectError> {
        schema::check(&self.client().await?, &self.schema).await
    }
}

/// Whether a connection plans its statements again after so many uses. A plan that was made for an empty table may
/// scan the whole of a full one, and the server takes minutes to notice by itself.
const fn is_time_to_plan(uses: usize) -> bool {
    uses.is_power_of_two() || uses.is_multiple_of(PLAN_EVERY)
}

/// Notices a machine that vanished within half a minute, instead of two hours.
fn set_timeouts(config: &mut Config) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    config.keepalives_idle(MAX_SILENCE / 2);
    config.keepalives_interval(KEEPALIVE_INTERVAL);
    config.keepalives_retries(KEEPALIVE_RETRIES);
    config.tcp_user_timeout(MAX_SILENCE);
    if config.get_application_name().is_none() {
        config.application_name("hookwire");
    }
}

/// The statements with which every connection of the pool begins.
///
/// Nobody waits for a lock for ever, nor holds one for ever because its process stands still. A server that may lose
/// commits does not lose those of this store. Every statement goes along an index whatever its parameters are, so one
/// plan serves all of them.
fn setup(schema: &SchemaName) -> String {
    format!(
        "SET search_path TO {};
        SET lock_timeout TO '5s';
        SET idle_in_transaction_session_timeout TO '10s';
        SET jit TO off;
        SET plan_cache_mode TO force_generic_plan;
        SET enable_seqscan TO off;
        SET enable_bitmapscan TO off;
        SELECT set_config('synchronous_commit', 'on', false)
            WHERE current_setting('synchronous_commit') = 'off';",
        schema.search_path()
    )
}
