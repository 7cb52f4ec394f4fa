//! An event that commits with the host's own data, by diesel.

use diesel::result::Error as Failed;
use diesel::sql_query;
use diesel::sql_types::Text;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use hookwire::{Event, assist};
use transactions::{Error, Service};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = Service::start().await?;
    let mut app = AsyncPgConnection::establish(&service.url).await?;
    sql_query("CREATE TABLE device (name text NOT NULL)").execute(&mut app).await?;

    // Rolled back: it never happened.
    let changed_its_mind = goes_online(&service, &mut app, "LAB-4", Err(Failed::RollbackTransaction)).await;
    assert!(changed_its_mind.is_err());
    // Committed: it is delivered.
    goes_online(&service, &mut app, "LAB-5", Ok(())).await?;
    service.hooks.wake();
    service.ends_with("LAB-5").await
}

/// Writes the device, and what shall be told of it, in one transaction that ends as it is told.
async fn goes_online(
    service: &Service,
    app: &mut AsyncPgConnection,
    name: &str,
    end: Result<(), Failed>,
) -> Result<(), Error> {
    let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({ "deviceName": name }))?;
    let parameter = service.acme.to_sql_document(&event);

    let write = async |app: &mut AsyncPgConnection| {
        sql_query("INSERT INTO device (name) VALUES ($1)").bind::<Text, _>(name).execute(app).await?;
        sql_query(service.store.publish_statement()).bind::<Text, _>(&parameter).execute(app).await?;
        end
    };
    Ok(app.transaction(write).await?)
}
