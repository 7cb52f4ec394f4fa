//! The receiver, a process of its own: answers as the path says, and tells what arrived.
//!
//! The path is `/ok/GROUP/WEBHOOK`, `/hang/..`, or `/slow-MILLISECONDS/..`. Each line that it reads is an order, which one
//! line answers: `down` (it answers 503 from now on), `up`, `take GROUP`, `tls`
//! (it listens with TLS too), `wait GROUP COUNT MILLISECONDS`.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::BufRead;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::arrivals::{Arrival, Arrivals};
use crate::tls::{self, TlsReceiver};
use crate::{Error, clock, descriptors, note};

/// The addresses on which it listens, from 127.0.0.1 on: a sender takes each for a host.
pub(crate) const HOSTS: usize = 64;

#[derive(Debug, Default)]
struct Receiver {
    arrivals: Arrivals,
    is_down: AtomicBool,
}

/// Serves until the process that started it closes the pipe, or ends.
pub async fn serve() -> Result<(), Error> {
    descriptors::allow_many()?;
    let receiver = Arc::new(Receiver::default());
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = first.local_addr()?.port();
    let others = (1..HOSTS).map(|number| TcpListener::bind((address(number), port)));
    for listener in std::iter::once(Ok(first)).chain(others) {
        listen(listener?, None, &receiver)?;
    }
    println!("{port}");
    tokio::task::spawn_blocking(move || obey(&receiver)).await?
}

/// The address of the webhook with this number. The first webhook has its address for itself.
pub(crate) fn address(number: usize) -> Ipv4Addr {
    let host = if number < HOSTS { number } else { 1 + (number - HOSTS) % (HOSTS - 1) };
    let number = u32::try_from(host).expect("small");
    Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + number)
}

fn listen(listener: TcpListener, tls: Option<TlsAcceptor>, receiver: &Arc<Receiver>) -> Result<(), Error> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::spawn(accept(listener, tls, Arc::clone(receiver)));
    Ok(())
}

async fn accept(listener: tokio::net::TcpListener, tls: Option<TlsAcceptor>, receiver: Arc<Receiver>) {
    while let Ok((stream, _)) = listener.accept().await {
        // Without it an answer may be late; it is never wrong.
        let _ = stream.set_nodelay(true);
        let receiver = Arc::clone(&receiver);
        match tls.clone() {
            None => tokio::spawn(talk(stream, receiver)),
            Some(tls) => tokio::spawn(async move {
                if let Ok(stream) = tls.accept(stream).await {
                    talk(stream, receiver).await;
                }
            }),
        };
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, receiver: Arc<Receiver>) {
    let service = service_fn(move |request| answer(Arc::clone(&receiver), request));
    // A connection that breaks off is the sender's concern.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Listens with TLS at one more port.
fn speak_tls(receiver: &Arc<Receiver>) -> Result<TlsReceiver, Error> {
    let (pem, acceptor) = tls::acceptor()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    listen(listener, Some(acceptor), receiver)?;
    Ok(TlsReceiver { port, pem })
}

async fn answer(
    receiver: Arc<Receiver>,
    request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Ok(status(StatusCode::BAD_REQUEST)) };
    if receiver.is_down.load(Ordering::Relaxed) {
        return Ok(status(StatusCode::SERVICE_UNAVAILABLE));
    }
    let path = head.uri.path();
    let mut parts = path.split('/').skip(1);
    let manner = parts.next().unwrap_or_default();
    let group = parts.next().unwrap_or_default();
    let Some(arrival) = arrival(&head, &body.to_bytes()) else { return Ok(status(StatusCode::BAD_REQUEST)) };
    receiver.arrivals.add(group, arrival);
    match (manner, manner.strip_prefix("slow-").and_then(|it| it.parse().ok())) {
        ("hang", _) => std::future::pending().await,
        (_, Some(millis)) => sleep(Duration::from_millis(millis)).await,
        _ => {}
    }
    Ok(status(StatusCode::OK))
}

fn arrival(head: &http::request::Parts, body: &[u8]) -> Option<Arrival> {
    let took = clock::now().saturating_sub(note::published_at(body)?);
    let mut hasher = DefaultHasher::new();
    // Not every sender that this is for gives its messages ids. No two bodies are alike, and a retry has the same.
    head.headers.get("webhook-id").map_or(body, |id| id.as_bytes()).hash(&mut hasher);
    head.uri.path().hash(&mut hasher);
    Some(Arrival { identity: hasher.finish(), took })
}

fn status(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}

/// Carries out orders until nobody can give one.
fn obey(receiver: &Arc<Receiver>) -> Result<(), Error> {
    for order in std::io::stdin().lock().lines() {
        println!("{}", receiver.carry_out(&order?)?);
    }
    // Not by way of the runtime, which would wait for nothing that is left here.
    std::process::exit(0)
}

impl Receiver {
    fn carry_out(self: &Arc<Self>, order: &str) -> Result<String, Error> {
        let words: Vec<_> = order.split(' ').collect();
        match words[..] {
            ["down"] => self.is_down.store(true, Ordering::Relaxed),
            ["up"] => self.is_down.store(false, Ordering::Relaxed),
            ["tls"] => return Ok(serde_json::to_string(&speak_tls(self)?)?),
            ["take", group] => return Ok(serde_json::to_string(&self.arrivals.take(group))?),
            ["wait", group, count, millis] => {
                let at_most = Duration::from_millis(millis.parse()?);
                return Ok(self.arrivals.wait(group, count.parse()?, at_most).to_string());
            }
            _ => return Err(format!("no order: {order}").into()),
        }
        Ok("done".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_carried_out_and_others_refused() {
        let receiver = Arc::new(Receiver::default());
        assert_eq!(receiver.carry_out("down").unwrap(), "done");
        assert!(receiver.is_down.load(Ordering::Relaxed));
        assert_eq!(receiver.carry_out("up").unwrap(), "done");
        assert!(!receiver.is_down.load(Ordering::Relaxed));
        assert_eq!(receiver.carry_out("wait quiet 1 0").unwrap(), "0");
        assert!(receiver.carry_out("take quiet").unwrap().starts_with(r#"{"count":0"#));
        assert!(receiver.carry_out("wait quiet").is_err());
        assert!(receiver.carry_out("away").is_err());
    }

    #[test]
    fn there_are_as_many_hosts_as_are_listened_on() {
        assert_eq!(address(0), Ipv4Addr::LOCALHOST);
        assert_eq!(address(63), Ipv4Addr::new(127, 0, 0, 64));
        assert_eq!(address(64), address(1));
        assert!((1..1000).all(|number| address(number) != Ipv4Addr::LOCALHOST));
    }
}
