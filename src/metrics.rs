//! Metrics of a service, through the facade of the crate `metrics`: for Prometheus, StatsD, OpenTelemetry and others.
//!
//! The host installs a recorder, such as that of the crate `metrics-exporter-prometheus`, and then:
//!
//! - sets [`observer`] on the builder, for counts and durations of what this process does;
//! - calls [`record_stats`] about once a minute, for what waits in the store;
//! - calls `record_health` about as often, for the dispatcher of this process.
//!
//! ```
//! # #[cfg(all(feature = "dispatcher", feature = "testing"))]
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # use hookwire::testing::RecordingTransport;
//! use std::time::Duration;
//!
//! use hookwire::store::MemoryStore;
//! use hookwire::{Webhooks, assist, metrics};
//! use tokio::time::{interval, timeout};
//!
//! // The recorder is installed before this: the observer keeps what it finds.
//! let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::new()).observe(metrics::observer());
//! # let builder = builder.transport(RecordingTransport::new());
//! let hooks = builder.build()?;
//! let dispatcher = hooks.start()?;
//!
//! let period = Duration::from_secs(60);
//! let watching = async {
//!     let mut minute = interval(period);
//!     loop {
//!         minute.tick().await;
//!         metrics::record_health(&dispatcher.health());
//!         if let Ok(Ok(stats)) = timeout(period, hooks.stats()).await {
//!             metrics::record_stats(&stats);
//!         }
//!     }
//! };
//! # let shutdown = async {};
//! tokio::select! {
//!     () = watching => {}
//!     () = shutdown => {} // a signal to the process, for example
//! }
//! dispatcher.shutdown_within(Duration::from_secs(20)).await;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! hookwire does not call the last two by itself: a dispatcher that has ended or hangs would leave its last values standing.
//!
//! [Operations](crate::guide::operations#metrics) lists every metric, with alerts, a runbook and a dashboard. No label names
//! a tenant, a webhook or a URL: there are at most 50 series, and the same ones in every process.

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

#[cfg(feature = "dispatcher")]
use crate::dispatcher::DispatcherHealth;
use crate::model::{Attempt, DisableReason, Disabled, End, FailureKind, Outcome};
#[cfg(feature = "dispatcher")]
use crate::service::ClockOffset;
use crate::service::Notice;
use crate::store::Stats;

const ATTEMPTS: &str = "hookwire_attempts_total";
const ATTEMPT_DURATION: &str = "hookwire_attempt_duration_seconds";
const CLOCK_OFFSET: &str = "hookwire_clock_offset_seconds";
const DISABLED: &str = "hookwire_disabled_total";
const DISPATCHER_RUNNING: &str = "hookwire_dispatcher_running";
const ENDED: &str = "hookwire_ended_total";
const IN_FLIGHT: &str = "hookwire_in_flight";
const NARROWED: &str = "hookwire_narrowed";
const OLDEST_DUE: &str = "hookwire_oldest_due_seconds";
const PENDING: &str = "hookwire_pending_deliveries";
const PUBLISHED: &str = "hookwire_published_total";
const PUBLISH_DURATION: &str = "hookwire_publish_duration_seconds";
const SETTLE_BATCH: &str = "hookwire_settle_batch_size";
const SETTLE_DURATION: &str = "hookwire_settle_duration_seconds";
const STATS: &str = "hookwire_stats_total";
const STORE_FAILURES: &str = "hookwire_store_failures";
const STORE_WAITING: &str = "hookwire_store_waiting_seconds";
const UNROUTED: &str = "hookwire_unrouted_events";

const OUTCOMES: [&str; 20] = [
    "answered_3xx",
    "answered_4xx",
    "answered_5xx",
    "answered_other",
    "connect",
    "dns",
    "local",
    "prepare",
    "protocol",
    "refused",
    "success",
    "timeout",
    "tls",
    "tls_client_certificate",
    "tls_expired",
    "tls_incomplete_chain",
    "tls_not_yet_valid",
    "tls_too_old",
    "tls_untrusted",
    "tls_wrong_host",
];

