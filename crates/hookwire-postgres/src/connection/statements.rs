//! `Statements`: statements with a name on their connection, or without one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::Client;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

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

type Typed<'a> = Vec<(&'a (dyn ToSql + Sync), Type)>;

impl Statements {
    pub(crate) async fn rows(
        &self,
        client: &Client,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Error> {
        match self {
            Self::Named => client.query(&client.prepare_cached(sql).await?, params).await,
            Self::Unnamed(types) => client.query_typed(sql, &types.typed(client, sql, params).await?).await,
        }
    }

    pub(crate) async fn run(&self, client: &Client, sql: &str, params: Params<'_>) -> Result<u64, Error> {
        match self {
            Self::Named => client.execute(&client.prepare_cached(sql).await?, params).await,
            Self::Unnamed(types) => client.execute_typed(sql, &types.typed(client, sql, params).await?).await,
        }
    }
}

impl ParameterTypes {
    async fn typed<'a>(&self, client: &Client, sql: &str, params: Params<'a>) -> Result<Typed<'a>, Error> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        let types = match known {
            Some(types) => types,
            None => self.ask(client, sql).await?,
        };
        Ok(params.iter().copied().zip(types.iter().cloned()).collect())
    }

    /// Asks the server, by a statement that is closed again within its transaction.
    async fn ask(&self, client: &Client, sql: &str) -> Result<Arc<[Type]>, Error> {
        let types: Arc<[Type]> = client.prepare(sql).await?.params().into();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(sql.to_owned(), Arc::clone(&types));
        Ok(types)
    }
}
