//! A tracing subscriber that records every event.

use std::fmt::Debug;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest, set_default, set_global_default};
use tracing::{Metadata, Subscriber};

/// Writes down every event and span of a thread, of every level.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

/// Records nothing of the threads that have no log, and has tracing ask each time.
struct Unlogged;

impl Log {
    /// Records what this thread does until the guard is dropped.
    pub(crate) fn record_thread(&self) -> DefaultGuard {
        // Without a global subscriber, a thread without a log that comes first to an event turns it off for all threads.
        let _ = set_global_default(Unlogged);
        set_default(self.clone())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("whole").clone()).expect("text")
    }

    fn line(&self, of: &Metadata<'_>, record: impl FnOnce(&mut dyn Visit)) {
        let mut line = Line(format!("{} {}:", of.level(), of.target()));
        record(&mut line);
        writeln!(self.0.lock().expect("whole"), "{}", line.0).expect("memory");
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.line(span.metadata(), |line| span.record(line));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        self.line(event.metadata(), |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Subscriber for Unlogged {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn an_event_that_another_thread_comes_to_first_is_recorded() {
    let happen = || tracing::warn!("it happened");
    let log = Log::default();
    let guard = log.record_thread();
    std::thread::spawn(happen).join().expect("no panic");
    assert_eq!(log.text(), "", "of the other thread");
    happen();
    drop(guard);
    assert!(log.text().contains("it happened"), "{}", log.text());
}
