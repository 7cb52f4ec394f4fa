//! The decisions after an attempt: pure functions from its outcome to the next state of the delivery and of its
//! webhook's lane, and to whether the webhook is disabled.
//!
//! ```
//! use hookwire::delivery::{self, DisablePolicy, Facts, Health, Next, Report, Rules};
//! use hookwire::model::{End, Outcome, Timestamp};
//! use hookwire::retry::{Jitter, RetryPolicy, RetryState};
//! use http::StatusCode;
//!
//! let outcome = Outcome::answered(StatusCode::OK, None, "");
//! let health = Health::default();
//! let retry = RetryState::default();
//! let facts = Facts { number: 1, outcome: &outcome, retry, health: &health, has_progress: false };
//! let rules = Rules { retry: &RetryPolicy::default(), disable: &DisablePolicy::default() };
//! let decision = delivery::decide(facts, rules, Jitter::NONE, Timestamp::from_secs(1_700_000_000));
//! assert_eq!(decision.next, Next::End(End::Delivered));
//! assert_eq!(decision.report, Report::Success);
//! ```
//!
//! # Whose fault a failure is
//!
//! | | uses a step of the schedule | counts towards disabling |
//! |---|---|---|
//! | the request could not be made, or the sender had no means to send it | no: it waits 5 s, doubling up to 1 h | no |
//! | 429 or 503 with a `Retry-After`, and a success since the delivery's last attempt | no: it waits as asked | 503 only |
//! | 429 | yes | no |
//! | anything else but 2xx | yes | yes |

mod decision;
mod disabling;
mod health;

pub use decision::{Decision, Facts, Next, Rules, decide};
pub use disabling::{Counting, DisablePolicy};
pub use health::{Health, LaneClass, Report};
