//! An event that commits with the host's own data, by sqlx.

use hookwire::{Event, assist};
use sqlx::{Connection, Executor, PgConnection, Postgres, Transaction};
use transactions::{Error, Service};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = Service::start().await?;
    let mut app = PgConnection::connect(&service.url).await?;
    app.execute("CREATE TABLE device (name text NOT NULL)").await?;

    // Rolled back: it never happened.
    goes_online(&service, &mut app, "LAB-4").await?.rollback().await?;
    // Committed: it is delivered.
    goes_online(&service, &mut app, "LAB-5").await?.commit().await?;
    service.hooks.wake();
    service.ends_with("LAB-5").await
}

/// Writes the device, and what shall be told of it, in one transaction.
async fn goes_online<'a>(
    service: &Service,
    app: &'a mut PgConnection,
    name: &str,
) -> Result<Transaction<'a, Postgres>, Error> {
    let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({ "deviceName": name }))?;
    let parameter = service.acme.to_sql_document(&event);

    let mut transaction = app.begin().await?;
    sqlx::query("INSERT INTO device (name) VALUES ($1)").bind(name).execute(&mut *transaction).await?;
    sqlx::query(service.store.publish_statement()).bind(parameter).execute(&mut *transaction).await?;
    Ok(transaction)
}
