//! Starts the service on the database that `DATABASE_URL` names, at `LISTEN` or port 3000, until Ctrl-C.

use std::sync::Arc;
use std::time::Duration;

use hookwire::{TenantId, Webhooks};
use hookwire_postgres::PostgresStore;
use invoices::billing::{Billing, Error};
use invoices::{App, alerts, events, router};
use sqlx::PgPool;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let url = std::env::var("DATABASE_URL")?;
    PostgresStore::migrate(&url).await?; // when you deploy
    let store = Arc::new(PostgresStore::connect(&url).await?); // in each process
    let hooks =
        Webhooks::builder(events::catalog()?).store(Arc::clone(&store)).observe(alerts::observe).build()?;
    let dispatcher = hooks.start()?;

    let billing = Billing { pool: PgPool::connect(&url).await?, store, hooks: hooks.clone() };
    billing.migrate().await?;
    let keys = [("acme-key".to_owned(), TenantId::new("acme")?)].into_iter().collect();

    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&listen).await?;
    println!(
        "listening on http://{listen}; try: curl -H 'Authorization: Bearer acme-key' http://{listen}/webhooks"
    );
    axum::serve(listener, router(App { hooks, keys })).with_graceful_shutdown(stopped()).await?;
    // What is under way ends; the rest waits in the database.
    dispatcher.shutdown_within(Duration::from_secs(20)).await;
    Ok(())
}

async fn stopped() {
    // Without a signal handler there is nothing to wait for.
    let _ = tokio::signal::ctrl_c().await;
}
