//! The way to the database: URL and settings, TLS, schema, pool and transactions.

pub(crate) mod begin;
pub(crate) mod dial;
pub(crate) mod dial_error;
pub(crate) mod error;
pub(crate) mod options;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod statements;
pub(crate) mod target;
pub(crate) mod tls;
pub(crate) mod url;
pub(crate) mod verify;
