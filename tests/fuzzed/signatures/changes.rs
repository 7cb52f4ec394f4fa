//! What may befall a request on its way.

use hookwire::model::Timestamp;
use hookwire::signature::{SigningKey, WEBHOOK_ID, WEBHOOK_TIMESTAMP};
use http::{HeaderName, HeaderValue};

use super::super::input::Input;
use super::Arrival;
use super::forms::Signed;

/// The message as it arrives after a few changes, or none.
pub(crate) fn changed(input: &mut Input<'_>, signed: &Signed) -> Arrival {
    let mut arrival = signed.arrival();
    for _ in 0..input.below(4) {
        match input.below(5) {
            0 => arrival.now = moved(input, arrival.now),
            1 => keys(input, &mut arrival),
            2 => body(input, &mut arrival.body),
            _ => header(input, &mut arrival),
        }
    }
    arrival
}

fn moved(input: &mut Input<'_>, now: Timestamp) -> Timestamp {
    let by = input.pick(&[300, -300, 301, -301, 1, 1_000_000, i64::MIN / 4]);
    Timestamp::from_secs(now.as_secs().saturating_add(by))
}

fn keys(input: &mut Input<'_>, arrival: &mut Arrival) {
    match input.below(3) {
        0 => drop(arrival.keys.pop()),
        1 => arrival.keys.reverse(),
        _ => arrival.keys = vec![SigningKey::from_random(arrival.form.scheme(), [input.byte(); 32])],
    }
}

fn body(input: &mut Input<'_>, body: &mut Vec<u8>) {
    match input.below(3) {
        0 => drop(body.pop()),
        1 => body.push(input.byte()),
        _ => {
            let at = input.below(body.len().clamp(1, 256));
            body.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << input.below(8));
        }
    }
}

fn header(input: &mut Input<'_>, arrival: &mut Arrival) {
    let name = input.pick(&[arrival.form.header(), arrival.form.header(), WEBHOOK_ID, WEBHOOK_TIMESTAMP]);
    let present = arrival.headers.get(&name).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    match input.below(8) {
        0 => drop(arrival.headers.remove(&name)),
        1 => add(arrival, name, &present),
        _ => {
            let value = rewritten(input, present);
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                arrival.headers.insert(name, value);
            }
        }
    }
}

fn add(arrival: &mut Arrival, name: HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        arrival.headers.append(name, value);
    }
}

/// The value with a byte, an entry or all of it changed.
fn rewritten(input: &mut Input<'_>, mut value: Vec<u8>) -> Vec<u8> {
    let junk = input.pick(&["v1,AAAA ", "v1=00,", "v2,x ", "t=1,", "v1,", " ", "sha256=", ","]);
    match input.below(7) {
        0 => value.iter_mut().skip(input.below(256)).take(1).for_each(|byte| *byte ^= 1 << input.below(7)),
        1 => value.truncate(input.below(256)),
        2 => value.splice(..0, junk.repeat(input.below(40)).bytes()).for_each(drop),
        3 => value.extend(junk.bytes()),
        4 => value = input.bytes(64).to_vec(),
        5 => value.make_ascii_uppercase(),
        _ => {
            value =
                String::from_utf8_lossy(&value).replace("v1", input.pick(&["v1a", "v2", "V1"])).into_bytes()
        }
    }
    value
}
