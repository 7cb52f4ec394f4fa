use async_trait::async_trait;
use deadpool_postgres::{Client, Object, Pool};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::fault::Fault;

/// How often a transaction is tried that PostgreSQL breaks off for the sake of others.
const TRIES: usize = 4;

/// Parameters of a statement.
pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Connections, and the two ways to use one: a statement by itself, and a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Sessions(Pool);

/// What is done in one transaction: whole or not at all, and perhaps more than once until it is done.
///
/// Every work runs on a task of its own, so that a caller who goes away leaves no transaction open.
#[async_trait]
pub(crate) trait Work: Sync {
    type Done: Send;

    async fn on(&self, tx: &Tx<'_>) -> Result<Self::Done, Fault>;
}

/// An open transaction.
pub(crate) struct Tx<'a>(&'a Client);

/// A connection that goes back to the pool only where its transaction is known to have ended: not if the
/// work panics, nor if the end fails.
struct Lent(Option<Client>);

impl Drop for Lent {
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

    /// Does `work` in a transaction, anew where others were in the way.
    pub(crate) async fn whole<W: Work>(&self, work: &W) -> Result<W::Done, Fault> {
        for _ in 1..TRIES {
            match self.once(work).await {
                Err(fault) if fault.is_of_others() => {}
                done => return done,
            }
        }
        self.once(work).await
    }

    async fn once<W: Work>(&self, work: &W) -> Result<W::Done, Fault> {
        let mut lent = Lent(Some(self.0.get().await?));
        let client = lent.0.as_ref().expect("it is taken out below only");
        client.batch_execute("BEGIN").await?;
        let done = work.on(&Tx(client)).await;
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        if let Err(error) = client.batch_execute(end).await {
            return done.and(Err(error.into()));
        }
        drop(lent.0.take());
        done
    }

    /// Reads rows by one statement, which is a transaction by itself.
    pub(crate) async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let client = self.0.get().await?;
        Tx(&client).rows(sql, params).await
    }

    /// What time it is, like [`Tx::now`].
    pub(crate) async fn now(&self) -> Result<i64, Fault> {
        let client = self.0.get().await?;
        Tx(&client).now().await
    }

    /// Executes a command without parameters.
    pub(crate) async fn execute(&self, sql: &str) -> Result<(), Fault> {
        Ok(self.0.get().await?.batch_execute(sql).await?)
    }
}

impl Tx<'_> {
    /// Reads rows; the statement is parsed once for a connection.
    pub(crate) async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.query(&statement, params).await?)
    }

    /// Reads the first row, if there is one.
    pub(crate) async fn first(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>, Fault> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Executes a statement, and tells how many rows it changed.
    pub(crate) async fn run(&self, sql: &str, params: Params<'_>) -> Result<u64, Fault> {
        let statement = self.0.prepare_cached(sql).await?;
        Ok(self.0.execute(&statement, params).await?)
    }

    /// What time it is, by the only clock there is.
    pub(crate) async fn now(&self) -> Result<i64, Fault> {
        let row = self.first("SELECT clock_ms()", &[]).await?;
        Ok(row.ok_or_else(|| Fault::corrupt("the database tells no time"))?.try_get(0)?)
    }
}
