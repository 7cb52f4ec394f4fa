//! [`LookUps`]: the look-ups in progress, which tell a slow look-up from a slow receiver.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use crate::model::FailureKind;
use crate::transport::error::TransportError;

/// The hosts whose names are being resolved for deliveries, with the number of look-ups of each.
#[derive(Clone, Debug, Default)]
pub(super) struct LookUps(Arc<Mutex<HashMap<String, usize>>>);

impl LookUps {
    /// Returns whether the name of this host is being resolved.
    pub(super) fn include(&self, host: &str) -> bool {
        self.hosts().contains_key(host)
    }

    /// Runs a look-up, which is in progress until it ends or is dropped.
    pub(super) async fn run<F: Future>(&self, host: &str, look_up: F) -> F::Output {
        *self.hosts().entry(host.to_owned()).or_default() += 1;
        let _in_progress = InProgress { look_ups: self, host };
        look_up.await
    }

    /// Locks the map. Every change leaves it consistent, so a poisoned lock is harmless.
    fn hosts(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct InProgress<'a> {
    look_ups: &'a LookUps,
    host: &'a str,
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        let mut hosts = self.look_ups.hosts();
        if let Some(count) = hosts.get_mut(self.host) {
            *count -= 1;
            if *count == 0 {
                hosts.remove(self.host);
            }
        }
    }
}

/// Runs an exchange until the deadline.
///
/// If it `waits_for_name` then, the failure is `Dns` and no timeout: nothing was sent, so the receiver is not slow.
pub(super) async fn within<T>(
    deadline: Duration,
    exchange: impl Future<Output = Result<T, TransportError>>,
    waits_for_name: impl FnOnce() -> bool,
) -> Result<T, TransportError> {
    let mut exchange = Box::pin(exchange);
    match timeout(deadline, &mut exchange).await {
        Ok(result) => result,
        Err(_) if waits_for_name() => Err(not_resolved_in_time()),
        Err(elapsed) => Err(TransportError::new(FailureKind::Timeout, elapsed)),
    }
}

pub(super) fn not_resolved_in_time() -> TransportError {
    TransportError::new(FailureKind::Dns, "the name was not resolved in time")
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_passes_during_the_look_up_is_not_the_receivers() {
        let look_ups = LookUps::default();
        let second = Duration::from_secs(1);
        let hanging = look_ups.run("a.example", pending::<Result<(), _>>());
        let error = within(second, hanging, || look_ups.include("a.example")).await.expect_err("too slow");
        assert_eq!(error.kind(), FailureKind::Dns);
        let found = async {
            look_ups.run("a.example", async {}).await;
            pending::<Result<(), _>>().await
        };
        let error = within(second, found, || look_ups.include("a.example")).await.expect_err("too slow");
        assert_eq!(error.kind(), FailureKind::Timeout);
    }

    #[tokio::test]
    async fn a_name_is_looked_up_until_the_last_look_up_ends() {
        let look_ups = LookUps::default();
        let outer = look_ups.run("a.example", async {
            look_ups.run("a.example", async {}).await;
            look_ups.include("a.example") && !look_ups.include("b.example")
        });
        assert!(outer.await);
        assert!(look_ups.hosts().is_empty());
    }
}
