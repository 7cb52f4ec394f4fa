//! `Sessions`: connections of the pool, and transactions on them.

use async_trait::async_trait;
use deadpool_postgres::{Client, Object, Pool};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::error::{QueryError, ReadRow};
use crate::time::Millis;
use crate::transaction;

/// The number of times that a transaction is tried which PostgreSQL aborts because of others.
const MAX_TRIES: usize = 4;

/// The parameters of a statement.
pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A pool of connections. Each is used for a single statement, or for a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Sessions(Pool);

/// An operation that runs in one transaction. It may run several times until the transaction commits.
///
/// Every operation that writes runs on a task of its own, so that a caller who goes away leaves no transaction open.
#[async_trait]
pub(crate) trait Operation: Sync {
    type Output: Send;

    async fn run(&self, tx: &Tx<'_>) -> Result<Self::Output, QueryError>;
}

/// An open transaction.
pub(crate) struct Tx<'a>(&'a Client);

/// A connection that is closed instead of going back to the pool, unless its transaction is known to have ended. So an
/// operation that panics, or a commit that fails, leaves no open transaction behind.
struct PoolGuard(Option<Client>);

impl Drop for PoolGuard {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}

impl Sessions {
    pub(crate) const fn new(pool: Pool) -> Self {
        Self(pool)
    }

    /// Runs `operation` in a transaction, and again if others were in its way.
    pub(crate) async fn transact<O: Operation>(&self, operation: &O) -> Result<O::Output, QueryError> {
        for _ in 1..MAX_TRIES {
            match self.try_once(operation).await {
                Err(error) if error.is_retryable() => {}
                done => return done,
            }
        }
        self.try_once(operation).await
    }

    async fn try_once<O: Operation>(&self, operation: &O) -> Result<O::Output, QueryError> {
        let mut guard = PoolGuard(Some(self.0.get().await?));
        let client = guard.0.as_ref().expect("it is taken out below only");
        client.batch_execute(transaction::BEGIN).await?;
        let done = operation.run(&Tx(client)).await;
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        if let Err(error) = client.batch_execute(end).await {
            return done.and(Err(error.into()));
        }
        drop(guard.0.take());
        done
    }

    /// Reads rows by one statement, in a transaction of its own.
    pub(crate) async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, QueryError> {
        let client = self.0.get().await?;
        Tx(&client).rows(sql, params).await
    }

    /// Reads the clock, like [`Tx::now`].
    pub(crate) async fn now(&self) -> Result<Millis, QueryError> {
        let client = self.0.get().await?;
        Tx(&client).now().await
    }

    /// Executes a command without parameters.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), QueryError> {
        Ok(self.0.get().await?.batch_execute(sql).await?)
    }
}

impl Tx<'_> {
    /// Reads rows. Each connection parses the statement once.
    pub(crate) async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, QueryError> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.query(&statement, params).await?)
    }

    /// Reads the first row, if there is one.
    pub(crate) async fn first(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>, QueryError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Executes a statement, and returns the number of rows that it changed.
    pub(crate) async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, QueryError> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.execute(&statement, params).await?)
    }

    /// Reads the clock of the database: the only one that the store goes by.
    pub(crate) async fn now(&self) -> Result<Millis, QueryError> {
        let row = self.first("SELECT clock_ms() AS now", &[]).await?;
        row.ok_or_else(|| QueryError::corrupt("the database tells no time"))?.read("now")
    }
}
