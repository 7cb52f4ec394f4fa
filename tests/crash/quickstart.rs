//! The example `quickstart`, killed half-way.

use std::sync::mpsc::channel;
use std::time::Duration;

use crate::harness::{Process, Scratch};

#[path = "../../examples/quickstart.rs"]
pub(crate) mod example;

pub(crate) fn what_was_pending_is_delivered_at_once() {
    let scratch = Scratch::new("quickstart");
    let file = [scratch.place()];
    let run_until = |last: &str| -> Vec<String> {
        let (says, said) = channel();
        let process = Process::start("quickstart", &file, move |line| drop(says.send(line)));
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.contains(last)) {
            lines.push(
                said.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("no {last}: {lines:?}")),
            );
        }
        process.kill();
        lines
    };
    let first = run_until("is published");
    let message =
        first.last().and_then(|line| line.trim().split(' ').next()).expect("the message").to_owned();
    assert!(!first.iter().any(|line| line.contains("receiver") && line.contains(&message)), "{first:?}");
    let second = run_until(&format!("receiver: {message}"));
    assert!(second[0].ends_with("holds 1 deliveries of an earlier run."), "{second:?}");
    assert!(second.last().is_some_and(|line| line.ends_with("-> 200")), "{second:?}");
}
