//! The course of a world, from its seed to its end.

use std::sync::Arc;

use tokio::time::sleep;

use crate::acts;
use crate::bug::Bug;
use crate::world::{Ending, World};

/// Runs the world of a seed on paused time.
pub(crate) fn play(seed: u64, bug: Option<Bug>) -> Ending {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(run(seed, bug))
}

async fn run(seed: u64, bug: Option<Bug>) -> Ending {
    let mut world = World::new(seed, bug.map(Arc::new));
    world.start_all().await;
    let acts = world.prng.between(25, 60);
    for _ in 0..acts {
        acts::act(&mut world);
        let pause = world.prng.pick(&[10, 100, 1_000, 10_000, 40_000]).copied().unwrap_or(10);
        sleep(world.prng.millis(0, pause)).await;
    }
    world.stop_failing().await;
    world.wait_for_the_end().await;
    world.check_promptness().await;
    world.finish().await
}
