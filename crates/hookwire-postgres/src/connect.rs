use std::error::Error;
use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use thiserror::Error;
use tokio::sync::watch;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use crate::news;
use crate::options::PostgresOptions;
use crate::schema::{self, SchemaName};
use crate::session::Sessions;
use crate::tls::Tls;

/// How long a connection may take to come about, where the URL names no other time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After this long without an answer of its machine a connection counts as broken.
const SILENCE: Duration = Duration::from_secs(30);
/// The machine is asked after half of it, and then so often that the rest suffices for all tries.
const ASK_EVERY: Duration = Duration::from_secs(5);
const ASK_TIMES: u32 = 3;
/// A connection plans its statements anew after so many uses, and sooner while it is young.
const PLAN_EVERY: usize = 256;

/// The database cannot be used as a store.
///
/// `Display` says what is wrong and what to do; the cause, if there is one, is the source. A password is
/// in neither.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text is no URL of a PostgreSQL database.
    #[error(
        "this is no URL of a PostgreSQL database; it is to be like postgres://user:password@host:5432/database"
    )]
    Url,
    /// The name cannot be that of a schema.
    #[error(
        "{name:?} cannot be the schema; it is to be at most 63 of a-z, 0-9 and _, and not to begin with a digit or pg_"
    )]
    SchemaName {
        /// The name.
        name: String,
    },
    /// Nothing answers there.
    #[error("no PostgreSQL server answers there; check host and port, and that the server runs")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The connection could not be encrypted as the URL asks.
    #[error(
        "the connection cannot be encrypted; check that the server offers TLS with a certificate that this machine trusts"
    )]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// The server does not let this user in.
    #[error("the server refuses this user or password; check both")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// There is no such database.
    #[error("the server has no such database; create it, or name another")]
    NoDatabase(#[source] Box<dyn Error + Send + Sync>),
    /// The user may not do what is needed.
    #[error("the user lacks privileges on schema {schema:?}; grant them, or use the user that migrated it")]
    NoPrivileges {
        /// The schema.
        schema: String,
        /// What the server says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database has nothing of hookwire yet.
    #[error(
        "the database has no schema {schema:?}; create it with `PostgresStore::migrate`, or run `migration_sql`"
    )]
    NotMigrated {
        /// The schema.
        schema: String,
    },
    /// The schema was made by an earlier version of hookwire.
    #[error(
        "schema {schema:?} has version {found}, and this hookwire needs {known}; run `PostgresStore::migrate`"
    )]
    Older {
        /// The schema.
        schema: String,
        /// Its version.
        found: i32,
        /// The version that this code works with.
        known: i32,
    },
    /// The schema was made by a later version of hookwire.
    #[error(
        "schema {schema:?} has version {found}, and this hookwire knows {known} at most; update hookwire"
    )]
    Newer {
        /// The schema.
        schema: String,
        /// Its version.
        found: i32,
        /// The version that this code works with.
        known: i32,
    },
    /// Something else failed: the source tells what.
    #[error("the database cannot be used")]
    Other(#[source] Box<dyn Error + Send + Sync>),
}

impl ConnectError {
    /// What an error means that came up while connecting or looking at the schema.
    pub(crate) fn of(error: tokio_postgres::Error, schema: &str) -> Self {
        let Some(code) = error.code() else { return Self::without_answer(error) };
        match *code {
            SqlState::INVALID_CATALOG_NAME => Self::NoDatabase(error.into()),
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                Self::Refused(error.into())
            }
            SqlState::INSUFFICIENT_PRIVILEGE => {
                Self::NoPrivileges { schema: schema.to_owned(), source: error.into() }
            }
            SqlState::CANNOT_CONNECT_NOW | SqlState::TOO_MANY_CONNECTIONS => Self::Unreachable(error.into()),
            _ => Self::Other(error.into()),
        }
    }

    fn without_answer(error: tokio_postgres::Error) -> Self {
        let text = error.to_string();
        if text.contains("password missing") || text.contains("authentication") {
            Self::Refused(error.into())
        } else if text.contains("TLS") {
            Self::Tls(error.into())
        } else {
            Self::Unreachable(error.into())
        }
    }
}

