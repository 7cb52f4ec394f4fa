//! Deliveries from publish to receipt, on any store, beside the least that anyone has to do: a bare HTTP client. Only
//! ratios within one run count.
//!
//! ```sh
//! scripts/bench delivery --scenario burst --store sqlite --rounds 5 --json
//! ```
//!
//! The receiver is a process of its own. What a run compares takes turns, round by round.
//!
//! It is a library too, for `benches/peers`: the load, the receiver, the floor and the figures.

#![allow(clippy::future_not_send, reason = "the main task awaits them")]
#![allow(clippy::missing_errors_doc, clippy::missing_panics_doc, reason = "a program: each failure ends it")]
#![allow(clippy::print_stdout, reason = "a program: what it prints is what it is for")]

pub mod arrivals;
pub mod clock;
mod descriptors;
pub mod figures;
pub mod floor;
pub mod load;
pub mod note;
mod options;
pub mod process;
mod proxy;
pub mod receiver;
mod scenarios;
mod service;
mod stores;
mod tls;
mod worker;

use std::process::ExitCode;

use tokio::runtime;

use options::Options;
use scenarios::Bench;

/// Whatever ends a run.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The argument with which this binary is the receiver.
pub const RECEIVER: &str = "receiver";
/// The argument with which this binary is a proxy that delays.
const PROXY: &str = "proxy";
/// The argument with which this binary is one process of a fleet.
const WORKER: &str = "worker";

/// The program.
pub fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        // One thread, so that it takes no more of the machine than it needs.
        [RECEIVER] => on(runtime::Builder::new_current_thread(), receiver::serve()),
        // Two threads for the two sides, beside the one that keeps the time.
        [PROXY, target, micros] => on(runtime::Builder::new_multi_thread(), proxy::serve(target, micros)),
        [WORKER, name] => on(runtime::Builder::new_multi_thread(), worker::run(name)),
        _ => on(runtime::Builder::new_multi_thread(), measure(arguments)),
    };
    end("delivery", done)
}

/// Tells of a failure, and makes an exit code of it.
#[expect(clippy::print_stderr, reason = "where a program tells of its failure")]
pub fn end(program: &str, done: Result<(), Error>) -> ExitCode {
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("{program}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
    ExitCode::FAILURE
}

/// Does the work on a runtime.
pub fn on(mut runtime: runtime::Builder, work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    runtime.enable_all().build()?.block_on(work)
}

async fn measure(arguments: Vec<String>) -> Result<(), Error> {
    let options = Options::read(arguments)?;
    let mut bench = Bench::new(options.clone()).await?;
    scenarios::run(&mut bench).await?;
    if options.json {
        println!("{}", bench.figures.json(&options, &bench.stores.database().await?));
    } else {
        print!("{}", bench.figures.table(&options.title()));
    }
    Ok(())
}
