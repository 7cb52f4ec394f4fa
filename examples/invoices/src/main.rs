//! Starts the service on the database that `DATABASE_URL` names, at `LISTEN` or port 3000, until Ctrl-C or SIGTERM.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use hookwire::{TenantId, Webhooks};
use hookwire_postgres::PostgresStore;
use invoices::billing::{Billing, Error};
use invoices::events::CATALOG;
use invoices::staff::{self, Staff};
use invoices::{App, alerts, router};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let url = env::var("DATABASE_URL")?;
    PostgresStore::migrate(&url).await?; // when you deploy
    let store = Arc::new(PostgresStore::connect(&url).await?); // in each process
    let hooks =
        Webhooks::builder(CATALOG.clone()).store(Arc::clone(&store)).observe(alerts::observe).build()?;
    let dispatcher = hooks.start()?;

    let billing = Billing { pool: PgPool::connect(&url).await?, store, hooks: hooks.clone() };
    billing.migrate().await?;
    let key = env::var("STAFF_KEY").unwrap_or_else(|_| "staff-key".to_owned());
    let staff = Staff { billing, dispatcher: dispatcher.clone(), key };
    let keys = Arc::new([("acme-key".to_owned(), TenantId::new("acme")?)].into());
    let router = router(App { hooks, keys }, staff::routes(staff));

    let listener = TcpListener::bind(env::var("LISTEN").as_deref().unwrap_or("127.0.0.1:3000")).await?;
    let mut interrupt = signal(SignalKind::interrupt())?; // Ctrl-C
    let mut terminate = signal(SignalKind::terminate())?; // what systemd and Kubernetes send
    println!("listening on http://{}", listener.local_addr()?);
    let stopped = async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    };
    axum::serve(listener, router).with_graceful_shutdown(stopped).await?;
    // What is under way ends; the rest waits in the database.
    let drained = dispatcher.shutdown_within(Duration::from_secs(20)).await;
    println!("stopped; of the attempts under way: {drained:?}");
    Ok(())
}
