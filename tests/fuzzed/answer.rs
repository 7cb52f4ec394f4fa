//! Whatever a receiver answers, the exchange ends within its deadline, and head and body stay within their caps.

mod cases;
mod exchange;

use std::time::Duration;

use bytes::Bytes;
use hookwire::model::FailureKind;
use hookwire::transport::{SendLimits, TransportError};
use http::Response;

use self::cases::{Case, Meaning};
use self::exchange::exchange;
use super::input::Input;
use super::{Target, Verdict};

pub(crate) const TARGET: Target = Target {
    name: "answer",
    holds: |input| holds(|limits| limits, input),
    planted: &[
        ("no_cap", |input| holds(|limits| limits.with_body_bytes(usize::MAX), input)),
        ("no_deadline", |input| holds(|limits| limits.with_deadline(A_WHILE * 2), input)),
    ],
};

/// What a loaded machine may add to a deadline.
const A_WHILE: Duration = Duration::from_secs(2);

/// The most that the head of an answer may take.
const HEAD_BYTES: usize = 64 * 1024;

fn holds(limits: fn(SendLimits) -> SendLimits, input: &[u8]) -> Verdict {
    let case = Case::of(&mut Input::new(input));
    let (answer, took) = exchange(&case, limits(case.limits));
    ensure!(took <= case.limits.deadline() + A_WHILE, "it took {took:?} of {:?}", case.limits.deadline());
    match (&answer, case.meaning) {
        (Ok(answer), meaning) => is_within(&case, answer).and_then(|()| is_right(&case, answer, meaning)),
        (Err(error), meaning) => fails_rightly(error, meaning),
    }
}

fn is_within(case: &Case, answer: &Response<Bytes>) -> Verdict {
    let (body, most) = (answer.body().len(), case.limits.body_bytes());
    ensure!(body <= most, "{body} bytes of a body are kept, at most {most}");
    let lines = answer.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 2);
    let head: usize = lines.sum();
    ensure!(head <= HEAD_BYTES, "{head} bytes of a head are kept");
    Ok(())
}

fn is_right(case: &Case, answer: &Response<Bytes>, meaning: Meaning) -> Verdict {
    let kept = case.body.get(..case.limits.body_bytes()).unwrap_or(&case.body);
    let got = (answer.status().as_u16(), answer.body().as_ref());
    match meaning {
        Meaning::Whole(status) => ensure!(got == (status, kept), "{status} {kept:?} came as {got:?}"),
        Meaning::TooLong => return Err(format!("a head without end came as {got:?}")),
        Meaning::Whatever => {}
    }
    Ok(())
}

fn fails_rightly(error: &TransportError, meaning: Meaning) -> Verdict {
    let told = matches!(error.kind(), FailureKind::Protocol | FailureKind::Timeout);
    ensure!(told, "an answer failed as {:?}", error.kind());
    ensure!(!matches!(meaning, Meaning::Whole(_)), "a whole answer failed: {}", error.detail());
    Ok(())
}
