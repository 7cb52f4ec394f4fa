//! A database whose time is set, and what PostgreSQL has to tell of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hookwire::store::Store;
use tokio_postgres::Client;

use super::retention::Motion;
use super::{Error, Server, schema};

/// A schema with a clock of its own.
pub(crate) struct Aged {
    store: Arc<dyn Store>,
    client: Client,
    /// The bytes of WAL that were written up to the last look.
    log: AtomicI64,
}

impl Aged {
    pub(crate) async fn new(server: &Server, name: &str) -> Result<Self, Error> {
        let store = server.open(name).await?;
        let client = server.client().await?;
        let stop = format!(
            "SET search_path TO {}; CREATE TABLE test_clock AS SELECT clock_ms() AS now;
            CREATE OR REPLACE FUNCTION clock_ms() RETURNS bigint LANGUAGE sql VOLATILE
                SET search_path FROM CURRENT AS 'SELECT now FROM test_clock'",
            schema(name)
        );
        client.batch_execute(&stop).await?;
        let aged = Self { store, client, log: AtomicI64::default() };
        aged.log.store(aged.number(LOG).await?, Ordering::Relaxed);
        Ok(aged)
    }

    async fn number(&self, sql: &str) -> Result<i64, Error> {
        Ok(self.client.query_one(sql, &[]).await?.get(0))
    }
}

impl Motion for Aged {
    async fn store(&self) -> Result<Arc<dyn Store>, Error> {
        Ok(Arc::clone(&self.store))
    }

    /// Autovacuum comes once a minute of real time, which is an hour here. So what it would tidy up is tidied up here.
    async fn advance(&self, by: Duration) -> Result<(), Error> {
        let by = i64::try_from(by.as_millis())?;
        self.client.execute("UPDATE test_clock SET now = now + $1", &[&by]).await?;
        for row in self.client.query(DUE, &[]).await? {
            self.client.batch_execute(&format!("VACUUM ANALYZE {}", row.get::<_, &str>(0))).await?;
        }
        Ok(())
    }

    async fn size(&self) -> Result<u64, Error> {
        Ok(u64::try_from(self.number(SIZE).await?)?)
    }

    async fn tell(&self, delivered: usize) -> Result<String, Error> {
        self.client.batch_execute("SELECT pg_stat_force_next_flush()").await?;
        let (dead, live) = (self.number(DEAD).await?, self.number(LIVE).await?);
        let log = self.number(LOG).await?;
        let written = log - self.log.swap(log, Ordering::Relaxed);
        // Bytes for one are kilobytes for a thousand.
        let each = written as f64 / delivered as f64;
        Ok(format!("; {live} rows, {dead} dead ones; {each:.0} kB of WAL for 1000 deliveries"))
    }
}

/// The tables that autovacuum would find, by the usual settings or those of the schema.
const DUE: &str = "SELECT counted.relname::text FROM pg_stat_user_tables AS counted JOIN pg_class ON pg_class.oid = relid \
    WHERE schemaname = current_schema() AND n_dead_tup > greatest(reltuples, 0) * \
        coalesce((SELECT option_value::float FROM pg_options_to_table(reloptions) \
            WHERE option_name = 'autovacuum_vacuum_scale_factor'), 0.2) \
        + coalesce((SELECT option_value::float FROM pg_options_to_table(reloptions) \
            WHERE option_name = 'autovacuum_vacuum_threshold'), 50)";

const SIZE: &str = "SELECT sum(pg_total_relation_size(to_regclass(name)))::bigint \
    FROM unnest(ARRAY['event', 'delivery', 'attempt', 'lane']) AS name";

const DEAD: &str = "SELECT sum(n_dead_tup)::bigint FROM pg_stat_user_tables \
    WHERE schemaname = current_schema() AND relname <> 'test_clock'";

const LIVE: &str = "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM delivery)";

const LOG: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint";
