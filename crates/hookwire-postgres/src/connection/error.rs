//! `ConnectError`: why a database cannot be used as a store, told from codes and types.

use std::error::Error;
use std::io;

use thiserror::Error;
use tokio_postgres::error::SqlState;

use crate::connection::dial_error::{DialError, HandshakeError, Stage};

/// The error of a database that cannot be used as a store.
///
/// `Display` says what is wrong and what to do. The cause, if there is one, is the source. Neither contains the password.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text is not a URL of a PostgreSQL database.
    #[error(
        "this is no URL of a PostgreSQL database; it is to be like postgres://user:password@host:5432/database"
    )]
    Url,
    /// A parameter of the URL cannot be used.
    #[error("parameter {name} of the database URL {rule}")]
    Parameter {
        /// The name of the parameter.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// Certificates or a key cannot be read.
    #[error("{of} cannot be used; it is to be PEM, and readable")]
    Certificates {
        /// The parameter of the URL that names the file, or the method that gave the text.
        of: &'static str,
        /// The cause.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The connection is to be encrypted, neither of the features `aws-lc-rs` and `ring` is on, and the host has installed
    /// no crypto provider.
    #[error(
        "there is no crypto provider for TLS; turn on the feature aws-lc-rs or ring of hookwire-postgres, or call \
         install_default of a rustls::crypto::CryptoProvider before connecting"
    )]
    NoCryptoProvider,
    /// The name cannot be that of a schema.
    #[error(
        "{name:?} cannot be the schema; it is to be at most 63 of a-z, 0-9 and _, and not to begin with a digit or pg_"
    )]
    SchemaName {
        /// The name.
        name: String,
    },
    /// No server answers at that address, or behind the pooler there.
    #[error("no PostgreSQL server answers there; check host and port, and that the server runs")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The connection could not be encrypted as the URL asks.
    #[error(
        "the connection cannot be encrypted; check that the server offers TLS with a certificate for this host that this machine trusts, or name its authority by sslrootcert"
    )]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// The server does not let this user in without TLS.
    #[error(
        "the server refuses this user on a connection without TLS; if it wants TLS, set sslmode=require in the URL; else check user and database"
    )]
    Unencrypted(#[source] Box<dyn Error + Send + Sync>),
    /// The server does not let this user in.
    #[error("the server refuses this user or password; check both")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// There is no such database.
    #[error("the server has no such database; create it, or name another")]
    NoDatabase(#[source] Box<dyn Error + Send + Sync>),
    /// The user lacks a privilege that is needed.
    #[error("the user lacks privileges on schema {schema:?}; grant them, or use the user that migrated it")]
    NoPrivileges {
        /// The schema.
        schema: String,
        /// The error of the server.
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
    /// The schema was made by an earlier version of hookwire, and this one cannot use it.
    #[error(
        "schema {schema:?} has version {found}, and this hookwire needs {known} at least; run `PostgresStore::migrate`"
    )]
    Older {
        /// The schema.
        schema: String,
        /// Its version.
        found: i32,
        /// The oldest version that this code works with.
        known: i32,
    },
    /// The schema was made by a later version of hookwire, and is for code that knows more than this one.
    #[error(
        "schema {schema:?} has version {found}, and this hookwire knows {known} at most; update hookwire"
    )]
    Newer {
        /// The schema.
        schema: String,
        /// Its version.
        found: i32,
        /// The latest version that this code knows.
        known: i32,
    },
    /// The database takes no writes of this user.
    #[error(
        "default_transaction_read_only is on; reset it by ALTER DATABASE and ALTER ROLE, or in the server's configuration"
    )]
    ReadOnly,
    /// A pooler in between refuses something that the store cannot do without.
    #[error(
        "a pooler in between refuses what the store needs: transactions of several statements (pool_mode transaction or session), and the start-up parameters that the URL names"
    )]
    Pooler(#[source] Box<dyn Error + Send + Sync>),
    /// Something else failed. The source says what.
    #[error("the database cannot be used")]
    Other(#[source] Box<dyn Error + Send + Sync>),
}

impl ConnectError {
    /// Classifies an error of a statement that reads or creates `schema`.
    pub(crate) fn of(error: tokio_postgres::Error, schema: &str) -> Self {
        let Some(code) = error.code() else { return Self::Unreachable(error.into()) };
        match *code {
            SqlState::INVALID_CATALOG_NAME => Self::NoDatabase(error.into()),
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                Self::Refused(error.into())
            }
            SqlState::INSUFFICIENT_PRIVILEGE => {
                Self::NoPrivileges { schema: schema.to_owned(), source: error.into() }
            }
            SqlState::FEATURE_NOT_SUPPORTED => Self::Pooler(error.into()),
            SqlState::PROTOCOL_VIOLATION if is_refusal(&error) => Self::Pooler(error.into()),
            SqlState::CANNOT_CONNECT_NOW | SqlState::PROTOCOL_VIOLATION | SqlState::TOO_MANY_CONNECTIONS => {
                Self::Unreachable(error.into())
            }
            _ => Self::Other(error.into()),
        }
    }

    /// Classifies an error of an attempt to connect.
    pub(crate) fn of_connecting(error: DialError, schema: &str) -> Self {
        let DialError { error, stage } = error;
        let source = error.source();
        if source.is_some_and(|source| source.is::<HandshakeError>()) {
            return Self::Tls(error.into());
        }
        let is_without_tls = stage == Stage::Plain;
        if is_without_tls && error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) {
            return Self::Unencrypted(error.into());
        }
        if error.code().is_some() || source.is_none_or(|source| source.is::<io::Error>()) {
            return Self::of(error, schema);
        }
        // The driver refuses with a bare text: a server without TLS, a password that is not in the URL, a kind of
        // authentication that it does not know. They have no code; how far the connection had come tells them apart.
        if stage == Stage::AwaitsTls { Self::Tls(error.into()) } else { Self::Refused(error.into()) }
    }
}

/// Returns whether a pooler refuses what it is asked for. PgBouncer has one code for that and for a server behind it that
/// does not answer, so its words decide. Whatever else it says counts as the latter, and is in the source.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    const REFUSALS: [&str; 2] = ["unsupported startup parameter", "not allowed in statement pooling mode"];
    error.as_db_error().is_some_and(|error| REFUSALS.iter().any(|words| error.message().contains(words)))
}
