//! What recovering all that a webhook has missed takes, step by step and broken off half-way, for any store.

use std::sync::Arc;
use std::time::Duration;

use hookwire::model::{End, HookId, PageRequest, Timestamp};
use hookwire::store::{Recovered, Recovery, Store};

use super::backlog::{Database, MAX_GROWTH, Scene, tenant};
use super::{Error, Sample, resident, timed};

/// The steps after which memory is looked at.
const LOOK_EVERY: usize = 50;

/// A process that recovers.
struct Run {
    store: Arc<dyn Store>,
    page: PageRequest,
    made: usize,
    steps: Sample,
    /// The bytes of memory at the beginning, and the most since then.
    memory: (u64, u64),
}

impl Run {
    fn new(store: Arc<dyn Store>, page: PageRequest) -> Result<Self, Error> {
        let now = resident()?;
        Ok(Self { store, page, made: 0, steps: Sample::default(), memory: (now, now) })
    }

    /// Goes on until so many are made, and returns whether there is more.
    async fn make(&mut self, enough: usize) -> Result<bool, Error> {
        for step in 0.. {
            if self.made >= enough {
                return Ok(true);
            }
            let Recovered { made, next, .. } = self.step().await?;
            self.made += made;
            if step % LOOK_EVERY == 0 {
                self.memory.1 = self.memory.1.max(resident()?);
            }
            let Some(next) = next else { break };
            self.page = PageRequest::after(next).with_limit(PageRequest::MAX_LIMIT);
        }
        Ok(false)
    }

    async fn step(&mut self) -> Result<Recovered, Error> {
        let expires = Duration::from_secs(24 * 60 * 60);
        let page = self.page.clone();
        let recovery = Recovery { hook: HookId::new(1), since: Timestamp::default(), expires, page };
        let (took, recovered) = timed(self.store.recover(&tenant("dead"), &recovery)).await;
        self.steps.add(took);
        Ok(recovered?)
    }

    fn grown(&self) -> u64 {
        (self.memory.1 - self.memory.0) / 1024 / 1024
    }

    /// Prints its line of the table, and ends with the store. Returns where another goes on.
    fn end(self, what: &str) -> PageRequest {
        let (median, slow) = (self.steps.median().as_micros(), self.steps.percentile(99).as_micros());
        let (made, steps, grown) = (self.made, self.steps.len(), self.grown());
        println!("{what:<34} {made:>9} {steps:>7} {median:>11} {slow:>9} {grown:>10}");
        self.page
    }
}

/// Recovers `rows` missed deliveries of one webhook, and prints a table. False when some are left or made twice, or when
/// memory grows too much.
pub(crate) async fn run(name: &str, rows: usize, database: &impl Database) -> Result<bool, Error> {
    let scene = Scene::new(database.open("missed").await?, rows).await?;
    scene.drain(End::Exhausted).await?;
    drop(scene);
    println!("{name}: recovering {rows} missed deliveries, {} a step", PageRequest::MAX_LIMIT);
    let title = "made     steps  median, us   p99, us  memory, MB";
    println!("{:<34} {title:>50}", "");
    let first = PageRequest::first().with_limit(PageRequest::MAX_LIMIT);
    let (mut made, mut grown) = (Vec::new(), 0);
    let mut page = first.clone();
    for (what, enough) in
        [("until it is broken off half-way", rows / 2), ("by another process, from there on", rows)]
    {
        let mut run = Run::new(database.reopen("missed").await?, page)?;
        run.make(enough).await?;
        made.push(run.made);
        grown = grown.max(run.grown());
        page = run.end(what);
    }
    let mut again = Run::new(database.reopen("missed").await?, first)?;
    again.make(rows).await?;
    made.push(again.made);
    grown = grown.max(again.grown());
    again.end("all of it again");
    println!("memory grew by {grown} MB at most, of at most {MAX_GROWTH}\n");
    Ok(made[0] + made[1] == rows && made[2] == 0 && grown < MAX_GROWTH)
}
