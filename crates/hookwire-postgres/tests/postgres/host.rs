//! A service of one tenant with one webhook, whose requests are recorded.

use std::time::Duration;

use hookwire::dispatcher::Dispatcher;
use hookwire::service::Tenant;
use hookwire::testing::RecordingTransport;
use hookwire::{TenantId, WebhookDraft, Webhooks, assist};
use hookwire_postgres::PostgresStore;
use tokio::time::{sleep, timeout};

pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A service that delivers.
pub(crate) struct Host {
    pub(crate) hooks: Webhooks,
    pub(crate) acme: Tenant,
    pub(crate) receiver: RecordingTransport,
    _dispatcher: Dispatcher,
}

impl Host {
    pub(crate) async fn start(store: PostgresStore) -> Self {
        let receiver = RecordingTransport::new();
        let hooks = Webhooks::builder(assist::catalog()).store(store).transport(receiver.clone());
        let hooks = hooks.build().expect("a service");
        let acme = hooks.tenant(TenantId::new("acme").expect("short"));
        let draft = WebhookDraft::new("Log", "https://hooks.example.com/").subscribe(assist::DEVICE_ONLINE);
        acme.create(&draft).await.expect("created");
        let _dispatcher = hooks.start().expect("inside tokio");
        Self { hooks, acme, receiver, _dispatcher }
    }

    /// Waits until nothing waits any more. The server may be away meanwhile.
    pub(crate) async fn until_delivered(&self) {
        let delivered = async {
            while self.hooks.stats().await.map_or(true, |stats| stats.pending() > 0) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(SOON, delivered).await.expect("all is delivered");
    }
}
