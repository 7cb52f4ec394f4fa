//! `Statements`: statements with a name on their connection, or without one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row, Statement};

/// The parameters of a statement.
pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How statements are sent.
#[derive(Debug)]
pub(crate) enum Statements {
    /// Each connection parses a statement once.
    Named,
    /// The server parses a statement each time. Behind a pooler the next transaction may be on another connection, which
    /// does not know it.
    Unnamed(ParameterTypes),
}

/// The types of the parameters of each statement. They are the same on every connection.
#[derive(Debug, Default)]
pub(crate) struct ParameterTypes(Mutex<HashMap<String, Arc<[Type]>>>);

/// A statement whose parameters have types, so that it is sent as soon as it is executed.
pub(crate) enum Prepared<'a> {
    Named(Statement),
    Unnamed(&'a str, Arc<[Type]>),
}

impl Statements {
    pub(crate) async fn prepare<'a>(&self, client: &Client, sql: &'a str) -> Result<Prepared<'a>, Error> {
        match self {
            Self::Named => client.prepare_cached(sql).await.map(Prepared::Named),
            Self::Unnamed(types) => Ok(Prepared::Unnamed(sql, types.of(client, sql).await?)),
        }
    }
}

impl Prepared<'_> {
    pub(crate) async fn rows(&self, client: &Client, params: Params<'_>) -> Result<Vec<Row>, Error> {
        match self {
            Self::Named(statement) => client.query(statement, params).await,
            Self::Unnamed(sql, types) => client.query_typed(sql, &typed(params, types)).await,
        }
    }

    pub(crate) async fn run(&self, client: &Client, params: Params<'_>) -> Result<u64, Error> {
        match self {
            Self::Named(statement) => client.execute(statement, params).await,
            Self::Unnamed(sql, types) => client.execute_typed(sql, &typed(params, types)).await,
        }
    }
}

fn typed<'a>(params: Params<'a>, types: &[Type]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().copied().zip(types.iter().cloned()).collect()
}

impl ParameterTypes {
    async fn of(&self, client: &Client, sql: &str) -> Result<Arc<[Type]>, Error> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        match known {
            Some(types) => Ok(types),
            None => self.ask(client, sql).await,
        }
    }

    /// Asks the server, by a statement that is closed again within its transaction.
    async fn ask(&self, client: &Client, sql: &str) -> Result<Arc<[Type]>, Error> {
        let types: Arc<[Type]> = client.prepare(sql).await?.params().into();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(sql.to_owned(), Arc::clone(&types));
        Ok(types)
    }
}
