//! Webhooks as a whole service: `cargo run -- --demo` shows it, and the README says how it is run for real.

mod access;
mod demo;
mod metrics;
mod options;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use axum::{Json, serve};
use hookwire::dispatcher::Dispatcher;
use hookwire::store::SqliteStore;
use hookwire::transport::HttpTransport;
use hookwire::{Webhooks, assist};
use hookwire_axum::page::{self, Page};
use hookwire_postgres::PostgresStore;
use serde_json::{Value, json};
use std::future::{IntoFuture, pending};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use access::Access;
use metrics::Exporter;
use options::{Keeping, Options};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What is under way when the service stops has this long to end; the rest waits in the store.
const GRACE: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().init();
    let options = Options::parse(std::env::args().skip(1))?;
    let exporter = match &options.metrics {
        Some(address) => Some(Exporter::install(address).await?),
        None => None,
    };
    let hooks = hooks(&options).await?;
    let dispatcher = hooks.start()?;
    let listener = TcpListener::bind(&options.listen).await?;
    if options.is_demo {
        demo::start(&hooks, &format!("http://{}", listener.local_addr()?)).await?;
    }
    let access = Access::new(&hooks, &options);
    let serving = serve(listener, router(hooks.clone(), access)).with_graceful_shutdown(stopped());
    tokio::select! {
        served = serving.into_future() => served?,
        ended = export(exporter, &hooks, &dispatcher) => ended?,
    }
    let drained = dispatcher.shutdown_within(GRACE).await;
    println!("{drained:?}");
    Ok(())
}

async fn export(exporter: Option<Exporter>, hooks: &Webhooks, dispatcher: &Dispatcher) -> Result<(), Error> {
    match exporter {
        Some(exporter) => exporter.run(hooks, dispatcher).await,
        None => pending().await,
    }
}

/// The page, the API in both views, and what an alarm reads.
fn router(hooks: Webhooks, access: Access) -> Router {
    Router::new()
        .route("/", get(async || Redirect::to("/webhooks")))
        .route("/health", get(health).with_state(hooks.clone()))
        .nest("/webhooks", page::router(hooks.clone(), access.clone(), Page::new().address("127.0.0.1")))
        .nest("/api", hookwire_axum::plain::router(hooks.clone(), access.clone()))
        .nest("/assist", hookwire_axum::assist::router(hooks, access))
}

async fn hooks(options: &Options) -> Result<Webhooks, Error> {
    let builder = Webhooks::builder(assist::catalog()).limits(assist::limits()).show_response_bodies();
    // Counts for the recorder, if one was installed.
    let builder = builder.observe(hookwire::metrics::observer());
    let builder = match &options.keeping {
        Keeping::Sqlite(path) => builder.store(SqliteStore::open(path).await?),
        Keeping::Postgres(url) => {
            PostgresStore::migrate(url).await?;
            builder.store(PostgresStore::connect(url).await?)
        }
    };
    if options.is_demo {
        // Its receivers are on this machine, where no webhook of the real world may lead.
        let transport = HttpTransport::builder().allow_loopback().build()?;
        return Ok(builder.transport(transport).allow_loopback_http().build()?);
    }
    Ok(builder.build()?)
}

/// `oldest_due` grows while nothing is delivered.
async fn health(State(hooks): State<Webhooks>) -> (StatusCode, Json<Value>) {
    match hooks.stats().await {
        Ok(stats) => (StatusCode::OK, Json(json!(stats))),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"error": error.to_string()}))),
    }
}

/// Waits for Ctrl-C, or for the signal by which a supervisor stops a service.
async fn stopped() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
