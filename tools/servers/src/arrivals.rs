//! What a server received, as it wrote it into its log.

use std::collections::HashSet;
use std::path::Path;

use crate::Error;

/// The requests that a server received.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// The path and the `webhook-id` of each.
    requests: HashSet<(String, String)>,
    /// The versions of HTTP that were spoken.
    pub(crate) protocols: HashSet<String>,
    /// The processes of the server that took part.
    pub(crate) processes: HashSet<String>,
}

impl Arrivals {
    /// Reads a log whose lines are `PATH WEBHOOK-ID PROTOCOL PROCESS`.
    pub(crate) fn read(log: &Path) -> Result<Self, Error> {
        let mut arrivals = Self::default();
        for line in std::fs::read_to_string(log)?.lines() {
            arrivals.add(line).ok_or_else(|| format!("no line of a log: {line}"))?;
        }
        Ok(arrivals)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ').map(str::to_owned);
        self.requests.insert((words.next()?, words.next()?));
        self.protocols.insert(words.next()?);
        self.processes.insert(words.next()?);
        Some(())
    }

    pub(crate) fn has(&self, path: &str, message_id: &str) -> bool {
        self.requests.contains(&(path.to_owned(), message_id.to_owned()))
    }
}
