//! Processes beside this one: this binary, started with an argument. Each ends when its pipe is closed, so also when this
//! process is killed.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::arrivals::Taken;
use crate::clock;
use crate::receiver::address;
use crate::tls::TlsReceiver;
use crate::{Error, PROXY, RECEIVER};

/// The longest that one order waits, so that a process whose parent was killed notices it soon.
const STEP: Duration = Duration::from_millis(500);

/// A process that answers each line with a line.
#[derive(Debug)]
pub(crate) struct Process {
    pipes: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    /// Ends with the value.
    _child: Child,
}

impl Process {
    /// Starts it, and returns its first line too.
    pub(crate) async fn start(arguments: &[&str]) -> Result<(Self, String), Error> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().expect("piped");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let first = lines.next_line().await?.ok_or("the process ended at once")?;
        Ok((Self { pipes: Mutex::new((stdin, lines)), _child: child }, first))
    }

    pub(crate) async fn ask(&self, order: &str) -> Result<String, Error> {
        let mut pipes = self.pipes.lock().await;
        let (stdin, lines) = &mut *pipes;
        stdin.write_all(format!("{order}\n").as_bytes()).await?;
        Ok(lines.next_line().await?.ok_or_else(|| format!("no answer to {order}"))?)
    }
}

/// A proxy of TCP, behind which a target is far.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    /// Ends with the value.
    _process: Process,
}

impl Proxy {
    /// One on this machine that passes on to the target what is so old.
    pub(crate) async fn start(target: &str, delay: Duration) -> Result<Self, Error> {
        let arguments = [PROXY, target, &delay.as_micros().to_string()];
        let (process, port) = Process::start(&arguments).await?;
        Ok(Self { port: port.parse()?, _process: process })
    }
}

/// The receiver's process.
#[derive(Debug)]
pub struct Receiver {
    process: Process,
    port: u16,
}

impl Receiver {
    /// Starts it: this binary, with the argument [`RECEIVER`].
    pub async fn start() -> Result<Self, Error> {
        let (process, port) = Process::start(&[RECEIVER]).await?;
        Ok(Self { process, port: port.parse()? })
    }

    /// The URL of the webhook with this number, which answers in this manner.
    pub fn url(&self, manner: &str, group: &str, number: usize) -> String {
        format!("http://{}:{}/{manner}/{group}/{number}", address(number), self.port)
    }

    /// Waits for so many of a group since it was last taken, at most so long, and returns how many there are.
    pub async fn wait(&self, group: &str, count: usize, at_most: Duration) -> Result<usize, Error> {
        let end = clock::now() + at_most;
        loop {
            let step = end.saturating_sub(clock::now()).min(STEP);
            let order = format!("wait {group} {count} {}", step.as_millis());
            let arrived = self.process.ask(&order).await?.parse()?;
            if arrived >= count || clock::now() >= end {
                return Ok(arrived);
            }
        }
    }

    /// Waits for so many, and fails if they do not come.
    pub async fn expect(&self, group: &str, count: usize) -> Result<(), Error> {
        let arrived = self.wait(group, count, Duration::from_secs(600)).await?;
        if arrived < count { Err(format!("{arrived} of {count} arrived at {group}").into()) } else { Ok(()) }
    }

    /// Returns what arrived of a group, and has the receiver forget it.
    pub async fn take(&self, group: &str) -> Result<Taken, Error> {
        Ok(serde_json::from_str(&self.process.ask(&format!("take {group}")).await?)?)
    }

    /// Has the receiver speak TLS at a port of its own too.
    pub(crate) async fn speak_tls(&self) -> Result<TlsReceiver, Error> {
        Ok(serde_json::from_str(&self.process.ask("tls").await?)?)
    }

    /// Has the receiver answer 503 from now on, or as usual.
    pub(crate) async fn set_down(&self, is_down: bool) -> Result<(), Error> {
        self.process.ask(if is_down { "down" } else { "up" }).await?;
        Ok(())
    }
}
