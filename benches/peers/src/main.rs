//! Other crates that deliver webhooks, or that people deliver webhooks with, under the load and at the receiver of
//! `benches/delivery`, beside the same floor. It tells figures and judges nothing.
//!
//! ```sh
//! scripts/bench peers --peer webhooksmith-postgres --scenario burst --rounds 3 --seconds 2
//! ```
//!
//! | peer | version | store |
//! |---|---|---|
//! | `webhooksmith-memory` | webhooksmith 0.2.1, `SqliteEngine` | SQLite in memory, as it has no other store in memory |
//! | `webhooksmith-postgres` | the same, `WebhookEngine` | PostgreSQL |
//! | `webhook-dispatcher-memory` | webhook-dispatcher 0.1.2 | in memory |
//! | `webhook-dispatcher-postgres` | the same | PostgreSQL |
//! | `graphile-worker` | graphile_worker 0.14.1, and a handler that posts with reqwest 0.12 | PostgreSQL |
//!
//! How much a round delivers is told with it: a peer that delivers few a second needs longer rounds (`--seconds 20`) before
//! its figures say anything, in *hanging* most of all.
//!
//! Settings are each crate's defaults, but for these: URLs of loopback are allowed; 64 requests may be under way at once,
//! in all and for a webhook, where there is a setting for it (`SqliteEngine` has none); a full queue of
//! webhook-dispatcher blocks the caller. `fn open` of each peer has them. The database is a new one for each peer that is
//! opened, of the server that `DATABASE_URL` names.
//!
//! Where a peer differs from what `benches/delivery` has of hookwire, the nearest is done:
//!
//! - Signatures are in the form of each peer, and not that of Standard Webhooks; graphile_worker has none, so that its
//!   handler signs with hookwire's. webhook-dispatcher and webhooksmith post the payload without an envelope.
//! - An event for ten webhooks is one call to webhooksmith and webhook-dispatcher, and ten jobs of graphile_worker.
//! - A delivery has ended once it is received: not every peer tells when it is recorded.
//! - *hanging* opens the peer anew for each turn. The crates' own timeouts count for the receiver that hangs. What has not
//!   arrived 10 s after the last event counts as not made.

mod database;
mod graphile_worker;
mod options;
mod peer;
mod scenarios;
mod webhook_dispatcher;
mod webhooksmith;

use std::process::ExitCode;

use delivery::{Error, RECEIVER};
use tokio::runtime::Builder;

use options::Options;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some(RECEIVER) => delivery::on(Builder::new_current_thread(), delivery::receiver::serve()),
        _ => delivery::on(Builder::new_multi_thread(), measure(arguments)),
    };
    delivery::end("peers", done)
}

async fn measure(arguments: Vec<String>) -> Result<(), Error> {
    let options = Options::read(arguments)?;
    print!("{}", scenarios::run(&options).await?.table(&options.title()));
    Ok(())
}
