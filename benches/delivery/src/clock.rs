//! The two clocks that are read: one that all processes of the machine share, and the CPU time of this one.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The time since a moment that is the same for every process of this machine.
pub fn now() -> Duration {
    read(ClockId::Monotonic)
}

/// The CPU time that this process has taken, all threads together, and no other process.
pub(crate) fn cpu() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).expect("neither clock tells of a time before it began")
}

/// The time and the CPU time of this process since it was made.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    began: Duration,
    cpu: Duration,
}

/// What deliveries have cost.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "figures by name")]
pub struct Cost {
    /// Deliveries a second.
    pub rate: f64,
    /// CPU time of this process a delivery, in microseconds.
    pub cpu_us: f64,
}

impl Stopwatch {
    /// Starts it.
    pub fn start() -> Self {
        Self { began: now(), cpu: cpu() }
    }

    /// The cost of so many deliveries, which took since then.
    pub fn stop(self, deliveries: usize) -> Cost {
        let deliveries = deliveries as f64;
        Cost {
            rate: deliveries / (now() - self.began).as_secs_f64(),
            cpu_us: (cpu() - self.cpu).as_secs_f64() * 1e6 / deliveries,
        }
    }
}
