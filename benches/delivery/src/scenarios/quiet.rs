//! A tenant that is quiet: what it gets while others do what they do.

use std::time::Duration;

use crate::Error;
use crate::arrivals::millis;
use crate::load::paced;
use crate::scenarios::Bench;
use crate::service::{Group, publish};

/// The events a second of a tenant that is quiet.
const RATE: f64 = 50.0;
/// The time after which what has not arrived counts as not made, and as having taken so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What a quiet tenant got.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quiet {
    /// What arrived in time, in percent.
    pub(super) made: f64,
    /// The time that 99 in 100 took at most.
    pub(super) p99_ms: f64,
}

/// Has the tenant publish until `end` completes.
pub(super) async fn turn<T>(
    bench: &Bench,
    quiet: &Group,
    end: impl Future<Output = T>,
) -> Result<(T, Quiet), Error> {
    let (events, ended) = paced(RATE, end, |number| {
        let tenant = quiet.tenant.clone();
        async move { publish(&tenant, number).await }
    })
    .await?;
    bench.receiver.wait(&quiet.name, events, PATIENCE).await?;
    let taken = bench.receiver.take(&quiet.name).await?;
    let made = 100.0 * taken.count.min(events) as f64 / events as f64;
    let at_least = if taken.count < events { millis(PATIENCE) } else { 0.0 };
    Ok((ended, Quiet { made, p99_ms: taken.p99_ms.max(at_least) }))
}

impl Quiet {
    /// Adds what it got in this situation.
    pub(super) fn note(self, bench: &mut Bench, situation: &str) {
        bench.figures.add(format!("{situation}: made"), "%", self.made);
        bench.figures.add(format!("{situation}: p99"), "ms", self.p99_ms);
    }
}
