//! The floor: the least that anyone has to do, a bare HTTP client that posts the same bodies with the same signatures.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookwire::clock::{Clock, SystemClock};
use hookwire::envelope;
use hookwire::model::{Event, MessageId, SignatureScheme};
use hookwire::signature::{KeyRing, Message, SigningKey};
use hookwire::{Catalog, TenantId};
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::time::sleep;

use crate::clock::{self, Cost, Stopwatch};
use crate::load::PAUSE;
use crate::note::{self, Note};
use crate::process::Receiver;
use crate::{Error, load};

/// The bare client. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Floor<C = HttpConnector> {
    client: Client<C, Full<Bytes>>,
    at_once: usize,
    catalog: Catalog,
    ring: KeyRing,
    tenant: TenantId,
}

impl Floor {
    /// A client without connections.
    pub fn new() -> Result<Self, Error> {
        // As the library's own connections.
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self::by(connector)
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Floor<C> {
    /// A client that connects by this.
    pub(crate) fn by(connector: C) -> Result<Self, Error> {
        Ok(Self {
            at_once: load::AT_ONCE,
            client: Client::builder(TokioExecutor::new()).build(connector),
            catalog: note::catalog()?,
            ring: KeyRing::new(SigningKey::from_random(SignatureScheme::V1, [7; 32])),
            tenant: TenantId::new("floor")?,
        })
    }

    /// So many requests at once in a burst, and not [`AT_ONCE`](load::AT_ONCE).
    pub(crate) fn at_once(self, at_once: usize) -> Self {
        Self { at_once, ..self }
    }

    /// Posts the event of this number.
    pub async fn send(&self, url: &str, number: usize) -> Result<(), Error> {
        let request = self.request(url, Note::event(number)?, &format!("msg_{number}_of_the_floor"))?;
        let response = self.client.request(request.map(Full::from)).await?;
        let status = response.status();
        response.into_body().collect().await?;
        if status.is_success() { Ok(()) } else { Err(format!("the receiver answers {status}").into()) }
    }

    /// Posts one event after the other for that time, with a pause after each, and returns the median of the times until they
    /// arrived, in milliseconds.
    pub async fn idle_p50(&self, receiver: &Receiver, time: Duration) -> Result<f64, Error> {
        let url = receiver.url("ok", "floor", 0);
        let end = clock::now() + time;
        for number in 0.. {
            self.send(&url, number).await?;
            sleep(PAUSE).await;
            if clock::now() >= end {
                break;
            }
        }
        Ok(receiver.take("floor").await?.p50_ms)
    }

    /// Posts so many events, as many at once as it may, to each URL in turn, and returns the cost.
    pub async fn burst(&self, urls: &[String], count: usize) -> Result<Cost, Error> {
        let (floor, urls) = (self.clone(), Arc::<[String]>::from(urls));
        let stopwatch = Stopwatch::start();
        load::all_by(self.at_once, count, move |number| {
            let (floor, urls) = (floor.clone(), Arc::clone(&urls));
            async move { floor.send(&urls[number % urls.len()], number).await }
        })
        .await?;
        Ok(stopwatch.stop(count))
    }

    /// The request that the library makes of the same event.
    fn request(&self, url: &str, event: Event, id: &str) -> Result<Request<Bytes>, Error> {
        let (id, now) = (MessageId::new(id)?, SystemClock::default().now());
        let event = event.stamped(|| id, now);
        let kind = self.catalog.get(event.event_id).ok_or("the catalog has the event")?;
        let body = envelope::body(self.catalog.envelope(), &event, kind.key(), &self.tenant);
        let message = Message { scheme: SignatureScheme::V1, id: &event.message_id, at: now, body: &body };
        let signed = message.headers(&self.ring.sign(&message))?;
        let mut request = Request::post(url).header(CONTENT_TYPE, "application/json").body(body)?;
        request.headers_mut().extend(signed);
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use hookwire::Webhooks;
    use hookwire::signature::WEBHOOK_SIGNATURE;
    use hookwire::store::MemoryStore;
    use hookwire::testing::RecordingTransport;

    use super::*;
    use crate::service;

    #[tokio::test]
    async fn the_floor_posts_what_the_library_posts() {
        let transport = RecordingTransport::new();
        let builder = Webhooks::builder(note::catalog().unwrap()).store(MemoryStore::new());
        let hooks = builder.transport(transport.clone()).build().unwrap();
        let url = "https://hooks.example.com/ok/floor/0";
        let tenant = service::tenant(&hooks, "floor", &[url.to_owned()]).await.unwrap();
        let event = Note::event(5).unwrap().at(SystemClock::default().now());
        tenant.publish(event.clone()).await.unwrap();
        hooks.deliver_due().await.unwrap();

        let theirs = transport.requests().pop().expect("it was delivered");
        let ours = Floor::new().unwrap().request(url, event, "msg_5").unwrap();
        assert_eq!((ours.uri(), ours.body()), (theirs.uri(), theirs.body()));
        assert_eq!(ours.headers()[CONTENT_TYPE], theirs.headers()[CONTENT_TYPE]);
        let signature = |request: &Request<Bytes>| request.headers()[WEBHOOK_SIGNATURE].len();
        assert_eq!(signature(&ours), signature(&theirs));
    }
}
