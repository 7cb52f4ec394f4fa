//! The two forms of load: as much as callers can bring, and so much a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::{Error, clock};

/// The requests that may be under way at once, and the callers that bring events.
pub const AT_ONCE: usize = 64;

/// The time in which nothing happens after each event that comes alone.
pub const PAUSE: Duration = Duration::from_millis(2);

/// Has callers work on the numbers below `count`, [`AT_ONCE`] of them at once.
pub async fn all<F>(count: usize, work: impl Fn(usize) -> F + Clone + Send + 'static) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    all_by(AT_ONCE, count, work).await
}

/// The same, so many of them at once.
pub(crate) async fn all_by<F>(
    at_once: usize,
    count: usize,
    work: impl Fn(usize) -> F + Clone + Send + 'static,
) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..at_once.min(count) {
        let (work, next) = (work.clone(), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok::<_, Error>(());
                }
                work(number).await?;
            }
        });
    }
    join(callers).await
}

/// Starts work so many times a second, whatever the earlier ones do, until `end` completes. Waits for all of it, and
/// returns how often it was started, with the output of `end`.
pub async fn paced<F, T>(
    rate: f64,
    end: impl Future<Output = T>,
    work: impl Fn(usize) -> F,
) -> Result<(usize, T), Error>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let began = clock::now();
    let mut started = 0;
    let mut running = JoinSet::new();
    let mut end = std::pin::pin!(end);
    let ended = loop {
        // Moments that were missed are made up for: the rate is the rate.
        while started as f64 <= (clock::now() - began).as_secs_f64() * rate {
            running.spawn(work(started));
            started += 1;
        }
        let next = Duration::from_secs_f64(started as f64 / rate) + began;
        tokio::select! {
            ended = &mut end => break ended,
            () = sleep(next.saturating_sub(clock::now())) => {}
        }
    };
    join(running).await?;
    Ok((started, ended))
}

async fn join(mut running: JoinSet<Result<(), Error>>) -> Result<(), Error> {
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn every_number_is_worked_on_once_and_an_error_is_told() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let work = {
            let seen = Arc::clone(&seen);
            move |number| {
                seen.lock().unwrap().push(number);
                std::future::ready(Ok(()))
            }
        };
        all(1000, work).await.unwrap();
        let mut seen = std::mem::take(&mut *seen.lock().unwrap());
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
        let failed =
            all(100, |number| std::future::ready(if number == 70 { Err("no".into()) } else { Ok(()) })).await;
        assert!(failed.is_err());
    }

    #[tokio::test]
    async fn what_was_started_is_told_when_the_end_comes() {
        let (started, ()) =
            paced(1e-3, std::future::ready(()), |_| std::future::ready(Ok(()))).await.unwrap();
        assert_eq!(started, 1);
    }
}
