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

use hookwire::store::SqliteStore;
use hookwire::store::sqlite::OUTBOX_SCHEMA;
use hookwire::transport::HttpTransport;
use hookwire::{TenantId, WebhookDraft, Webhooks, assist};
use http::StatusCode;
use rusqlite::{Connection, params};
use tokio::sync::mpsc;

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
    let hooks = Webhooks::builder(assist::catalog())
        .store(Arc::clone(&store))
        .transport(HttpTransport::builder().allow_loopback().build()?)
        .allow_loopback_http()
        .build()?;
    let dispatcher = hooks.start()?;
    let acme = hooks.tenant(TenantId::new("acme")?);
    acme.create(&WebhookDraft::new("Device log", &url).subscribe(assist::DEVICE_ONLINE)).await?;

    let app_db = directory.join("app.db");
    let mut app = Connection::open(&app_db)?;
    app.execute_batch("CREATE TABLE device (name TEXT NOT NULL)")?;
    app.execute_batch(OUTBOX_SCHEMA)?;

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
    go_online(&mut app, "LAB-4")?.commit()?;
    store.drain_outbox(&app_db).await?; // for immediacy; the loop would come to it
    println!("    received: {}", requests.recv().await.unwrap_or_default());

    println!("2. What is rolled back never happened.");
    go_online(&mut app, "LAB-5")?.rollback()?;
    go_online(&mut app, "LAB-6")?.commit()?;
    store.drain_outbox(&app_db).await?;
    println!("    received: {}", requests.recv().await.unwrap_or_default());

    dispatcher.shutdown_within(Duration::from_secs(20)).await;
    Ok(())
}

/// Writes the device and what shall be told of it, in one transaction of the host's own driver.
fn go_online<'a>(app: &'a mut Connection, name: &str) -> rusqlite::Result<rusqlite::Transaction<'a>> {
    let transaction = app.transaction()?;
    transaction.execute("INSERT INTO device (name) VALUES (?)", [name])?;
    let payload = serde_json::json!({ "deviceName": name }).to_string();
    transaction.execute(
        "INSERT INTO hookwire_outbox (tenant, event_id, payload) VALUES (?, ?, ?)",
        params!["acme", assist::DEVICE_ONLINE.get(), payload],
    )?;
    Ok(transaction)
}
