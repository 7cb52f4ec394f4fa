//! What benchmarks share: measuring in turns, and telling of it in ratios.

#![allow(dead_code, reason = "each benchmark uses its part")]
#![allow(clippy::future_not_send, reason = "the main task of a benchmark awaits them")]
#![allow(clippy::print_stdout)]

pub(crate) mod backlog;
pub(crate) mod recovering;
pub(crate) mod retention;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// The time that a piece of work took, beside its result.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let began = Instant::now();
    let done = work.await;
    (began.elapsed(), done)
}

/// Measurements of one kind, of which the median counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<Duration>);

impl Sample {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn median(&self) -> Duration {
        self.percentile(50)
    }

    /// The time that so many in a hundred stay below.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted
            .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }

    /// How many times as long as `other` it takes, by the medians.
    pub(crate) fn ratio(&self, other: &Self) -> f64 {
        self.median().as_secs_f64() / other.median().as_secs_f64()
    }
}

/// The size of a page of memory: Linux on the machines that we measure on.
const PAGE: u64 = 4096;

/// The bytes of memory that this process has now.
pub(crate) fn resident() -> Result<u64, Error> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split_whitespace().nth(1).ok_or("statm has no second number")?;
    Ok(pages.parse::<u64>()? * PAGE)
}

/// The parts of a benchmark that its arguments name; `usual` ones if they name none.
pub(crate) fn parts(usual: &[&str]) -> Vec<String> {
    let named: Vec<_> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    if named.is_empty() { usual.iter().map(|it| (*it).to_owned()).collect() } else { named }
}

/// A number from the environment, or the one that is meant.
pub(crate) fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// A directory that goes with the value.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("hookwire-bench-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
