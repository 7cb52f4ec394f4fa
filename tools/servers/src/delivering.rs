//! A service that delivers many events to one server, which its operator disturbs meanwhile.

use std::time::Duration;

use hookwire::dispatcher::Dispatcher;
use hookwire::model::{Delivery, DeliveryQuery, DeliveryState, End, EventId, HookId, PageRequest, TenantId};
use hookwire::policy::Policy;
use hookwire::retry::RetryPolicy;
use hookwire::service::Tenant;
use hookwire::store::Store;
use hookwire::transport::HttpTransport;
use hookwire::{Event, WebhookDraft, Webhooks, assist};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::arrivals::Arrivals;
use crate::{Error, Server, Tally};

const EVENT: EventId = assist::DEVICE_ONLINE;
/// How long whatever was published may take after the last event.
const PATIENCE: Duration = Duration::from_secs(75);
/// How often the log of a server is looked at until everything is in it.
const LOOKS: usize = 200;
const GLANCE: Duration = Duration::from_millis(5);
/// How long Node lets a connection be idle.
const IDLE_LIMIT: Duration = Duration::from_secs(5);

/// What happens to a server while events are delivered to it.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums, reason = "the cases of the tests")]
pub enum Disturbance {
    /// All is delivered, and then nothing is sent for about as long as Node lets a connection be idle.
    Idle,
    /// Nothing.
    None,
    /// It reloads its configuration.
    Reload,
    /// It is stopped and started again.
    Restart,
}

/// How much is published, and how fast.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "plain numbers, for tests alone")]
pub struct Load {
    /// How many events there are, each for every webhook.
    pub events: usize,
    /// How many are published at once: the next when a webhook's share of their deliveries is left.
    pub at_once: usize,
    /// How often the server is disturbed.
    pub disturbances: usize,
}

/// A service with a webhook for each URL of a server.
#[derive(Debug)]
pub struct Service {
    server: Server,
    acme: Tenant,
    dispatcher: Dispatcher,
    /// The path of the URL of each webhook.
    webhooks: Vec<(HookId, String)>,
    published: usize,
}

