//! Distance, by a proxy of TCP in a process of its own: what comes in at one side goes out at the other after a delay.
//! Only the opening of a connection is not delayed, as the kernel answers that by itself.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, stdin};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{Error, clock, descriptors};

/// The most bytes that are passed on at once.
const PIECE: usize = 64 * 1024;

/// Says its port, and serves until the process that started it closes the pipe, or ends.
pub(crate) async fn serve(target: &str, micros: &str) -> Result<(), Error> {
    descriptors::allow_many()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let distance = Distance::new(Duration::from_micros(micros.parse()?))?;
    println!("{}", listener.local_addr()?.port());
    tokio::spawn(accept(listener, Arc::from(target), distance));
    let mut orders = Vec::new();
    stdin().read_to_end(&mut orders).await?;
    Ok(())
}

async fn accept(listener: TcpListener, target: Arc<str>, distance: Distance) {
    while let Ok((near, _)) = listener.accept().await {
        let (target, distance) = (Arc::clone(&target), distance.clone());
        // A connection that breaks off is the concern of its two ends.
        tokio::spawn(async move { connect(near, &target, &distance).await.is_ok() });
    }
}

async fn connect(near: TcpStream, target: &str, distance: &Distance) -> io::Result<()> {
    let far = TcpStream::connect(target).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (from_near, to_near) = near.into_split();
    let (from_far, to_far) = far.into_split();
    let there = distance.carry(from_near, to_far);
    let back = distance.carry(from_far, to_near);
    tokio::try_join!(there, back)?;
    Ok(())
}

/// The way between two sides. One thread keeps its time, for all connections: the delay of all is the same, so that what
/// came first is due first, and a thread sleeps more exactly than a timer of tokio's, which counts milliseconds.
#[derive(Clone, Debug)]
struct Distance {
    delay: Duration,
    way: mpsc::Sender<Parcel>,
}

#[derive(Debug)]
struct Parcel {
    due: Duration,
    bytes: Bytes,
    to: UnboundedSender<Bytes>,
}

impl Distance {
    fn new(delay: Duration) -> io::Result<Self> {
        let (way, parcels) = mpsc::channel::<Parcel>();
        std::thread::Builder::new().name("distance".to_owned()).spawn(move || {
            for parcel in parcels {
                std::thread::sleep(parcel.due.saturating_sub(clock::now()));
                // The connection may be gone meanwhile.
                let _ = parcel.to.send(parcel.bytes);
            }
        })?;
        Ok(Self { delay, way })
    }

    /// Carries everything, until the side that it comes from has no more and that has arrived.
    async fn carry(&self, mut from: OwnedReadHalf, to: OwnedWriteHalf) -> io::Result<()> {
        let (arriving, arrived) = unbounded_channel();
        let read = async move {
            let mut buffer = BytesMut::new();
            loop {
                buffer.reserve(PIECE);
                if from.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
                let due = clock::now() + self.delay;
                let parcel = Parcel { due, bytes: buffer.split().freeze(), to: arriving.clone() };
                self.way.send(parcel).map_err(io::Error::other)?;
            }
        };
        tokio::try_join!(read, write(arrived, to))?;
        Ok(())
    }
}

/// Hands over what arrives, and closes that side when nothing can arrive any more.
async fn write(mut arrived: UnboundedReceiver<Bytes>, mut to: OwnedWriteHalf) -> io::Result<()> {
    while let Some(bytes) = arrived.recv().await {
        to.write_all(&bytes).await?;
    }
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy before a server that sends back what it gets.
    async fn proxied(delay: Duration) -> TcpStream {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = echo.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = echo.accept().await.unwrap();
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await.unwrap();
            to.shutdown().await.unwrap();
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, target.into(), Distance::new(delay).unwrap()));
        TcpStream::connect(address).await.unwrap()
    }

    #[tokio::test]
    async fn everything_arrives_in_order_and_the_end_after_it() {
        let sent: Vec<u8> = (0..1_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let (mut from, mut to) = proxied(Duration::ZERO).await.into_split();
        let sending = sent.clone();
        tokio::spawn(async move {
            to.write_all(&sending).await.unwrap();
            to.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        from.read_to_end(&mut got).await.unwrap();
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    }

    #[tokio::test]
    async fn what_is_carried_is_due_after_the_delay() {
        let delay = Duration::from_secs(60);
        let (way, parcels) = mpsc::channel();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (from, to) = listener.accept().await.unwrap().0.into_split();
        let began = clock::now();
        near.write_all(b"x").await.unwrap();
        near.shutdown().await.unwrap();
        let carried = tokio::spawn(async move { Distance { delay, way }.carry(from, to).await });
        let parcel: Parcel = tokio::task::spawn_blocking(move || parcels.recv()).await.unwrap().unwrap();
        assert!(parcel.due >= began + delay);
        assert_eq!(&parcel.bytes[..], b"x");
        drop(parcel);
        carried.await.unwrap().unwrap();
    }
}