const ENDS: [&str; 5] = ["cancelled", "delivered", "erased", "exhausted", "expired"];

const REASONS: [&str; 3] = ["call", "failing", "gone"];

/// Returns an observer that records what it is told, for [`WebhooksBuilder::observe`].
///
/// It describes every metric, and takes the recorder that is installed when this is called, for good: install yours before.
/// Without one, nothing is recorded. Counters begin at zero, so that the first failure of a kind is an increase.
///
/// Set it on each service once: with two, everything counts twice.
///
/// ```
/// use hookwire::{Webhooks, assist, metrics};
///
/// let builder = Webhooks::builder(assist::catalog()).observe(metrics::observer());
/// ```
///
/// [`WebhooksBuilder::observe`]: crate::service::WebhooksBuilder::observe
pub fn observer() -> impl Fn(&Notice<'_>) + Send + Sync + 'static {
    describe();
    let meters = Meters::register();
    move |notice: &Notice<'_>| meters.record(notice)
}

/// Records what waits in the store, as [`Webhooks::stats`](crate::Webhooks::stats) returns it.
///
/// All processes of a fleet see the same store. Call this in several, so that the values outlive any of them, and take
/// the greatest of them, not the sum. Call it where no dispatcher is needed to come to it: its values tell when none runs.
///
/// Each call adds one to `hookwire_stats_total`, which stands still if the store does not answer any more.
///
/// ```
/// # async fn run(hooks: hookwire::Webhooks) -> Result<(), hookwire::Error> {
/// hookwire::metrics::record_stats(&hooks.stats().await?);
/// # Ok(())
/// # }
/// ```
pub fn record_stats(stats: &Stats) {
    gauge!(PENDING, "state" => "due").set(stats.due as f64);
    gauge!(PENDING, "state" => "held").set(stats.held as f64);
    gauge!(PENDING, "state" => "scheduled").set(stats.scheduled as f64);
    gauge!(PENDING, "state" => "stopped").set(stats.stopped as f64);
    gauge!(UNROUTED).set(stats.unrouted as f64);
    gauge!(OLDEST_DUE).set(stats.oldest_due.unwrap_or_default().as_secs_f64());
    counter!(STATS).increment(1);
}

/// Records how the dispatcher of this process does, as [`Dispatcher::health`](crate::dispatcher::Dispatcher::health)
/// returns it. Each process has its own values.
///
/// ```
/// # fn run(dispatcher: hookwire::dispatcher::Dispatcher) {
/// hookwire::metrics::record_health(&dispatcher.health());
/// # }
/// ```
#[cfg(feature = "dispatcher")]
pub fn record_health(health: &DispatcherHealth) {
    let clock_offset = match health.clock_off {
        Some(ClockOffset::Ahead(by)) => by.as_secs_f64(),
        Some(ClockOffset::Behind(by)) => -by.as_secs_f64(),
        None => 0.0,
    };
    gauge!(CLOCK_OFFSET).set(clock_offset);
    gauge!(DISPATCHER_RUNNING).set(f64::from(u8::from(health.running)));
    gauge!(IN_FLIGHT).set(health.in_flight as f64);
    gauge!(NARROWED).set(f64::from(u8::from(health.narrowed_to.is_some())));
    gauge!(STORE_FAILURES).set(f64::from(health.store_failures));
    gauge!(STORE_WAITING).set(health.store_waiting.unwrap_or_default().as_secs_f64());
}

fn describe() {
    describe_counter!(ATTEMPTS, Unit::Count, "attempts, by outcome");
    describe_counter!(DISABLED, Unit::Count, "webhooks that were disabled, by reason");
    describe_counter!(ENDED, Unit::Count, "deliveries that have ended, by the way in which");
    describe_counter!(PUBLISHED, Unit::Count, "events that were published");
    describe_counter!(STATS, Unit::Count, "readings of what waits in the store");
    describe_gauge!(
        CLOCK_OFFSET,
        Unit::Seconds,
        "how far this machine's clock is ahead, if it is known to be off"
    );
    describe_gauge!(DISPATCHER_RUNNING, Unit::Count, "1 while the dispatcher of this process runs");
    describe_gauge!(IN_FLIGHT, Unit::Count, "deliveries that the dispatcher of this process holds");
    describe_gauge!(NARROWED, Unit::Count, "1 while this machine cannot open connections");
    describe_gauge!(
        OLDEST_DUE,
        Unit::Seconds,
        "how long the oldest due delivery or unrouted event has waited"
    );
    describe_gauge!(PENDING, Unit::Count, "deliveries in the store that have not ended, by state");
    describe_gauge!(STORE_FAILURES, Unit::Count, "calls of the store that have failed in a row");
    describe_gauge!(STORE_WAITING, Unit::Seconds, "how long the oldest call of the store has been out");
    describe_gauge!(UNROUTED, Unit::Count, "events in the store that wait for routing");
    describe_histogram!(
        ATTEMPT_DURATION,
        Unit::Seconds,
        "the time from the start of an attempt to its outcome"
    );
    describe_histogram!(
        PUBLISH_DURATION,
        Unit::Seconds,
        "the time of a call of the store that wrote published events"
    );
    describe_histogram!(SETTLE_BATCH, Unit::Count, "outcomes that were recorded by one call of the store");
    describe_histogram!(SETTLE_DURATION, Unit::Seconds, "the time of a call that recorded outcomes");
}

/// What is recorded of notices, registered once.
struct Meters {
    attempts: Counters,
    disabled: Counters,
    ended: Counters,
    failed: Histogram,
    publish_duration: Histogram,
    published: Counter,
    settle_batch: Histogram,
    settle_duration: Histogram,
    succeeded: Histogram,
}

impl Meters {
    fn register() -> Self {
        Self {
            attempts: Counters::register(ATTEMPTS, "outcome", &OUTCOMES),
            disabled: Counters::register(DISABLED, "reason", &REASONS),
            ended: Counters::register(ENDED, "end", &ENDS),
            failed: histogram!(ATTEMPT_DURATION, "result" => "failure"),
            publish_duration: histogram!(PUBLISH_DURATION),
            published: counter!(PUBLISHED),
            settle_batch: histogram!(SETTLE_BATCH),
            settle_duration: histogram!(SETTLE_DURATION),
            succeeded: histogram!(ATTEMPT_DURATION, "result" => "success"),
        }
    }

    fn record(&self, notice: &Notice<'_>) {
        match *notice {
            Notice::Attempted { attempt, .. } => self.record_attempt(attempt),
            Notice::Disabled { disabled, .. } => self.disabled.add(reason_label(disabled), 1),
            Notice::Ended { end, .. } => self.ended.add(end_label(end), 1),
            Notice::Published { .. } => self.published.increment(1),
            Notice::Settled { deliveries, took } => {
                self.settle_batch.record(deliveries as f64);
                self.settle_duration.record(took);
            }
            Notice::Stored { took, .. } => self.publish_duration.record(took),
            Notice::Swept { expired, cancelled } => {
                self.ended.add(end_label(End::Expired), expired as u64);
                self.ended.add(end_label(End::Cancelled), cancelled as u64);
            }
            Notice::Enabled { .. }
            | Notice::Failing { .. }
            | Notice::Paused { .. }
            | Notice::Recovered { .. }
            | Notice::Refused { .. }
            | Notice::Resumed { .. }
            | Notice::SecretRevealed { .. }
            | Notice::SecretRotated { .. } => {}
        }
    }

    fn record_attempt(&self, attempt: &Attempt) {
        self.attempts.add(outcome_label(&attempt.outcome), 1);
        let durations = if attempt.outcome.is_success() { &self.succeeded } else { &self.failed };
        durations.record(attempt.took);
    }
}

/// The counters of one metric, by the value of its label.
struct Counters(Vec<(&'static str, Counter)>);

impl Counters {
    fn register(name: &'static str, label: &'static str, values: &[&'static str]) -> Self {
        Self(values.iter().map(|value| (*value, counter!(name, label => *value))).collect())
    }

    /// Adds to the counter of a value that was registered.
    fn add(&self, value: &str, count: u64) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == value) {
            counter.increment(count);
        }
    }
}

fn outcome_label(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Answered { status, .. } => match status.as_u16() / 100 {
            2 => "success",
            3 => "answered_3xx",
            4 => "answered_4xx",
            5 => "answered_5xx",
            _ => "answered_other",
        },
        Outcome::Failed { kind, .. } => failure_label(*kind),
    }
}

/// Returns the name of the kind in JSON.
const fn failure_label(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Connect => "connect",
        FailureKind::Dns => "dns",
        FailureKind::Local => "local",
        FailureKind::Prepare => "prepare",
        FailureKind::Protocol => "protocol",
        FailureKind::Refused => "refused",
        FailureKind::Timeout => "timeout",
        FailureKind::Tls => "tls",
        FailureKind::TlsClientCertificate => "tls_client_certificate",
        FailureKind::TlsExpired => "tls_expired",
        FailureKind::TlsIncompleteChain => "tls_incomplete_chain",
        FailureKind::TlsNotYetValid => "tls_not_yet_valid",
        FailureKind::TlsTooOld => "tls_too_old",
        FailureKind::TlsUntrusted => "tls_untrusted",
        FailureKind::TlsWrongHost => "tls_wrong_host",
    }
}

