//! The program that is killed: a host on the embedded store.

use hookwire::store::SqliteStore;
use tokio::runtime::Runtime;

use crate::harness::host::{Bug, Task, live};

/// What is told to the program by its arguments.
pub(crate) fn arguments(file: &str, task: &Task) -> [String; 5] {
    let Task { bug, drains, process, url } = task;
    [file.to_owned(), format!("{bug:?}"), drains.to_string(), process.to_string(), url.clone()]
}

pub(crate) fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [file, bug, drains, process, url] = given.try_into().expect("the five arguments");
    let bugs = [Bug::ConfirmsEarly, Bug::DeliversAgain, Bug::None, Bug::SleepsAtTheEnd];
    let bug = bugs.into_iter().find(|it| format!("{it:?}") == bug).expect("a bug");
    let drains = drains.parse().expect("whether it drains");
    let task = Task { bug, drains, process: process.parse().expect("a number"), url };
    Runtime::new().expect("a runtime").block_on(async {
        let store = SqliteStore::open(file).await.expect("the file of the one that was killed");
        live(store, task).await;
    });
}
