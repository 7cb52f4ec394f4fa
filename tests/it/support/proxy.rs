//! An egress proxy for tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// The behaviour of a proxy when it is asked for a tunnel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tunnel {
    /// The tunnel leads to the receiver on this port, whatever address was requested.
    To(u16),
    /// The proxy answers this and closes.
    Nowhere(&'static str),
    /// The proxy answers this and keeps the connection open.
    Open(&'static str),
    /// The proxy never answers.
    Hang,
}

/// A proxy on a loopback port that supports `CONNECT` only.
#[derive(Debug)]
pub(crate) struct TestProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TestProxy {
    pub(crate) async fn open(leads: Tunnel) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let (address, asked) = (listener.local_addr().expect("bound"), Arc::default());
        let heads = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, leads, Arc::clone(&heads)));
            }
        });
        Self { address, asked }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The head of each request, in the order in which they came.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(mut stream: TcpStream, leads: Tunnel, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.map_or(true, |read| read == 0) {
            return;
        }
    }
    let head = String::from_utf8(head).expect("a head is text");
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    // A client that breaks off is what some tests are about.
    let _ = match leads {
        Tunnel::Hang => return std::future::pending().await,
        Tunnel::Nowhere(answer) => stream.write_all(answer.as_bytes()).await,
        Tunnel::Open(answer) => {
            // It waits for the client to close.
            let written = stream.write_all(answer.as_bytes()).await;
            written.and(stream.read_buf(&mut Vec::new()).await.map(drop))
        }
        Tunnel::To(port) => lead(stream, port).await,
    };
}

async fn lead(mut stream: TcpStream, port: u16) -> std::io::Result<()> {
    let mut receiver = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut stream, &mut receiver).await.map(drop)
}
