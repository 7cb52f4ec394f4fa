//! The dispatcher: claims due deliveries, sends them, and records the outcomes.
//!
//! It makes no decisions of its own. The store decides which deliveries are due and how many may run at once;
//! [`delivery::decide`](crate::delivery::decide) decides what follows from an attempt. The dispatcher wakes at once
//! when an event is published, and otherwise sleeps until the store's next delivery is due.
//!
//! There are three ways to run it:
//!
//! - [`Webhooks::start`] runs it in the background, which suits most services;
//! - [`Dispatcher::run`] is a future that ends when another future completes;
//! - [`Webhooks::deliver_due`] runs it once, for tests, cron jobs and short-lived functions.
//!
//! # Design
//!
//! ```text
//!  driver (task) -- claim --> store          attempt (a task each) -- settlement --> settler (task) -- settle --> store
//!     ^  ^                                       ^
//!     |  +-- handoff from publishers             |
//!     +----- a slot is free, new work, a timer --+-- one slot for each claim, until it is settled
//! ```
//!
//! A slot is taken when a claim is started and freed when it is settled, so what is in flight is what is leased. An
//! attempt starts only if its lease leaves time for the whole deadline, and only if the webhook was not changed in
//! this process since the claim. Settlements that the store does not take are tried again until their leases end; the
//! deliveries are then claimed again. The settler counts in memory the attempts that it has recorded, and adds them to the
//! store's statistics once a minute and when it ends. A lane that was limited, or has failed for long, starts again with
//! one attempt at once; the other claims of it wait in memory, and are released when the next limit comes. At shutdown all
//! that is still claimed is released.

mod attempt;
mod calls;
mod driver;
mod own_side;
mod routing;
mod settler;
mod shared;
mod slow_start;
mod start_within;
mod tally;
mod unprepared;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::service::{Error, Tenant, Webhooks};
use driver::Driver;
use shared::Shared;

pub use driver::Drained;
pub use shared::DispatcherHealth;

/// A handle on a dispatcher that runs in the background. Clones share it.
///
/// Dropping every handle leaves the dispatcher running for as long as the runtime does. To stop it and release its
/// claims, call [`shutdown_within`](Self::shutdown_within).
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
#[derive(Clone, Debug)]
pub struct Dispatcher {
    hooks: Webhooks,
    shared: Arc<Shared>,
    /// The time that running attempts still have, once it is to stop.
    stop: Arc<watch::Sender<Option<Duration>>>,
    /// The result of the dispatcher. The sender is dropped when the dispatcher ends, even by a panic.
    drained: watch::Receiver<Option<Drained>>,
}

/// The error of starting a dispatcher.
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
    /// Delivers until `shutdown` completes; then lets running attempts finish, within the deadline of one attempt,
    /// and releases the other claims.
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

    /// Returns whether the dispatcher runs, how much it holds, and whether the store answers.
    pub fn health(&self) -> DispatcherHealth {
        let is_closed = self.drained.has_changed().is_err();
        let running = !is_closed && self.drained.borrow().is_none();
        DispatcherHealth { running, clock_off: self.hooks.core().clock_off(), ..self.shared.health() }
    }

    /// Stops claiming, lets running attempts finish within `grace`, and releases the other claims. The first call decides
    /// about `grace`; later ones wait for the same end.
    ///
    /// # Cancellation
    ///
    /// The dispatcher continues to shut down.
    pub async fn shutdown_within(mut self, grace: Duration) -> Drained {
        self.stop.send_if_modified(|stop| stop.is_none() && stop.replace(grace).is_none());
        // The task may have ended with the runtime.
        self.drained.wait_for(Option::is_some).await.ok().and_then(|drained| *drained).unwrap_or_default()
    }
}

impl Webhooks {
    /// Starts delivering in the background, on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`]: outside a runtime, or a second time.
    pub fn start(&self) -> Result<Dispatcher, StartError> {
        let driver = driver_for(self)?;
        let shared = Arc::clone(driver.shared());
        let (stop, stopped) = watch::channel(None);
        let (ended, drained) = watch::channel(None);
        tokio::spawn(async move {
            let drained = driver.run(told(stopped)).await;
            // Nobody may be left who waits for it.
            let _ = ended.send(Some(drained));
        });
        Ok(Dispatcher { hooks: self.clone(), shared, stop: Arc::new(stop), drained })
    }

    /// Sends what is due now, waits until the outcomes are recorded, and returns the number of attempts. Retries that
    /// fall due while it runs may be sent too. It ends early while no connection can be opened, for want of descriptors
    /// or of a network: see [`DispatcherHealth::narrowed_to`].
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

impl Tenant {
    /// Sends what is due of this tenant alone, as [`Webhooks::deliver_due`] does for all. Tests that share a database take a
    /// tenant each, and none sends what another has published. It does no upkeep.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use hookwire::store::MemoryStore;
    /// use hookwire::testing::RecordingTransport;
    /// use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};
    ///
    /// let (store, transport) = (MemoryStore::new(), RecordingTransport::new());
    /// let hooks = Webhooks::builder(assist::catalog()).store(store).transport(transport.clone()).build()?;
    /// let event = Event::new(assist::DEVICE_ONLINE, "LAB-4")?;
    /// for name in ["acme", "globex"] {
    ///     let tenant = hooks.tenant(TenantId::new(name)?);
    ///     let draft = WebhookDraft::new("Devices", "https://hooks.example.com/").subscribe(assist::DEVICE_ONLINE);
    ///     tenant.create(&draft).await?;
    ///     tenant.publish(event.clone()).await?;
    /// }
    /// assert_eq!(hooks.tenant(TenantId::new("acme")?).deliver_due().await?, 1);
    /// assert_eq!(transport.requests().len(), 1);
    /// # Ok(())
    /// # }
    /// ```
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
    /// As with [`Webhooks::deliver_due`].
    pub async fn deliver_due(&self) -> Result<usize, Error> {
        Driver::new(Arc::clone(self.core())).of(self.id().clone()).deliver_due().await
    }
}

/// Waits for the signal to stop. It never comes once all handles are dropped.
async fn told(mut stopped: watch::Receiver<Option<Duration>>) -> Duration {
    let grace = stopped.wait_for(Option::is_some).await.ok().and_then(|grace| *grace);
    match grace {
        Some(grace) => grace,
        None => std::future::pending().await,
    }
}

fn driver_for(hooks: &Webhooks) -> Result<Driver, StartError> {
    Handle::try_current().map_err(|_| StartError::NoRuntime)?;
    Driver::new(Arc::clone(hooks.core())).accept_handoffs().ok_or(StartError::AlreadyRunning)
}
