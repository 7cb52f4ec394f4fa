//! A verifier takes what was signed, within its time, and nothing else, however its headers are changed.

mod changes;
mod forms;

use hookwire::model::{MessageId, Timestamp};
use hookwire::signature::SigningKey;
use http::HeaderMap;

use self::changes::changed;
use self::forms::{Form, Signed};
use super::input::Input;
use super::{Target, Verdict};

pub(crate) const TARGET: Target = Target {
    name: "signatures",
    holds: |input| holds(accepts, input),
    planted: &[
        ("any_second_entry", |input| holds(any_second_entry, input)),
        ("no_time", |input| holds(no_time, input)),
    ],
};

/// What arrives at a receiver.
#[derive(Clone)]
pub(crate) struct Arrival {
    form: Form,
    /// What the receiver verifies by.
    keys: Vec<SigningKey>,
    headers: HeaderMap,
    body: Vec<u8>,
    now: Timestamp,
}

fn holds(accepts: fn(&Arrival) -> bool, input: &[u8]) -> Verdict {
    let mut input = Input::new(input);
    let signed = signed(&mut input);
    let arrival = changed(&mut input, &signed);
    let (accepted, right) = (accepts(&arrival), signed.vouches_for(&arrival));
    let Arrival { form, headers, body, now, .. } = &arrival;
    ensure!(accepted == right, "{form:?} accepted: {accepted}; {headers:?} {body:?} at {now:?}");
    Ok(())
}

fn signed(input: &mut Input<'_>) -> Signed {
    let form = input.pick(&[Form::V1, Form::V1a, Form::GitHub, Form::Stripe]);
    let seed = input.byte();
    let keys = [0, 1].map(|nth| SigningKey::from_random(form.scheme(), [seed.wrapping_add(nth); 32]));
    let id = MessageId::new(input.pick(&["msg_1", "1", "a-b"])).expect("valid");
    let at = Timestamp::from_secs(i64::from(input.byte()) * 10_000_000);
    Signed::new(form, keys, &id, at, input.bytes(16).to_vec())
}

fn accepts(arrival: &Arrival) -> bool {
    arrival.form.accepts(arrival)
}

/// Takes a match for granted where there is more than one entry.
fn any_second_entry(arrival: &Arrival) -> bool {
    let entries = |text: &str| text.split([' ', ',']).filter(|entry| entry.len() > 40).count();
    let header = arrival.headers.get(arrival.form.header()).and_then(|it| it.to_str().ok());
    accepts(arrival) || header.is_some_and(|text| entries(text) > 1)
}

/// Goes by the sender's time instead of its own.
fn no_time(arrival: &Arrival) -> bool {
    let sent_at = arrival.form.sent_at(&arrival.headers);
    accepts(&Arrival { now: sent_at.unwrap_or(arrival.now), ..arrival.clone() })
}
