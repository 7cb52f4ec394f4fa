//! What the library costs, on any store, against a bare HTTP client that posts the same bodies to the same
//! receiver at the same concurrency.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hookwire::dispatcher::Dispatcher;
use hookwire::policy::Policy;
use hookwire::store::{Quota, Store};
use hookwire::transport::HttpTransport;
use hookwire::{Event, TenantId, WebhookDraft, Webhooks, assist};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{Error, Sample, setting, timed};

const ROUNDS: usize = 7;
/// How many requests are under way at once, and how many callers send them.
const AT_ONCE: usize = 64;
/// The tenants of the library, with a webhook each.
const TENANTS: usize = 8;

/// Sends events through the bare client and through the library on each of these stores, by name and in turns,
/// and prints a table. `HOOKWIRE_ONLY` leaves those whose names begin so.
pub(crate) async fn run(stores: Vec<(&'static str, Arc<dyn Store>)>) -> Result<(), Error> {
    let events = setting("HOOKWIRE_EVENTS", 4_000);
    let mut runners = runners(stores).await?;
    let only = std::env::var("HOOKWIRE_ONLY").unwrap_or_default();
    runners.retain(|runner| runner.name.starts_with(&only));
    for _ in 0..ROUNDS {
        for runner in &mut runners {
            let (took, done) = timed(send_all(&runner.sender, events)).await;
            done?;
            runner.sample.add(took);
        }
    }
    print(events, &runners);
    Ok(())
}

/// Each brings events to the one receiver in its own way.
async fn runners(stores: Vec<(&'static str, Arc<dyn Store>)>) -> Result<Vec<Runner>, Error> {
    let urls = receivers().await?;
    let client = Box::new(Client::builder(TokioExecutor::new()).build(HttpConnector::new()));
    let bare = Sender::Bare(client, urls.clone());
    let mut runners = vec![Runner { name: "bare client", sender: bare, sample: Sample::new() }];
    for (name, store) in stores {
        let sender = library(&urls, store).await?;
        runners.push(Runner { name, sender, sample: Sample::new() });
    }
    Ok(runners)
}

fn print(events: usize, runners: &[Runner]) {
    println!("{events} events, {AT_ONCE} at once, {ROUNDS} rounds in turns: the median round");
    println!("{:<26} {:>10} {:>20}", "", "a second", "of the first's");
    let Some(first) = runners.first() else { return };
    for Runner { name, sample, .. } in runners {
        let rate = events as f64 / sample.median().as_secs_f64();
        println!("{name:<26} {rate:>10.0} {:>18.0} %", 100.0 / sample.ratio(&first.sample));
    }
}

struct Runner {
    name: &'static str,
    sender: Sender,
    sample: Sample,
}

#[derive(Clone)]
enum Sender {
    Bare(Box<Client<HttpConnector, Full<Bytes>>>, Vec<String>),
    Library(Webhooks, Arc<Dispatcher>),
}

/// A service with a running dispatcher, on its own store.
async fn library(urls: &[String], store: Arc<dyn Store>) -> Result<Sender, Error> {
    let quota = Quota::default().with_in_all(AT_ONCE);
    let hooks = Webhooks::builder(assist::catalog())
        .store(store)
        .transport(HttpTransport::builder().allow_loopback().build()?)
        .allow_loopback_http()
        .policy(Policy::default().with_quota(quota))
        .build()?;
    for (n, url) in urls.iter().enumerate() {
        let draft = WebhookDraft::new("hook", url).subscribe(assist::DEVICE_ONLINE);
        hooks.tenant(tenant(n)).create(&draft).await?;
    }
    let dispatcher = Arc::new(hooks.start()?);
    let library = Sender::Library(hooks, dispatcher);
    send_all(&library, 4 * AT_ONCE).await?;
    Ok(library)
}

fn tenant(n: usize) -> TenantId {
    TenantId::new(format!("tenant-{}", n % TENANTS)).expect("a plain name")
}

/// Sends so many events from as many callers as may be under way, and waits until nothing is left to do.
async fn send_all(sender: &Sender, events: usize) -> Result<(), Error> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (sender, next) = (sender.clone(), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= events {
                    return Ok::<_, Error>(());
                }
                sender.send(n).await?;
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    sender.finish().await
}

impl Sender {
    async fn send(&self, n: usize) -> Result<(), Error> {
        let payload = serde_json::json!({"deviceName": "LAB-4", "number": n});
        match self {
            Self::Bare(client, urls) => {
                let body = serde_json::json!({"payload": payload, "eventType": "DEVICE_ONLINE",
                    "eventTime": "1795519050550", "orgId": "tenant-0"});
                let request = Request::post(&urls[n % TENANTS]).header("content-type", "application/json");
                let request = request.body(Full::from(body.to_string()))?;
                client.request(request).await?.into_body().collect().await?;
            }
            Self::Library(hooks, _) => {
                let event = Event::new(assist::DEVICE_ONLINE, &payload)?;
                hooks.tenant(tenant(n)).publish(event).await?;
            }
        }
        Ok(())
    }

    /// Waits until everything is delivered and recorded.
    async fn finish(&self) -> Result<(), Error> {
        let Self::Library(hooks, dispatcher) = self else { return Ok(()) };
        while dispatcher.health().in_flight > 0 || hooks.stats().await?.pending > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

/// One receiver that says yes to everything, on an address for each tenant: hosts are told apart by it.
async fn receivers() -> Result<Vec<String>, Error> {
    let mut urls = Vec::new();
    for n in 0..TENANTS {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + u32::try_from(n)?);
        let listener = TcpListener::bind((address, 0)).await?;
        urls.push(format!("http://{}/hooks", listener.local_addr()?));
        tokio::spawn(accept(listener));
    }
    Ok(urls)
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        // A connection that breaks off is the sender's concern.
        tokio::spawn(async move { connection.await.is_ok() });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // What breaks off in the middle is told to the sender by its connection.
    let _ = request.into_body().collect().await;
    Ok(Response::default())
}
