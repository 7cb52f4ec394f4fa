//! The library under measurement: a service with its dispatcher, and tenants with webhooks.

use std::sync::Arc;
use std::time::Duration;

use hookwire::dispatcher::Dispatcher;
use hookwire::policy::Policy;
use hookwire::registry::Limits;
use hookwire::retry::RetryPolicy;
use hookwire::store::{Quota, Store};
use hookwire::transport::HttpTransport;
use hookwire::{EventId, Payload, Tenant, TenantId, WebhookDraft, Webhooks};
use tokio::time::sleep;

use crate::Error;
use crate::clock::{Cost, Stopwatch};
use crate::load::{self, AT_ONCE};
use crate::note::{self, Note};
use crate::process::Receiver;

/// How often a receiver that is down is tried again, in all scenarios alike.
const RETRY: Duration = Duration::from_secs(2);

/// A service and its dispatcher.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) hooks: Webhooks,
    dispatcher: Dispatcher,
}

/// A service that nobody runs yet: [`AT_ONCE`] requests at once, in all and for a webhook.
pub(crate) fn hooks(store: Arc<dyn Store>) -> Result<Webhooks, Error> {
    hooks_by(store, AT_ONCE, HttpTransport::builder().allow_loopback().build()?)
}

/// The same, with so many requests at once, by this transport.
pub(crate) fn hooks_by(
    store: Arc<dyn Store>,
    at_once: usize,
    transport: HttpTransport,
) -> Result<Webhooks, Error> {
    let quota = Quota::default().with_in_all(at_once).with_per_tenant(at_once).with_per_webhook(at_once);
    let retry = RetryPolicy::default().with_delays([RETRY; 50]);
    Ok(Webhooks::builder(note::catalog()?)
        .store(store)
        .transport(transport)
        .allow_loopback_http()
        .limits(Limits::default())
        .policy(Policy::default().with_quota(quota).with_retry(retry))
        .build()?)
}

/// A tenant with a webhook for each URL.
pub(crate) async fn tenant(hooks: &Webhooks, name: &str, urls: &[String]) -> Result<Tenant, Error> {
    const EVENT: EventId = Note::EVENT;
    let tenant = hooks.tenant(TenantId::new(name)?);
    for url in urls {
        tenant.create(&WebhookDraft::new("hook", url.as_str()).subscribe(EVENT)).await?;
    }
    Ok(tenant)
}

/// Publishes one event.
pub(crate) async fn publish(tenant: &Tenant, number: usize) -> Result<(), Error> {
    tenant.publish(Note::event(number)?).await?;
    Ok(())
}

impl Service {
    pub(crate) fn start(hooks: Webhooks) -> Result<Self, Error> {
        let dispatcher = hooks.start()?;
        Ok(Self { hooks, dispatcher })
    }

    /// Waits until what was attempted is recorded.
    pub(crate) async fn recorded(&self) {
        while self.dispatcher.health().in_flight > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Publishes events as quickly as it can, waits until each is received by the group's webhooks and recorded, and returns
    /// the cost.
    pub(crate) async fn burst(&self, receiver: &Receiver, to: &Group, events: usize) -> Result<Cost, Error> {
        let tenants = Arc::from([to.tenant.clone()]);
        self.burst_among(receiver, (&to.name, to.webhooks), tenants, events).await
    }

    /// The same, to tenants in turn that have so many webhooks each in the group of that name.
    pub(crate) async fn burst_among(
        &self,
        receiver: &Receiver,
        (group, webhooks): (&str, usize),
        tenants: Arc<[Tenant]>,
        events: usize,
    ) -> Result<Cost, Error> {
        let stopwatch = Stopwatch::start();
        load::all(events, move |number| {
            let tenant = tenants[number % tenants.len()].clone();
            async move { publish(&tenant, number).await }
        })
        .await?;
        let deliveries = events * webhooks;
        receiver.expect(group, deliveries).await?;
        self.recorded().await;
        let cost = stopwatch.stop(deliveries);
        receiver.take(group).await?;
        Ok(cost)
    }

    /// Sends enough for connections to be open and lanes to be proven, and returns the deliveries a second after that.
    pub(crate) async fn warm_up(&self, receiver: &Receiver, to: &Group) -> Result<f64, Error> {
        let mut rate = 0.0;
        for _ in 0..3 {
            rate = self.burst(receiver, to, 600 / to.webhooks).await?.rate;
        }
        Ok(rate)
    }

    pub(crate) async fn shutdown(self) {
        self.dispatcher.shutdown_within(Duration::from_secs(10)).await;
    }
}

/// A tenant whose webhooks are one group at the receiver.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) tenant: Tenant,
    pub(crate) webhooks: usize,
}

impl Group {
    /// A tenant of that name, with so many webhooks that answer at once.
    pub(crate) async fn new(
        hooks: &Webhooks,
        receiver: &Receiver,
        name: &str,
        webhooks: usize,
    ) -> Result<Self, Error> {
        let urls: Vec<_> = (0..webhooks).map(|number| receiver.url("ok", name, number)).collect();
        let tenant = tenant(hooks, name, &urls).await?;
        Ok(Self { name: name.to_owned(), tenant, webhooks })
    }
}
