//! No `Retry-After` of a receiver is misread, and none delays its deliveries beyond the cap.

use std::time::Duration;

use hookwire::model::Timestamp;
use hookwire::retry::{Jitter, RetryPolicy, parse_retry_after};
use http::HeaderValue;

use super::input::Input;
use super::{Target, Verdict};

pub(crate) const TARGET: Target = Target {
    name: "retry_after",
    holds: |input| holds(&REAL, input),
    planted: &[
        ("no_cap", |input| holds(&Hints { delay: without_a_cap, ..REAL }, input)),
        ("short_numbers", |input| holds(&Hints { read: in_32_bits, ..REAL }, input)),
    ],
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// 9999-12-31T23:59:59Z, the last second that an HTTP date can name.
const LAST_SECOND: u64 = 253_402_300_799;

/// How a hint is read, and what delay it makes after so many attempts.
struct Hints {
    read: fn(&HeaderValue, Timestamp) -> Option<Duration>,
    delay: fn(u32, Option<Duration>) -> Option<Duration>,
}

const REAL: Hints = Hints { read: parse_retry_after, delay };

fn delay(attempts: u32, hint: Option<Duration>) -> Option<Duration> {
    RetryPolicy::default().delay_after(attempts, Jitter::NONE, hint)
}

fn without_a_cap(attempts: u32, hint: Option<Duration>) -> Option<Duration> {
    delay(attempts, None).map(|scheduled| scheduled.max(hint.unwrap_or_default()))
}

fn in_32_bits(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    parse_retry_after(value, now).map(|hint| Duration::from_secs(hint.as_secs() & u64::from(u32::MAX)))
}

/// What a header must be read as, as far as this page knows.
enum Meaning {
    Exactly(Duration),
    Nothing,
    Whatever,
}

fn holds(hints: &Hints, input: &[u8]) -> Verdict {
    let mut input = Input::new(input);
    let attempts = u32::try_from(input.below(12)).unwrap_or_default();
    let now = Timestamp::from_secs(i64::try_from(input.number() % LAST_SECOND).unwrap_or_default());
    let (bytes, meaning) = header(&mut input, now);
    let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
    let hint = (hints.read)(&value, now);
    let right = match meaning {
        Meaning::Exactly(wait) => hint == Some(wait),
        Meaning::Nothing => hint.is_none(),
        Meaning::Whatever => true,
    };
    ensure!(right, "{value:?} at {now:?} was read as {hint:?}");
    delays(hints, attempts, hint)
}

fn delays(hints: &Hints, attempts: u32, hint: Option<Duration>) -> Verdict {
    let (scheduled, delay) = ((hints.delay)(attempts, None), (hints.delay)(attempts, hint));
    let Some(scheduled) = scheduled else {
        ensure!(delay.is_none(), "a hint lengthens the schedule after {attempts}");
        return Ok(());
    };
    let right = scheduled.max(hint.unwrap_or_default().min(DAY));
    ensure!(delay == Some(right), "{hint:?} after {attempts} makes {delay:?} instead of {right:?}");
    Ok(())
}

fn header(input: &mut Input<'_>, now: Timestamp) -> (Vec<u8>, Meaning) {
    match input.below(4) {
        0 => seconds(input),
        1 => date(input, now),
        2 => (input.bytes(255).to_vec(), Meaning::Whatever),
        _ => {
            let words = ["soon", "-1", "+5", "1.5", "1e3", "0x10", "1 2", "", "GMT", "Sun, 06 Nov 1994"];
            (input.pick(&words).as_bytes().to_vec(), Meaning::Nothing)
        }
    }
}

fn seconds(input: &mut Input<'_>) -> (Vec<u8>, Meaning) {
    let number = input.number() >> input.below(64);
    let tail = input.pick(&["", "", "0", "0000000000000000000"]);
    let text = format!("{}{number}{tail}", input.pick(&["", "0", "000"]));
    // More than fit are the most that do.
    let meant = text.parse::<u128>().map_or(u64::MAX, |all| u64::try_from(all).unwrap_or(u64::MAX));
    (text.into_bytes(), Meaning::Exactly(Duration::from_secs(meant)))
}

fn date(input: &mut Input<'_>, now: Timestamp) -> (Vec<u8>, Meaning) {
    let near = u64::try_from(now.as_secs()).unwrap_or_default().saturating_add(input.number() % 100_000);
    let second = input.pick(&[near, near, near / 7]).min(LAST_SECOND);
    let at = Timestamp::from_secs(i64::try_from(second).unwrap_or_default());
    let form = input.below(3);
    // The form with two digits names the years from 1970 to 2069 alone.
    let meaning = if form == 1 && second >= 3_155_760_000 {
        Meaning::Whatever
    } else {
        Meaning::Exactly(at.since(now))
    };
    (written(second, form).into_bytes(), meaning)
}

/// A second in one of the three forms of RFC 9110, by a calendar of its own.
fn written(second: u64, form: usize) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    let (days, rest) = (second / 86_400, second % 86_400);
    let (year, month, day) = civil(days);
    let name = DAYS[usize::try_from(days % 7).unwrap_or_default()];
    let (short, month) = (&name[..3], MONTHS[month]);
    let time = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match form {
        0 => format!("{short}, {day:02} {month} {year:04} {time} GMT"),
        1 => format!("{name}, {day:02}-{month}-{:02} {time} GMT", year % 100),
        _ => format!("{short} {month} {day:2} {time} {year:04}"),
    }
}

/// Year, month from 0, and day of the month, of a day counted from 1970-01-01.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    // An era of 400 years has the same days whichever it is.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}