/// Returns the name of the end in JSON.
const fn end_label(end: End) -> &'static str {
    match end {
        End::Cancelled => "cancelled",
        End::Delivered => "delivered",
        End::Erased => "erased",
        End::Exhausted => "exhausted",
        End::Expired => "expired",
    }
}

const fn reason_label(disabled: Disabled) -> &'static str {
    match disabled.reason {
        None => "call",
        Some(DisableReason::Failing { .. }) => "failing",
        Some(DisableReason::Gone) => "gone",
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;

    /// All names of a type in JSON, as serde lists them to whoever uses another.
    fn names<T: DeserializeOwned>() -> Vec<String> {
        let refused = serde_json::from_str::<T>("\"?\"").err().expect("no name").to_string();
        let (_, expected) = refused.split_once("expected one of ").expect("a list");
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    fn of_json<T: DeserializeOwned>(name: &str) -> T {
        serde_json::from_value(name.into()).expect("a name")
    }

    #[test]
    fn every_kind_of_failure_is_counted_under_its_name() {
        let kinds = names::<FailureKind>();
        assert!(kinds.len() > 14, "{kinds:?}");
        for name in kinds {
            assert_eq!(failure_label(of_json(&name)), name);
            assert!(OUTCOMES.contains(&name.as_str()), "{name}");
        }
    }

    #[test]
    fn every_end_is_counted_under_its_name() {
        assert_eq!(names::<End>().len(), ENDS.len());
        for name in names::<End>() {
            assert_eq!(end_label(of_json(&name)), name);
            assert!(ENDS.contains(&name.as_str()), "{name}");
        }
    }

    #[test]
    fn every_answer_is_counted_by_its_class() {
        for status in 100..1000 {
            let outcome =
                Outcome::answered(http::StatusCode::from_u16(status).expect("three digits"), None, "");
            let label = outcome_label(&outcome);
            assert!(OUTCOMES.contains(&label), "{label}");
            assert_eq!(label == "success", outcome.is_success(), "{status}");
        }
    }
}