/// A database, a schema in it, and the way there.
pub(crate) struct Target {
    config: Config,
    pub(crate) schema: SchemaName,
    tls: Option<Tls>,
}

impl Target {
    pub(crate) fn new(url: &str, options: &PostgresOptions) -> Result<Self, ConnectError> {
        let schema = SchemaName::new(&options.schema)?;
        // What tokio-postgres calls "require" is here what libpq calls "verify-full".
        let url = url.replace("sslmode=verify-full", "sslmode=require");
        // What is wrong with a URL may be its password, so that the cause is not told.
        let mut config = Config::from_str(&url).map_err(|_| ConnectError::Url)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(ConnectError::Url);
        }
        let tls = match config.get_ssl_mode() {
            SslMode::Require => Some(Tls::new().map_err(|error| ConnectError::Tls(error.into()))?),
            _ => None,
        };
        if tls.is_none() {
            config.ssl_mode(SslMode::Disable);
        }
        with_patience(&mut config);
        Ok(Self { config, schema, tls })
    }

    /// A connection by itself, which ends with its client.
    pub(crate) async fn client(&self) -> Result<Client, ConnectError> {
        let failed = |error| ConnectError::of(error, self.schema.as_str());
        Ok(match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await.map_err(failed)?;
                tokio::spawn(connection);
                client
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(failed)?;
                tokio::spawn(connection);
                client
            }
        })
    }

    /// Listens on a connection by itself, until it ends.
    pub(crate) async fn listen(
        &self,
        channel: &str,
        rings: &watch::Sender<u64>,
    ) -> Result<(), tokio_postgres::Error> {
        match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                tokio::join!(news::forward(connection, rings), news::subscribe(&client, channel, rings)).1
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::join!(news::forward(connection, rings), news::subscribe(&client, channel, rings)).1
            }
        }
    }

    /// The pool of connections, none of which is open yet.
    pub(crate) fn pool(&self, options: &PostgresOptions) -> Result<Sessions, ConnectError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match &self.tls {
            Some(tls) => Manager::from_config(self.config.clone(), tls.clone(), recycling),
            None => Manager::from_config(self.config.clone(), NoTls, recycling),
        };
        let setup = setup(&self.schema);
        let prepare = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
            let setup = setup.clone();
            Box::pin(async move { client.batch_execute(&setup).await.map_err(HookError::Backend) })
        });
        let pool = Pool::builder(manager)
            .max_size(options.connections)
            .wait_timeout(Some(options.publish_timeout))
            .create_timeout(Some(CONNECT_TIMEOUT * 2))
            .runtime(Runtime::Tokio1)
            .post_create(prepare)
            .post_recycle(Hook::async_fn(|client: &mut deadpool_postgres::ClientWrapper, metrics| {
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

    pub(crate) async fn check(&self) -> Result<(), ConnectError> {
        schema::check(&self.client().await?, &self.schema).await
    }
}

/// Whether a connection that was used so often is to plan its statements anew: what was planned when a table
/// was empty may go through all of it when it is full, and the server does not notice by itself for minutes.
const fn is_time_to_plan(uses: usize) -> bool {
    uses.is_power_of_two() || uses.is_multiple_of(PLAN_EVERY)
}

/// Has a machine that vanished noticed within half a minute, instead of two hours.
fn with_patience(config: &mut Config) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    config.keepalives_idle(SILENCE / 2).keepalives_interval(ASK_EVERY).keepalives_retries(ASK_TIMES);
    config.tcp_user_timeout(SILENCE);
    if config.get_application_name().is_none() {
        config.application_name("hookwire");
    }
}

/// What every connection is told first.
///
/// Nobody waits for ever for a lock, nor holds one for ever because its process stands still. A server that
/// may lose commits is told not to lose these. Every statement goes along an index whatever its parameters,
/// so that one plan serves all.
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
