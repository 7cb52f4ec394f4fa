//! A day of events in fast motion, of which an hour is kept, for any store: what is stored stays as large as it is.

use std::sync::Arc;
use std::time::Duration;

use hookwire::model::{End, HookId};
use hookwire::store::{Store, TendRequest};

use super::backlog::{BATCH, Scene, tenant};
use super::{Error, timed};

const HOUR: usize = 3600;
/// The time between two steps of a dispatcher's upkeep, in seconds.
const MINUTE: usize = 60;
/// The hours whose largest size the later ones are compared with. Everything is there by then: an hour that is kept, an
/// hour of what was removed and has not been used again, and the ebb and flow of what the database tidies up by itself.
const SETTLED: usize = 8;
const MAX_RATIO: f64 = 1.1;

/// A database whose time is set.
pub(crate) trait Motion {
    async fn store(&self) -> Result<Arc<dyn Store>, Error>;

    /// Lets time pass, and tidies up as the database does by itself in real time.
    async fn advance(&self, by: Duration) -> Result<(), Error>;

    /// Returns the bytes that the database has.
    async fn size(&self) -> Result<u64, Error>;

    /// What else there is to tell of the last hour, in which so much was delivered.
    async fn tell(&self, delivered: usize) -> Result<String, Error>;
}

/// Lives through a day with so many events a second, and prints a line for each hour. False when the size grows.
pub(crate) async fn run(name: &str, rate: usize, motion: &impl Motion) -> Result<bool, Error> {
    let scene = Scene::new(motion.store().await?, 0).await?;
    println!("{name}: a day with {rate} events a second, of which an hour is kept");
    let mut sizes = Vec::new();
    for hour in 1..=24 {
        let (took, lived) = timed(live(&scene, rate, motion)).await;
        lived?;
        let told = motion.tell(rate * HOUR).await?;
        let size = motion.size().await?;
        let real = took.as_secs_f64();
        println!("hour {hour:>2}: {:>7.1} MB, in {real:>5.1} s{told}", size as f64 / 1e6);
        sizes.push(size);
    }
    let largest = |hours: &[u64]| hours.iter().max().copied().unwrap_or_default() as f64;
    let ratio = largest(&sizes[SETTLED..]) / largest(&sizes[..SETTLED]);
    println!("later on at most {ratio:.3} of the first {SETTLED} hours, of at most {MAX_RATIO}\n");
    Ok(ratio <= MAX_RATIO)
}

/// An hour.
async fn live(scene: &Scene, rate: usize, motion: &impl Motion) -> Result<(), Error> {
    let keep = Duration::from_secs(HOUR as u64);
    for _ in 0..HOUR / MINUTE {
        let mut left = rate * MINUTE;
        while left > 0 {
            let some = left.min(BATCH);
            scene.publish(&tenant("quiet"), HookId::new(1), some).await?;
            scene.drain(End::Delivered).await?;
            left -= some;
        }
        motion.advance(Duration::from_secs(MINUTE as u64)).await?;
        // As the dispatcher does.
        let request = TendRequest { keep, keep_payloads: keep, limit: 500 };
        while scene.store.tend(&request).await?.more {}
    }
    Ok(())
}
