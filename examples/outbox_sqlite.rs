//! Publishing in the host's own transaction, when the host keeps its data in SQLite: with any driver.
//!
//! ```sh
//! cargo run --example outbox_sqlite
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookwire::model::EventType;
use hookwire::store::SqliteStore;
use hookwire::store::sqlite::OUTBOX_SCHEMA;
use hookwire::transport::HttpTransport;
use hookwire::{Catalog, EventId, Payload, TenantId, WebhookDraft, Webhooks};
use http::StatusCode;
use rusqlite::{Connection, Transaction, params};
use serde::Serialize;
use tokio::sync::mpsc;

/// The payload of `invoice.paid`.
#[derive(Serialize)]
struct InvoicePaid {
    invoice: i64,
    cents: i64,
}

impl Payload for InvoicePaid {
    const EVENT: EventId = EventId::new(1);
}

/// The events that this service offers.
fn catalog() -> Result<Catalog, support::Error> {
    let sample = InvoicePaid { invoice: 4711, cents: 1_999 };
    Ok(Catalog::builder().event(EventType::of("invoice.paid", "Invoice paid", &sample)).build()?)
}

/// Marks the invoice as paid, and publishes that, in one transaction of the host's own driver.
fn pay(app: &mut Connection, invoice: i64) -> Result<Transaction<'_>, support::Error> {
    let event = InvoicePaid { invoice, cents: 1_999 };

    let transaction = app.transaction()?;
    transaction.execute("UPDATE invoice SET paid = 1 WHERE id = ?", [invoice])?;
    transaction.execute(
        "INSERT INTO hookwire_outbox (tenant, event_id, payload) VALUES (?, ?, ?)",
        params!["acme", InvoicePaid::EVENT.get(), serde_json::to_string(&event)?],
    )?;
    Ok(transaction)
}

#[tokio::main]
async fn main() -> Result<(), support::Error> {
    let directory = std::env::temp_dir().join(format!("hookwire-outbox-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let done = run(&directory).await;
    std::fs::remove_dir_all(directory)?;
    done
}

async fn run(directory: &Path) -> Result<(), support::Error> {
    // Somebody's server.
    let (received, mut requests) = mpsc::unbounded_channel();
    let url = support::http(Arc::new(move |_, body| {
        // Nobody listens any more once the example has ended.
        let _ = received.send(String::from_utf8_lossy(body).into_owned());
        StatusCode::OK
    }))
    .await?;

    // Your service: hookwire in a file of its own, your data in another. They are never attached.
    let store = Arc::new(SqliteStore::open(directory.join("hooks.db")).await?);
    let hooks = Webhooks::builder(catalog()?)
        .store(Arc::clone(&store))
        .transport(HttpTransport::builder().allow_loopback().build()?)
        .allow_loopback_http()
        .build()?;
    let dispatcher = hooks.start()?;
    let acme = hooks.tenant(TenantId::new("acme")?);
    acme.create(&WebhookDraft::new("Bookkeeping", &url).subscribe(InvoicePaid::EVENT)).await?;

    let app_db = directory.join("app.db");
    let mut app = Connection::open(&app_db)?;
    app.execute_batch("CREATE TABLE invoice (id INTEGER PRIMARY KEY, paid INTEGER NOT NULL)")?;
    app.execute_batch("INSERT INTO invoice VALUES (4711, 0), (4712, 0)")?;
    app.execute_batch(OUTBOX_SCHEMA)?; // once, as one of your migrations

    // After a crash, or when nobody drained after a commit: look every second.
    let (drained, path) = (Arc::clone(&store), app_db.clone());
    tokio::spawn(async move {
        loop {
            if let Err(error) = drained.drain_outbox(&path).await {
                eprintln!("    {error}"); // the next step goes on
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });

    println!("1. The row and its event are committed together.");
    let transaction = pay(&mut app, 4711)?;
    transaction.commit()?;
    store.drain_outbox(&app_db).await?; // delivers at once; the loop would come to it
    println!("    received: {}", requests.recv().await.unwrap_or_default());

    println!("2. What is rolled back never happened.");
    pay(&mut app, 4711)?.rollback()?;
    pay(&mut app, 4712)?.commit()?;
    store.drain_outbox(&app_db).await?;
    println!("    received: {}", requests.recv().await.unwrap_or_default());

    dispatcher.shutdown_within(Duration::from_secs(20)).await;
    Ok(())
}
