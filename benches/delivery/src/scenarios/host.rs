//! *host*: what hookwire costs the host's own transactions in PostgreSQL. Connections update rows of the host's table, in
//! turns with and without publishing an event in the same transaction, which is then delivered.

use std::sync::Arc;
use std::time::Duration;

use hookwire::{Tenant, Webhooks};
use hookwire_postgres::PostgresStore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::{Client, Statement};

use crate::arrivals::{millis, percentile};
use crate::note::Note;
use crate::options::StoreKind;
use crate::scenarios::Bench;
use crate::service::{self, Group, Service};
use crate::{Error, clock, stores};

const CONNECTIONS: i64 = 10;
/// The time from one transaction of a connection to the next: 200 a second in all.
const EVERY: Duration = Duration::from_millis(50);
/// The rows of a connection, which no other touches.
const ROWS: i64 = 100;
const TABLE: &str = "DROP TABLE IF EXISTS hookwire_bench_account;
    CREATE TABLE hookwire_bench_account (id bigint PRIMARY KEY, balance bigint NOT NULL);
    INSERT INTO hookwire_bench_account SELECT id, 0 FROM generate_series(0, 999) id";
const UPDATE: &str = "UPDATE hookwire_bench_account SET balance = balance + 1 WHERE id = $1";

/// How an event is published in a transaction.
#[derive(Clone, Debug)]
struct Publisher {
    store: Arc<PostgresStore>,
    tenant: Tenant,
    hooks: Webhooks,
}

pub(super) async fn run(bench: &mut Bench) -> Result<(), Error> {
    if bench.options.store != StoreKind::Postgres {
        return Err("the host's transactions need --store postgres".into());
    }
    stores::client().await?.batch_execute(TABLE).await?;
    let store = Arc::new(stores::new_postgres("host").await?);
    let service = Service::start(service::hooks(Arc::<PostgresStore>::clone(&store))?)?;
    let group = Group::new(&service.hooks, &bench.receiver, "host", 1).await?;
    service.warm_up(&bench.receiver, &group).await?;
    let publisher = Publisher { store, tenant: group.tenant.clone(), hooks: service.hooks.clone() };
    for _ in 0..bench.options.rounds {
        let without = times(bench, None).await?;
        let with = times(bench, Some(&publisher)).await?;
        bench.receiver.expect(&group.name, with.len()).await?;
        bench.receiver.take(&group.name).await?;
        note(bench, &without, &with);
    }
    service.shutdown().await;
    Ok(())
}

fn note(bench: &mut Bench, without: &[Duration], with: &[Duration]) {
    let [p99_without, p99_with] = [without, with].map(|times| millis(percentile(times, 99)));
    bench.figures.add("without publishing: p50", "ms", millis(percentile(without, 50)));
    bench.figures.add("with publishing: p50", "ms", millis(percentile(with, 50)));
    bench.figures.add("without publishing: p99", "ms", p99_without);
    bench.figures.add("with publishing: p99", "ms", p99_with);
    bench.figures.add("p99 against without", "", p99_with / p99_without);
}

/// Runs transactions for a round, and returns the time of each, sorted.
async fn times(bench: &Bench, publisher: Option<&Publisher>) -> Result<Vec<Duration>, Error> {
    let mut running = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let client = stores::client().await?;
        running.spawn(transactions(client, connection * ROWS, bench.options.round, publisher.cloned()));
    }
    let mut times = Vec::new();
    while let Some(done) = running.join_next().await {
        times.extend(done??);
    }
    times.sort_unstable();
    Ok(times)
}

/// The times of the transactions of one connection.
async fn transactions(
    mut client: Client,
    first_row: i64,
    round: Duration,
    publisher: Option<Publisher>,
) -> Result<Vec<Duration>, Error> {
    let statements = Statements::prepare(&client, publisher).await?;
    let mut times = Vec::new();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = clock::now() + round;
    for row in (first_row..first_row + ROWS).cycle() {
        ticks.tick().await;
        let began = clock::now();
        if began >= end {
            break;
        }
        statements.transact(&mut client, row).await?;
        times.push(clock::now() - began);
    }
    Ok(times)
}

/// The statements of a transaction, and what it publishes, if anything.
struct Statements {
    update: Statement,
    publish: Option<(Statement, Publisher)>,
}

impl Statements {
    async fn prepare(client: &Client, publisher: Option<Publisher>) -> Result<Self, Error> {
        let update = client.prepare(UPDATE).await?;
        let Some(publisher) = publisher else { return Ok(Self { update, publish: None }) };
        let publish = client.prepare(publisher.store.publish_statement()).await?;
        Ok(Self { update, publish: Some((publish, publisher)) })
    }

    async fn transact(&self, client: &mut Client, row: i64) -> Result<(), Error> {
        let transaction = client.transaction().await?;
        transaction.execute(&self.update, &[&row]).await?;
        let Some((publish, publisher)) = &self.publish else { return Ok(transaction.commit().await?) };
        let document = publisher.tenant.to_sql_document(&Note::event(0)?);
        transaction.execute(publish, &[&document]).await?;
        transaction.commit().await?;
        publisher.hooks.wake();
        Ok(())
    }
}
