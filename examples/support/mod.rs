//! A receiver for the examples: a small HTTP or HTTPS server on loopback.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a receiver does with a request: an answer's status.
pub(crate) type Handler = Arc<dyn Fn(&HeaderMap, &[u8]) -> StatusCode + Send + Sync>;

/// Receives over HTTPS; gives the URL, and the certificate by which to know the receiver.
#[allow(dead_code, reason = "not every example receives over HTTPS")]
pub(crate) async fn https(handler: Handler) -> Result<(String, String), Error> {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(identity.signing_key.serialize_der())?;
    // Named, as a tree with two providers has none by itself.
    let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let tls = tls.with_safe_default_protocol_versions()?.with_no_client_auth();
    let tls = tls.with_single_cert(vec![identity.cert.der().clone()], key)?;
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(tls)), TcpListener::bind("127.0.0.1:0").await?);
    let url = format!("https://localhost:{}/hooks", listener.local_addr()?.port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, handler) = (acceptor.clone(), Arc::clone(&handler));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, handler).await;
                }
            });
        }
    });
    Ok((url, identity.cert.pem()))
}

/// Receives over plain HTTP; gives the URL.
#[allow(dead_code, reason = "not every example receives over HTTP")]
pub(crate) async fn http(handler: Handler) -> Result<String, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hooks", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&handler)));
        }
    });
    Ok(url)
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, handler: Handler) {
    let service = service_fn(move |request| answer(request, Arc::clone(&handler)));
    let builder = Builder::new(TokioExecutor::new());
    // A connection that breaks off is the sender's concern.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, handler: Handler) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut response = Response::new(Full::default());
    *response.status_mut() = handler(&head.headers, &body);
    Ok(response)
}
