//! How long the page takes to answer, in process and over `SqliteStore`: the list of 20 webhooks, one webhook, and the
//! deliveries of a webhook that has 100,000.
//!
//! ```sh
//! scripts/bench page # HOOKWIRE_DELIVERIES=10000 for a quick look
//! ```
//!
//! The aim is 20 ms each. Nothing fails if it is missed.

#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::request::Parts;
use axum::response::Response;
use hookwire::model::Scopes;
use hookwire::store::{Durability, SqliteStore};
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, Tenant, TenantId, WebhookDraft, Webhooks, assist};
use hookwire_axum::Caller;
use hookwire_axum::page::{self, Page};
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;

type Error = Box<dyn std::error::Error + Send + Sync>;

const PREFIX: &str = "/webhooks";
const WEBHOOKS: usize = 20;
/// The events that are published at once.
const BATCH: usize = 1_000;
/// The requests of a page that are measured, after a tenth as many that are not.
const REQUESTS: usize = 500;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let deliveries =
        std::env::var("HOOKWIRE_DELIVERIES").ok().and_then(|it| it.parse().ok()).unwrap_or(100_000);
    let directory = Directory::new()?;
    let store =
        SqliteStore::options().durability(Durability::ProcessCrash).open(directory.0.join("page.db")).await?;
    // One in ten fails, and is tried again later.
    let transport =
        RecordingTransport::answering(|_, nth| Answer::status(if nth % 10 == 0 { 500 } else { 200 }));
    let builder = Webhooks::builder(assist::catalog()).limits(assist::limits()).show_response_bodies();
    let hooks = builder.store(store).transport(transport).build()?;
    fill(&hooks, deliveries).await?;
    let router = Router::new().nest(PREFIX, page::router(hooks, access, Page::new()));
    println!(
        "{:<40} {:>10} {:>10}",
        format!("{WEBHOOKS} webhooks, {deliveries} deliveries"),
        "median",
        "p99"
    );
    for (name, path) in [
        ("the list", ""),
        ("a webhook", "/1"),
        ("its deliveries", "/1/deliveries"),
        ("those that were delivered", "/1/deliveries?state=delivered"),
        ("those that were given up", "/1/deliveries?state=exhausted"),
    ] {
        let (median, p99) = measure(&router, path).await?;
        println!("{name:<40} {:>7.2} ms {:>7.2} ms", millis(median), millis(p99));
    }
    Ok(())
}

async fn access(_: Parts) -> Result<Caller, Response> {
    Ok(Caller::new(acme(), Scopes::all()).time_zone("Europe/Berlin"))
}

fn acme() -> TenantId {
    TenantId::new("acme").expect("a valid id")
}

/// Registers webhooks, of which the first gets all the events, and has these delivered.
async fn fill(hooks: &Webhooks, deliveries: usize) -> Result<(), Error> {
    let tenant = hooks.tenant(acme());
    register(&tenant).await?;
    for _ in 0..deliveries.div_ceil(BATCH) {
        let event = |n| Event::new(assist::DEVICE_ONLINE, &json!({"deviceName": format!("LAB-{n}")}));
        let events = (0..BATCH).map(event).collect::<Result<Vec<_>, _>>()?;
        for sent in tenant.publish_all(events).await {
            sent?;
        }
        hooks.deliver_due().await?;
    }
    Ok(())
}

async fn register(tenant: &Tenant) -> Result<(), Error> {
    let others: Vec<_> =
        assist::catalog().iter().map(|it| it.id()).filter(|it| *it != assist::DEVICE_ONLINE).collect();
    for n in 0..WEBHOOKS {
        let event = if n == 0 { assist::DEVICE_ONLINE } else { others[n % others.len()] };
        let draft = WebhookDraft::new(format!("Webhook {n}"), "https://hooks.example.com/in");
        tenant.create(&draft.subscribe(event)).await?;
    }
    Ok(())
}

/// Returns the median and the 99th percentile of the times in which a page is answered.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn measure(router: &Router, path: &str) -> Result<(Duration, Duration), Error> {
    let mut times = Vec::with_capacity(REQUESTS);
    for n in 0..REQUESTS + REQUESTS / 10 {
        let request = Request::get(format!("{PREFIX}{path}")).body(Body::empty())?;
        let started = Instant::now();
        let answer = router.clone().oneshot(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        if n >= REQUESTS / 10 {
            times.push(started.elapsed());
        }
        if !status.is_success() {
            return Err(format!("{path}: {status}").into());
        }
    }
    times.sort_unstable();
    Ok((times[REQUESTS / 2], times[REQUESTS * 99 / 100]))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A directory that goes with the value.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("hookwire-bench-{}-page", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
