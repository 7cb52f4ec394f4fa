//! The end of a connection from which not all was read: what was sent on it arrives all the same.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{copy, sink};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// Closes a connection, with a reset if bytes of its peer are unread. A reset takes back what the peer's system does
/// not have yet, however fast or slow this machine is, so that one waits for its acknowledgement first. Systems that
/// do not tell of it read to the end instead, which the peer makes.
pub(crate) async fn reset(mut stream: TcpStream) {
    let (Ok(here), Ok(there)) = (stream.local_addr(), stream.peer_addr()) else { return };
    if !cfg!(target_os = "linux") {
        let _ = copy(&mut stream, &mut sink()).await;
        return;
    }
    while is_unacknowledged(here, there) {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Returns whether the connection has bytes to send, or ones that its peer has not acknowledged.
fn is_unacknowledged(here: SocketAddr, there: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let ends = [here, there].map(|it| format!(":{:04X}", it.port()));
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut row = row.filter(|it| it.len() > 4 && it[1].ends_with(&ends[0]) && it[2].ends_with(&ends[1]));
    // The queue that waits to be sent, and the one that waits to be read.
    row.next().is_some_and(|it| !it[4].starts_with("00000000:"))
}
