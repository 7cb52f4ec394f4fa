//! Customers' webhooks: list, create, show, replace, delete, pause, rotate, test.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use hookwire::plain::{Draft, Webhook};
use hookwire::service::Rotation;
use hookwire::{HookId, Tenant};
use serde_json::{Value, json};

use crate::App;
use crate::auth::Customer;
use crate::errors::Refused;

type Answer<T> = Result<Json<T>, Refused>;

pub fn routes() -> Router<App> {
    Router::new()
        .route("/webhooks", get(list).post(create))
        .route("/webhooks/{id}", get(show).put(replace).delete(delete))
        .route("/webhooks/{id}/pause", post(pause).delete(resume))
        .route("/webhooks/{id}/secret", post(rotate))
        .route("/webhooks/{id}/check", post(check))
        .route("/openapi", get(openapi))
}

async fn list(State(app): State<App>, Customer(tenant): Customer) -> Answer<Vec<Webhook>> {
    let catalog = app.hooks.catalog();
    let webhooks = tenant.list().await.map_err(Refused::of(catalog))?;
    Ok(Json(webhooks.iter().map(|webhook| catalog.show(webhook)).collect()))
}

/// Answers with the secret, which is shown this once.
async fn create(
    State(app): State<App>,
    Customer(tenant): Customer,
    Json(draft): Json<Draft>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let catalog = app.hooks.catalog();
    let created = tenant.create(&catalog.draft(&draft)).await.map_err(Refused::of(catalog))?;
    let shown = json!({
        "webhook": catalog.show(created.webhook()),
        "secret": created.secret().expose().as_str(),
        "warnings": created.warnings(),
    });
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn show(State(app): State<App>, Customer(tenant): Customer, Path(id): Path<HookId>) -> Answer<Value> {
    shown(&app, &tenant, id).await
}

async fn replace(
    State(app): State<App>,
    Customer(tenant): Customer,
    Path(id): Path<HookId>,
    Json(draft): Json<Draft>,
) -> Answer<Value> {
    let catalog = app.hooks.catalog();
    tenant.replace(id, &catalog.draft(&draft)).await.map_err(Refused::of(catalog))?;
    shown(&app, &tenant, id).await
}

async fn delete(
    State(app): State<App>,
    Customer(tenant): Customer,
    Path(id): Path<HookId>,
) -> Result<StatusCode, Refused> {
    tenant.delete(id).await.map_err(Refused::of(app.hooks.catalog()))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets deliveries wait, as during an update of the receiver.
async fn pause(State(app): State<App>, Customer(tenant): Customer, Path(id): Path<HookId>) -> Answer<Value> {
    tenant.pause(id).await.map_err(Refused::of(app.hooks.catalog()))?;
    shown(&app, &tenant, id).await
}

async fn resume(State(app): State<App>, Customer(tenant): Customer, Path(id): Path<HookId>) -> Answer<Value> {
    tenant.resume(id).await.map_err(Refused::of(app.hooks.catalog()))?;
    shown(&app, &tenant, id).await
}

/// Replaces the secret. The old one signs along for a day.
async fn rotate(State(app): State<App>, Customer(tenant): Customer, Path(id): Path<HookId>) -> Answer<Value> {
    let key =
        tenant.rotate_secret(id, Rotation::default()).await.map_err(Refused::of(app.hooks.catalog()))?;
    Ok(Json(json!({"secret": key.expose().as_str()})))
}

/// Sends marked tests, and tells whether the receiver verifies what it gets.
async fn check(State(app): State<App>, Customer(tenant): Customer, Path(id): Path<HookId>) -> Answer<Value> {
    let checked = tenant.check_receiver(id).await.map_err(Refused::of(app.hooks.catalog()))?;
    Ok(Json(json!({"told": checked.to_string()})))
}

/// Describes the requests that receivers get.
async fn openapi(State(app): State<App>) -> Json<Value> {
    Json(app.hooks.catalog().openapi("Invoices", "1"))
}

/// A webhook with its state.
async fn shown(app: &App, tenant: &Tenant, id: HookId) -> Answer<Value> {
    let catalog = app.hooks.catalog();
    let details = tenant.details(id).await.map_err(Refused::of(catalog))?;
    let webhook = catalog.show(&details.webhook).with_paused(details.paused.is_some());
    let (disabled, failing_since) = (details.disabled, details.failing_since);
    Ok(Json(json!({"webhook": webhook, "disabled": disabled, "failing_since": failing_since})))
}
