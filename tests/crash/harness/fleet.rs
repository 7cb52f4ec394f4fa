//! A number of processes of one kind, of which one at a time is killed at a random moment.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::ledger::Ledger;
use super::process::Process;
use crate::prng::Prng;

/// The kills in a row that a delivery sees at most: from the fifth on a store may put it off for an hour.
const MAX_HITS: u32 = 3;

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after its start, whatever it does then.
    After(Duration),
    /// As soon as it has confirmed so many messages.
    Confirmed(usize),
}

/// Processes of one kind, of which one is killed at a time.
pub(crate) struct Fleet {
    start: Box<dyn Fn(u32) -> Process>,
    running: Vec<(u32, Process)>,
    ledger: Arc<Ledger>,
    prng: Prng,
    started: u32,
}

impl Fleet {
    /// Starts so many; `start` is given the number of each, which is never used again.
    pub(crate) fn new(
        size: usize,
        seed: u64,
        ledger: &Arc<Ledger>,
        start: impl Fn(u32) -> Process + 'static,
    ) -> Self {
        let (start, prng) = (Box::new(start), Prng::new(seed));
        let mut fleet = Self { start, running: Vec::new(), ledger: Arc::clone(ledger), prng, started: 0 };
        (0..size).for_each(|_| fleet.start_one());
        fleet
    }

    /// Kills one of them at a moment that the seed draws, and starts another in its place.
    pub(crate) fn kill_one(&mut self) {
        self.kill_any();
        self.start_one();
    }

    /// Kills them all, one after the other.
    pub(crate) fn kill_all(mut self) {
        while !self.running.is_empty() {
            self.kill_any();
        }
    }

    fn start_one(&mut self) {
        self.started += 1;
        self.running.push((self.started, (self.start)(self.started)));
    }

    fn kill_any(&mut self) {
        let victim = usize::try_from(self.prng.below(self.running.len() as u64)).expect("an index");
        match self.draw() {
            Moment::After(time) => thread::sleep(time),
            Moment::Confirmed(more) => {
                let before = self.ledger.book().confirmed.len();
                let enough =
                    self.ledger.wait(Duration::from_secs(30), |book| book.confirmed.len() >= before + more);
                assert!(enough, "messages are no longer confirmed");
            }
        }
        self.ledger.wait_for_hits(Duration::from_secs(10), MAX_HITS);
        let (number, process) = self.running.swap_remove(victim);
        self.ledger.killed(number);
        process.kill();
        self.ledger.count_hits(number);
    }

    fn draw(&mut self) -> Moment {
        if self.prng.chance(50) {
            Moment::After(self.prng.millis(0, 250))
        } else {
            Moment::Confirmed(usize::try_from(self.prng.between(1, 60)).expect("few"))
        }
    }
}
