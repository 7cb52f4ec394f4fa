//! *far*: the database is 1 ms away and the receivers are 200 ms away, there and back, behind proxies that delay. 200 hosts
//! speak TLS. Events go to ten of them each, as quickly as 64 callers bring them; the floor posts by the same proxy.

use std::sync::Arc;
use std::time::Duration;

use hookwire::Tenant;
use hookwire::transport::HttpTransport;

use crate::clock::Cost;
use crate::floor::Floor;
use crate::process::Proxy;
use crate::scenarios::Bench;
use crate::service::{self, Service, tenant};
use crate::tls::{self, Loopback, TlsReceiver};
use crate::{Error, descriptors};

const TENANTS: usize = 20;
const WEBHOOKS: usize = 10;
/// The requests that may be under way at once: of 64, no more than 320 a second would come back.
const AT_ONCE: usize = 512;
/// There and back.
const TO_DATABASE: Duration = Duration::from_millis(1);
const TO_RECEIVERS: Duration = Duration::from_millis(200);
/// The requests by which connections are opened, and a rate is measured for the first time.
const WARM_UP: usize = 3_000;
const GROUP: &str = "far";

pub(super) async fn run(bench: &mut Bench) -> Result<(), Error> {
    descriptors::allow_many()?;
    let receiver = bench.receiver.speak_tls().await?;
    let proxy = Proxy::start(&format!("127.0.0.1:{}", receiver.port), TO_RECEIVERS / 2).await?;
    let urls: Vec<_> = (0..TENANTS * WEBHOOKS).map(|number| url(&proxy, number)).collect();
    let floor = Floor::by(tls::connector(&receiver.pem)?)?.at_once(AT_ONCE);
    let (store, _proxy) = bench.stores.open_far("far", TO_DATABASE / 2).await?;
    let service = Service::start(service::hooks_by(store, AT_ONCE, transport(&receiver)?)?)?;
    let tenants = tenants(&service, &urls).await?;
    floor.burst(&urls, WARM_UP).await?;
    let floor_rate = floor.burst(&urls, WARM_UP).await?.rate;
    bench.receiver.take(GROUP).await?;
    burst(bench, &service, &tenants, WARM_UP / WEBHOOKS).await?;
    let rate = burst(bench, &service, &tenants, WARM_UP / WEBHOOKS).await?.rate;
    for _ in 0..bench.options.rounds {
        let of_floor = floor.burst(&urls, bench.events(floor_rate)).await?;
        bench.receiver.take(GROUP).await?;
        let of_store = burst(bench, &service, &tenants, bench.events(rate / WEBHOOKS as f64)).await?;
        bench.compare("", of_floor, of_store);
    }
    service.shutdown().await;
    Ok(())
}

fn url(proxy: &Proxy, number: usize) -> String {
    format!("https://{}:{}/ok/{GROUP}/{number}", tls::name(number), proxy.port)
}

fn transport(receiver: &TlsReceiver) -> Result<HttpTransport, Error> {
    let builder = HttpTransport::builder().allow_loopback().resolver(Loopback);
    Ok(builder.trust_pem(receiver.pem.as_str()).build()?)
}

async fn tenants(service: &Service, urls: &[String]) -> Result<Arc<[Tenant]>, Error> {
    let mut tenants = Vec::new();
    for (number, urls) in urls.chunks(WEBHOOKS).enumerate() {
        tenants.push(tenant(&service.hooks, &format!("tenant-{number}"), urls).await?);
    }
    Ok(tenants.into())
}

async fn burst(bench: &Bench, service: &Service, to: &Arc<[Tenant]>, events: usize) -> Result<Cost, Error> {
    service.burst_among(&bench.receiver, (GROUP, WEBHOOKS), Arc::clone(to), events).await
}