impl Service {
    /// Starts one on `store`, which delivers to `server`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub async fn start(store: impl Store, server: Server) -> Result<Self, Error> {
        let transport = HttpTransport::builder().allow_loopback();
        let transport = match server.authority() {
            Some(pem) => transport.trust_pem(pem),
            None => transport,
        };
        let hooks = Webhooks::builder(assist::catalog())
            .store(store)
            .transport(transport.build()?)
            .allow_loopback_http()
            .policy(Policy::default().with_retry(schedule()))
            .build()?;
        let acme = hooks.tenant(TenantId::new("acme")?).for_operator();
        let mut webhooks = Vec::new();
        for url in server.urls() {
            let created = acme.create(&WebhookDraft::new("hook", &url).subscribe(EVENT)).await?;
            let path = url.rfind('/').map_or("", |at| &url[at..]);
            webhooks.push((created.webhook().hook_id(), path.to_owned()));
        }
        Ok(Self { server, acme, dispatcher: hooks.start()?, webhooks, published: 0 })
    }

    /// Publishes events at this load, disturbs the server a few times meanwhile, and waits until all are delivered.
    ///
    /// # Errors
    ///
    /// When events cannot be published, or the server does not come back.
    pub async fn deliver(&mut self, load: Load, how: Disturbance) -> Result<(), Error> {
        let bursts = load.events / load.at_once;
        let between = (bursts / load.disturbances).max(1);
        for burst in 1..=bursts {
            self.publish(load.at_once).await?;
            if burst % between == 0 {
                self.disturb(how, burst / between).await?;
            }
            self.wait_until_pending(load.at_once).await?;
        }
        self.wait_until_pending(0).await
    }

    /// Stops the service, and tells of all its deliveries.
    ///
    /// # Errors
    ///
    /// When the store or the log of the server cannot be read.
    pub async fn finish(self) -> Result<(Tally, Server), Error> {
        let mut all = Vec::new();
        for (hook_id, path) in &self.webhooks {
            all.extend(self.deliveries(*hook_id).await?.into_iter().map(|it| (it, path.as_str())));
        }
        let (arrivals, unknown) = self.arrivals(&all).await?;
        let wanted = self.published * self.webhooks.len();
        let mut tally = Tally { wanted, unknown, ..Tally::default() };
        for (delivery, _) in &all {
            self.count(&mut tally, delivery).await?;
        }
        tally.processes = arrivals.processes.len();
        tally.protocols = arrivals.protocols.into_iter().collect();
        self.dispatcher.shutdown_within(Duration::ZERO).await;
        Ok((tally, self.server))
    }

    async fn publish(&mut self, events: usize) -> Result<(), Error> {
        for _ in 0..events {
            let event = Event::new(EVENT, &json!({"deviceName": "LAB-4", "number": self.published}))?;
            self.acme.publish(event).await?;
            self.published += 1;
        }
        Ok(())
    }

    async fn disturb(&mut self, how: Disturbance, time: usize) -> Result<(), Error> {
        match how {
            Disturbance::None => Ok(()),
            Disturbance::Reload => self.server.reload(),
            Disturbance::Restart => self.server.restart().await,
            Disturbance::Idle => {
                self.wait_until_pending(0).await?;
                // From just before the limit to just after it.
                let around = Duration::from_millis(5 * u64::try_from(time)?);
                sleep(IDLE_LIMIT - Duration::from_millis(15) + around).await;
                Ok(())
            }
        }
    }

    /// Waits until so few deliveries have not ended, or for as long as there is patience: what is missing then is
    /// in the tally.
    async fn wait_until_pending(&self, few: usize) -> Result<(), Error> {
        let few = u64::try_from(few)?;
        let ended = async {
            while self.acme.stats().await?.pending() > few {
                sleep(GLANCE).await;
            }
            Ok(())
        };
        timeout(PATIENCE, ended).await.unwrap_or(Ok(()))
    }

    async fn deliveries(&self, hook_id: HookId) -> Result<Vec<Delivery>, Error> {
        let (mut all, mut next) = (Vec::new(), Some(PageRequest::first()));
        while let Some(request) = next {
            let query = DeliveryQuery::new().webhook(hook_id).page(request);
            let page = self.acme.deliveries(&query).await?;
            next = page.next.map(PageRequest::after);
            all.extend(page.items);
        }
        Ok(all)
    }

    /// The log of the server, and how many that are delivered are not in it. Some servers write it after the answer.
    async fn arrivals(&self, all: &[(Delivery, &str)]) -> Result<(Arrivals, usize), Error> {
        for _ in 0..LOOKS {
            let arrivals = self.server.arrivals()?;
            if unknown(&arrivals, all) == 0 {
                return Ok((arrivals, 0));
            }
            sleep(GLANCE).await;
        }
        let arrivals = self.server.arrivals()?;
        let unknown = unknown(&arrivals, all);
        Ok((arrivals, unknown))
    }

    async fn count(&self, tally: &mut Tally, delivery: &Delivery) -> Result<(), Error> {
        tally.attempts += usize::try_from(delivery.attempts)?;
        tally.delivered += usize::from(is_delivered(delivery));
        tally.pending += usize::from(delivery.state == DeliveryState::Pending);
        if !is_delivered(delivery) || delivery.attempts > 1 {
            let attempts = self.acme.attempts(delivery.id).await?;
            let failed = attempts.into_iter().map(|it| it.outcome).filter(|it| !it.is_success());
            tally.failures.extend(failed);
        }
        Ok(())
    }
}

fn is_delivered(delivery: &Delivery) -> bool {
    delivery.state == DeliveryState::Ended(End::Delivered)
}

fn unknown(arrivals: &Arrivals, all: &[(Delivery, &str)]) -> usize {
    let is_unknown =
        |(it, path): &&(Delivery, &str)| is_delivered(it) && !arrivals.has(path, it.message_id.as_str());
    all.iter().filter(is_unknown).count()
}

/// Short, so that a server that was down is asked again soon.
fn schedule() -> RetryPolicy {
    RetryPolicy::default().with_delays([1, 1, 2, 2, 4, 4, 8, 8, 8].map(Duration::from_secs))
}
