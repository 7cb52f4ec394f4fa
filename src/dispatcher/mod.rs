//! The driver: claims what is due, sends it, and settles what came of it.
//!
//! It decides nothing. What is due and how much may run at once, the store tells; what follows from an
//! attempt, [`delivery::decide`](crate::delivery::decide) tells. The dispatcher wakes at once when
//! something is published, and otherwise sleeps until the store's next delivery is due.
//!
//! There are three ways to run it:
//!
//! - [`Webhooks::start`] in the background: what a service wants;
//! - [`Dispatcher::run`] as a future of your own, until another future completes;
//! - [`Webhooks::deliver_due`] once: for tests, cron jobs and functions that live briefly.

mod attempt;
mod catch_panic;
mod driver;
mod routing;
mod settler;
mod shared;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::service::{Error, Webhooks};
use driver::Driver;
use shared::Shared;

/// A dispatcher that runs in the background.
///
/// Dropping it leaves it running for as long as the runtime does; to stop it, and give back what it
/// holds, call [`shutdown_within`](Self::shutdown_within).
///
/// ```no_run
/// # async fn run(hooks: hookwire::Webhooks) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// let dispatcher = hooks.start()?;
/// // serve requests, publish events
/// let drained = dispatcher.shutdown_within(Duration::from_secs(20)).await;
/// println!("{} attempts ended in time, {} were given back", drained.finished, drained.released);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Dispatcher {
    shared: Arc<Shared>,
    stop: oneshot::Sender<Duration>,
    task: JoinHandle<Drained>,
}

/// What a dispatcher did with the attempts that were under way when it was stopped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Drained {
    /// How many ended in time.
    pub finished: usize,
    /// How many were given back, not started or broken off: their deliveries are due again at once, and
    /// the receivers of those that were broken off may get them twice.
    pub released: usize,
}

/// How a dispatcher fares.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DispatcherHealth {
    /// Whether it runs.
    pub running: bool,
    /// How many deliveries it holds.
    pub in_flight: usize,
    /// How many calls of the store have failed in a row.
    pub store_failures: u32,
    /// What the last of them said.
    pub last_store_error: Option<String>,
}

/// A dispatcher cannot be started.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum StartError {
    /// This service has a dispatcher already.
    #[error("this service has a dispatcher already; shut it down before starting another")]
    AlreadyRunning,
    /// The call was made outside a tokio runtime.
    #[error("a dispatcher needs a tokio runtime; call `start` inside one")]
    NoRuntime,
}

impl Dispatcher {
    /// Delivers until `shutdown` completes; then finishes what is under way, within the deadline of one
    /// attempt, and gives the rest back.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    ///
    /// # Cancellation
    ///
    /// Attempts under way are broken off, and their deliveries are due again when their leases end.
    pub async fn run(hooks: &Webhooks, shutdown: impl Future<Output = ()>) -> Result<Drained, StartError> {
        let grace = hooks.core().policy().deadline();
        let driver = driver_for(hooks)?;
        Ok(driver.run(async { (shutdown.await, grace).1 }).await)
    }

    /// How it fares: whether it runs, what it holds, whether the store answers.
    pub fn health(&self) -> DispatcherHealth {
        self.shared.health(!self.task.is_finished())
    }

    /// Takes nothing more, lets what is under way finish within `grace`, and gives the rest back.
    ///
    /// # Cancellation
    ///
    /// The dispatcher goes on shutting down.
    pub async fn shutdown_within(self, grace: Duration) -> Drained {
        // It may have ended by itself, with the runtime.
        let _ = self.stop.send(grace);
        self.task.await.unwrap_or_default()
    }
}

impl Webhooks {
    /// Delivers in the background, on the tokio runtime in which this is called.
    ///
    /// # Errors
    ///
    /// [`StartError`]: outside a runtime, or a second time.
    pub fn start(&self) -> Result<Dispatcher, StartError> {
        let driver = driver_for(self)?;
        let shared = Arc::clone(driver.shared());
        let (stop, stopped) = oneshot::channel();
        let stopped = async move {
            match stopped.await {
                Ok(grace) => grace,
                Err(_) => std::future::pending().await,
            }
        };
        let task = tokio::spawn(driver.run(stopped));
        Ok(Dispatcher { shared, stop, task })
    }

    /// Sends what is due now, waits until that is recorded, and returns how many attempts were. What becomes
    /// due later is left for later.
    ///
    /// # Errors
    ///
    /// [`Store`](crate::ErrorKind::Store) when the store fails to tell what is due.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Cancellation
    ///
    /// Attempts under way are broken off, and their deliveries are due again when their leases end.
    pub async fn deliver_due(&self) -> Result<usize, Error> {
        Driver::new(Arc::clone(self.core())).deliver_due().await
    }
}

fn driver_for(hooks: &Webhooks) -> Result<Driver, StartError> {
    Handle::try_current().map_err(|_| StartError::NoRuntime)?;
    Driver::new(Arc::clone(hooks.core())).register().ok_or(StartError::AlreadyRunning)
}
