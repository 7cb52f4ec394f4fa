//! Customers' webhooks: list, create, show, replace, delete, pause, rotate, test.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use hookwire::plain::{Draft, Webhook};
use hookwire::service::Rotation;
use hookwire::{HookId, Tenant};
use serde_json::{Value, json};

use crate::App;
use crate::auth::Customer;
use crate::errors::{Answer, Refused};
use crate::events::CATALOG;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/webhooks", get(list).post(create))
        .route("/webhooks/{id}", get(show).put(replace).delete(delete))
        .route("/webhooks/{id}/pause", post(pause).delete(resume))
        .route("/webhooks/{id}/secret", post(rotate))
        .route("/webhooks/{id}/check", post(check))
        .route("/openapi", get(openapi))
}

async fn list(Customer(tenant): Customer) -> Answer<Vec<Webhook>> {
    let webhooks = tenant.list().await?;
    Ok(Json(webhooks.iter().map(|webhook| CATALOG.show(webhook)).collect()))
}

/// Answers with the secret, which is shown this once.
async fn create(
    Customer(tenant): Customer,
    Json(draft): Json<Draft>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let created = tenant.create(&CATALOG.draft(&draft)).await?;
    let shown = json!({
        "webhook": CATALOG.show(created.webhook()),
        "secret": created.secret().expose().as_str(),
        "warnings": created.warnings(),
    });
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn show(Customer(tenant): Customer, Path(id): Path<HookId>) -> Answer<Value> {
    shown(&tenant, id).await
}

async fn replace(
    Customer(tenant): Customer,
    Path(id): Path<HookId>,
    Json(draft): Json<Draft>,
) -> Answer<Value> {
    tenant.replace(id, &CATALOG.draft(&draft)).await?;
    shown(&tenant, id).await
}

async fn delete(Customer(tenant): Customer, Path(id): Path<HookId>) -> Result<StatusCode, Refused> {
    tenant.delete(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets deliveries wait, as during an update of the receiver.
async fn pause(Customer(tenant): Customer, Path(id): Path<HookId>) -> Answer<Value> {
    tenant.pause(id).await?;
    shown(&tenant, id).await
}

async fn resume(Customer(tenant): Customer, Path(id): Path<HookId>) -> Answer<Value> {
    tenant.resume(id).await?;
    shown(&tenant, id).await
}

/// Replaces the secret. The old one signs along for a day.
async fn rotate(Customer(tenant): Customer, Path(id): Path<HookId>) -> Answer<Value> {
    let key = tenant.rotate_secret(id, Rotation::default()).await?;
    Ok(Json(json!({"secret": key.expose().as_str()})))
}

/// Sends marked tests, and tells whether the receiver verifies what it gets.
async fn check(Customer(tenant): Customer, Path(id): Path<HookId>) -> Answer<Value> {
    let checked = tenant.check_receiver(id).await?;
    Ok(Json(json!({"told": checked.to_string()})))
}

/// Describes the requests that receivers get.
async fn openapi() -> Json<Value> {
    Json(CATALOG.openapi("Invoices", "1"))
}

/// A webhook with its state.
async fn shown(tenant: &Tenant, id: HookId) -> Answer<Value> {
    let details = tenant.details(id).await?;
    let webhook = CATALOG.show(&details.webhook).with_paused(details.paused.is_some());
    let (disabled, failing_since) = (details.disabled, details.failing_since);
    Ok(Json(json!({"webhook": webhook, "disabled": disabled, "failing_since": failing_since})))
}
