//! The one kind of event that is sent. It carries the time at which it was published.

use std::time::Duration;

use hookwire::model::EventType;
use hookwire::{Catalog, Event, EventId, Payload};
use serde::Serialize;

use crate::Error;
use crate::clock;

/// What precedes the time in a body.
const MARK: &[u8] = b"\"at\":";

/// About as much as a small event has.
const TEXT: &str = "An invoice was paid in full. The customer was told by mail, the books are up to date, and nobody has \
                    to do anything. This text stands for the fields of an ordinary event.";

/// An event of this kind.
#[derive(Debug, Serialize)]
pub struct Note {
    /// Nanoseconds by [`clock::now`].
    at: u64,
    number: usize,
    text: &'static str,
}

impl Payload for Note {
    const EVENT: EventId = EventId::new(1);
}

impl Note {
    /// One that is published now.
    pub fn new(number: usize) -> Self {
        let at = u64::try_from(clock::now().as_nanos()).expect("below 500 years");
        Self { at, number, text: TEXT }
    }

    pub(crate) fn event(number: usize) -> Result<Event, Error> {
        Ok(Event::of(&Self::new(number))?)
    }
}

pub(crate) fn catalog() -> Result<Catalog, Error> {
    let sample = Note::new(0);
    Ok(Catalog::builder().event(EventType::of("invoice.paid", "Invoice paid", &sample)).build()?)
}

/// The time at which the event of a body was published.
pub(crate) fn published_at(body: &[u8]) -> Option<Duration> {
    let after = body.windows(MARK.len()).position(|it| it == MARK)? + MARK.len();
    let digits = body.get(after..)?.iter().take_while(|it| it.is_ascii_digit());
    let text: String = digits.copied().map(char::from).collect();
    Some(Duration::from_nanos(text.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_publishing_is_found_in_a_body() {
        let body = br#"{"type":"invoice.paid","data":{"at":1234567,"number":1}}"#;
        assert_eq!(published_at(body), Some(Duration::from_nanos(1_234_567)));
        assert_eq!(published_at(b"{}"), None);
        assert_eq!(published_at(br#"{"at":x}"#), None);
    }

    #[test]
    fn an_event_tells_when_it_was_made() {
        let before = clock::now();
        let event = Note::event(7).expect("JSON");
        let at = published_at(event.payload().get().as_bytes()).expect("it has a time");
        assert!((before..=clock::now()).contains(&at));
    }
}
