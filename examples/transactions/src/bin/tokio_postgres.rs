//! An event that commits with the host's own data, by tokio-postgres: typed.

use hookwire::{Event, assist};
use tokio_postgres::{Client, NoTls, Transaction};
use transactions::{Error, Service};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = Service::start().await?;
    let (mut app, connection) = tokio_postgres::connect(&service.url, NoTls).await?;
    tokio::spawn(connection);
    app.batch_execute("CREATE TABLE device (name text NOT NULL)").await?;

    // Rolled back: the event never happened.
    goes_online(&service, &mut app, "LAB-4").await?.rollback().await?;
    // Committed: the event is delivered.
    goes_online(&service, &mut app, "LAB-5").await?.commit().await?;
    service.hooks.wake();
    service.ends_with("LAB-5").await
}

/// Writes the device and its event in one transaction.
async fn goes_online<'a>(
    service: &Service,
    app: &'a mut Client,
    name: &str,
) -> Result<Transaction<'a>, Error> {
    let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({ "deviceName": name }))?;

    let transaction = app.transaction().await?;
    transaction.execute("INSERT INTO device (name) VALUES ($1)", &[&name]).await?;
    let id = service.store.publish_in(&transaction, &service.acme, &event).await?;
    println!("{name}: {id}, if it is committed");
    Ok(transaction)
}
