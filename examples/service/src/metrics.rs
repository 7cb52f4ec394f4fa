//! Metrics for Prometheus, at an address of their own: they are for the operator, and not for who may see the page.

use std::future::IntoFuture;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use hookwire::Webhooks;
use hookwire::dispatcher::Dispatcher;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::time::{interval, timeout};

use crate::Error;

/// How often what waits in the store is read, and how the dispatcher does.
const PERIOD: Duration = Duration::from_secs(60);

/// The buckets that hookwire's guide names for durations, in seconds. Without any, quantiles cannot be told of several
/// processes together.
const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0];

const SIZES: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0];

/// The recorder, and where it is read.
pub struct Exporter {
    listener: TcpListener,
    recorder: PrometheusHandle,
}

impl Exporter {
    /// Installs the recorder, which hookwire's observer looks for: call this before the service is built.
    pub async fn install(address: &str) -> Result<Self, Error> {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), SIZES)?;
        let listener = TcpListener::bind(address).await.map_err(|error| format!("{address}: {error}"))?;
        println!("Metrics:   http://{}/metrics", listener.local_addr()?);
        Ok(Self { listener, recorder: builder.install_recorder()? })
    }

    /// Answers `GET /metrics` until it is dropped.
    pub async fn run(self, hooks: &Webhooks, dispatcher: &Dispatcher) -> Result<(), Error> {
        let router = Router::new().route("/metrics", get(show)).with_state(self.recorder.clone());
        tokio::select! {
            ended = axum::serve(self.listener, router).into_future() => Ok(ended?),
            () = watch(hooks, dispatcher, &self.recorder) => Ok(()),
        }
    }
}

async fn show(State(recorder): State<PrometheusHandle>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], recorder.render())
}

/// Reads, once a minute until it is dropped, what no observer is told.
async fn watch(hooks: &Webhooks, dispatcher: &Dispatcher, recorder: &PrometheusHandle) {
    let mut minute = interval(PERIOD);
    loop {
        minute.tick().await;
        hookwire::metrics::record_health(&dispatcher.health());
        if let Ok(Ok(stats)) = timeout(PERIOD, hooks.stats()).await {
            hookwire::metrics::record_stats(&stats);
        }
        recorder.run_upkeep();
    }
}
