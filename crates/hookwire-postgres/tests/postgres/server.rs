//! A server of a test's own, which stops and starts as it is told. `scripts/with-postgres` runs it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A server that does as it is told, and is removed with this value.
pub(crate) struct Server {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::serve(&["--serve".as_ref()])
    }

    /// Starts a server that lets nobody in without TLS. The directory has its certificates.
    pub(crate) fn start_with_tls(certificates: &Path) -> Self {
        Self::serve(&["--serve".as_ref(), certificates.as_os_str()])
    }

    /// Starts a server behind PgBouncer. The URL is that of PgBouncer.
    pub(crate) fn start_pooled(pool_mode: &str) -> Self {
        Self::serve(&["--pool".as_ref(), pool_mode.as_ref()])
    }

    fn serve(arguments: &[&OsStr]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/with-postgres");
        let mut command = Command::new(script);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the script");
        let mut answers = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = answers.next().expect("a server").expect("UTF-8");
        let orders = child.stdin.take();
        Self { child, orders, answers, url }
    }

    /// Returns when it is done.
    pub(crate) fn order(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("open until the end");
        writeln!(orders, "{order}").expect("the script listens");
        assert_eq!(self.answers.next().expect("an answer").expect("UTF-8"), order);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.orders.take());
        // Of no interest to a test that is over.
        let _ = self.child.wait();
    }
}
