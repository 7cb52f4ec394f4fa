//! Makes answers of a receiver from an input.

use std::time::Duration;

use hookwire::transport::SendLimits;

use super::super::input::Input;

/// How long a receiver that answers is waited for: never the whole of it.
const LONG: Duration = Duration::from_secs(20);

/// The same for one that stays silent.
const SHORT: Duration = Duration::from_millis(20);

/// One answer, and what is to be made of it.
pub(super) struct Case {
    pub(super) answer: Vec<u8>,
    pub(super) meaning: Meaning,
    /// The body that an answer as it should be carries.
    pub(super) body: Vec<u8>,
    /// Whether the receiver keeps the connection open.
    pub(super) stays: bool,
    pub(super) limits: SendLimits,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// The head never ends, as far as anybody reads.
    TooLong,
    Whatever,
    /// It is an answer with this status.
    Whole(u16),
}

impl Case {
    pub(super) fn of(input: &mut Input<'_>) -> Self {
        let stays = input.chance_in(16);
        let limits = SendLimits::new(if stays { SHORT } else { LONG }, input.pick(&[0, 1, 16, 1000]));
        let body = vec![b'x'; usize::from(input.byte()) * input.pick(&[1, 1, 9])];
        let (answer, meaning) = match input.below(5) {
            0 => (std::mem::replace(input, Input::new(&[])).rest().to_vec(), Meaning::Whatever),
            1 => flood(input),
            2 => (Vec::new(), Meaning::Whatever),
            _ => built(input, &body),
        };
        let meaning = if stays && matches!(meaning, Meaning::Whole(_)) { Meaning::Whatever } else { meaning };
        Self { answer, meaning, body, stays, limits }
    }
}

/// A head that is longer than anybody needs.
fn flood(input: &mut Input<'_>) -> (Vec<u8>, Meaning) {
    let line = format!("x-{}: {}\r\n", input.text(4).escape_debug(), "v".repeat(input.below(256)));
    let start = input.pick(&["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nx: ", "HTTP/1.1 200 "]);
    (format!("{start}{}", line.repeat(70_000 / line.len())).into_bytes(), Meaning::TooLong)
}

/// An answer as it should be, perhaps with a change.
fn built(input: &mut Input<'_>, body: &[u8]) -> (Vec<u8>, Meaning) {
    let status = input.pick(&[200, 204, 304, 301, 404, 429, 500, 999]);
    let interim = input.pick(&["", "", "", "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"]);
    let lines = "x-header: value\r\n".repeat(input.below(40));
    let head = format!("{interim}HTTP/1.1 {status} {}\r\n{lines}", input.pick(&["OK", "", "No é"]));
    let mut answer = [head.as_bytes(), &framed(input, body)].concat();
    // These have no body whatever they say, so that what follows is nobody's.
    let bodiless = matches!(status, 204 | 304);
    let spoilt = spoil(input, &mut answer);
    (answer, if spoilt || bodiless { Meaning::Whatever } else { Meaning::Whole(status) })
}

/// The rest of the head, and the body in one of the three ways to tell its end.
fn framed(input: &mut Input<'_>, body: &[u8]) -> Vec<u8> {
    match input.below(3) {
        0 => [b"\r\n", body].concat(),
        1 => [format!("content-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat(),
        _ => {
            let mut framed = b"transfer-encoding: chunked\r\n\r\n".to_vec();
            for chunk in body.chunks(1 + input.below(256)) {
                framed.extend(format!("{:x}\r\n", chunk.len()).bytes());
                framed.extend([chunk, b"\r\n"].concat());
            }
            framed.extend(b"0\r\n\r\n");
            framed
        }
    }
}

/// Cuts, changes or repeats something; tells whether it did.
fn spoil(input: &mut Input<'_>, answer: &mut Vec<u8>) -> bool {
    let at = (input.below(256) * 256 + input.below(256)) % answer.len();
    match input.below(8) {
        0 => answer.truncate(at),
        1 => answer[at] ^= 1 << input.below(8),
        2 => answer.splice(at..at, input.bytes(64).iter().copied()).for_each(drop),
        _ => return false,
    }
    true
}
