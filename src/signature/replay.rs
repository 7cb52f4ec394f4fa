//! [`ReplayMemory`]: recognising requests that were received before.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::verify::Verified;
use crate::model::Timestamp;

/// A memory of verified messages, which recognises replays within one process.
///
/// A message is remembered until the last of its requests that were passed to [`admit`](Self::admit) is too old to
/// be verified. A later request of the same message extends that time, because it could be replayed as well.
///
/// A sender retries under the same message id for days. To handle each message exactly once, store its id in the
/// receiver's own database, in the transaction that handles it.
///
/// ```
/// use hookwire::model::{MessageId, SignatureScheme, Timestamp};
/// use hookwire::signature::{KeyRing, Message, ReplayMemory, Replayed, Secret, Verifier};
///
/// let (secret, id) = (Secret::from_random([7; 32]), MessageId::new("msg_1")?);
/// let at = Timestamp::from_secs(1_700_000_000);
/// let message = Message { scheme: SignatureScheme::V1, id: &id, at, body: b"{}" };
/// let headers = message.headers(&KeyRing::new(secret.clone()).sign(&message))?;
///
/// let mut memory = ReplayMemory::new(100_000);
/// let verified = Verifier::new([secret]).verify(&headers, b"{}", at)?;
/// assert_eq!(memory.admit(&verified, at), Ok(()));
/// assert_eq!(memory.admit(&verified, at), Err(Replayed)); // answer 2xx: it was handled
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReplayMemory {
    capacity: usize,
    /// The time until which each message is remembered.
    until: BTreeMap<String, Timestamp>,
    /// The same entries ordered by time, to find the next one to forget.
    by_time: BTreeSet<(Timestamp, String)>,
}

impl ReplayMemory {
    /// Creates a memory of at most `capacity` messages, at least one. A full memory forgets the oldest: choose
    /// a capacity for all messages that arrive within twice the tolerance of the verifier.
    pub const fn new(capacity: usize) -> Self {
        let capacity = if capacity == 0 { 1 } else { capacity };
        Self { capacity, until: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// Remembers a new message. A known message is remembered longer if this request can be replayed longer.
    ///
    /// # Errors
    ///
    /// Returns [`Replayed`] if the message is known. Answer with 2xx and do nothing.
    pub fn admit(&mut self, verified: &Verified, now: impl Into<Timestamp>) -> Result<(), Replayed> {
        self.forget_before(Timestamp::from_secs(now.into().as_secs()));
        let id = verified.message_id();
        let until = verified.valid_until();
        if let Some(known) = self.until.get(id).copied() {
            self.remember(id, until.max(known));
            return Err(Replayed);
        }
        if self.until.len() >= self.capacity
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.until.remove(&oldest);
        }
        self.remember(id, until);
        Ok(())
    }

    fn remember(&mut self, id: &str, until: Timestamp) {
        self.forget(id);
        self.until.insert(id.to_owned(), until);
        self.by_time.insert((until, id.to_owned()));
    }

    /// Forgets a message that could not be handled, so that its retry is admitted.
    pub fn forget(&mut self, message_id: &str) {
        if let Some(entry) = self.until.remove_entry(message_id) {
            let (id, until) = entry;
            self.by_time.remove(&(until, id));
        }
    }

    fn forget_before(&mut self, now: Timestamp) {
        let live = self.by_time.split_off(&(now, String::new()));
        for (_, id) in std::mem::replace(&mut self.by_time, live) {
            self.until.remove(&id);
        }
    }
}

/// The error of a message that was admitted before.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("the message was admitted before")]
#[expect(clippy::exhaustive_structs, reason = "there is nothing more to say")]
pub struct Replayed;

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::model::{MessageId, SignatureScheme};
    use crate::signature::{KeyRing, Message, Secret, Verifier, VerifyError};

    fn arrives(id: &str, sent_at: i64, now: i64) -> Result<Verified, VerifyError> {
        let (secret, id) = (Secret::from_random([7; 32]), MessageId::new(id).expect("valid"));
        let at = Timestamp::from_secs(sent_at);
        let message = Message { scheme: SignatureScheme::V1, id: &id, at, body: b"{}" };
        let headers: HeaderMap<HeaderValue> =
            message.headers(&KeyRing::new(secret.clone()).sign(&message)).expect("signed");
        Verifier::new([secret]).verify(&headers, b"{}", Timestamp::from_secs(now))
    }

    fn admit(memory: &mut ReplayMemory, id: &str, sent_at: i64) -> Result<(), Replayed> {
        let verified = arrives(id, sent_at, sent_at).expect("in time");
        memory.admit(&verified, Timestamp::from_secs(sent_at))
    }

    /// At no moment is a request neither remembered nor refused.
    #[test]
    fn a_request_is_remembered_for_as_long_as_it_would_be_verified() {
        for sent_at in [700, 1_000, 1_300] {
            let mut memory = ReplayMemory::new(10);
            let first = arrives("a", sent_at, 1_000).expect("in time");
            assert_eq!(memory.admit(&first, Timestamp::from_secs(1_000)), Ok(()));
            for millis in (1_000_000..1_700_000).step_by(500) {
                let now = Timestamp::from_millis(millis);
                let Ok(again) = arrives("a", sent_at, now.as_secs()) else { continue };
                assert_eq!(memory.admit(&again, now), Err(Replayed), "sent {sent_at}, now {millis}");
            }
        }
    }

    /// The second request of a message is refused as well, for as long as it would be verified.
    #[test]
    fn a_message_that_is_tried_again_is_known_until_its_last_request_is_too_old() {
        let mut memory = ReplayMemory::new(10);
        admit(&mut memory, "a", 1_000).expect("new");
        assert_eq!(admit(&mut memory, "a", 1_300), Err(Replayed), "a retry, at the last moment");
        let early = arrives("a", 1_010, 1_300).expect("in time");
        let now = Timestamp::from_secs(1_300);
        assert_eq!(memory.admit(&early, now), Err(Replayed), "an older request makes it known no shorter");
        for now in 1_300..=1_600 {
            let replayed = arrives("a", 1_300, now).expect("in time");
            assert_eq!(memory.admit(&replayed, Timestamp::from_secs(now)), Err(Replayed), "at {now}");
        }
        assert_eq!((memory.until.len(), memory.by_time.len()), (1, 1));
        assert_eq!(admit(&mut memory, "a", 1_601), Ok(()), "nothing that was seen would be verified now");
    }

    #[test]
    fn what_has_expired_leaves_no_trace() {
        let mut memory = ReplayMemory::new(10);
        admit(&mut memory, "a", 1_000).expect("new");
        admit(&mut memory, "b", 1_301).expect("new");
        assert_eq!((memory.until.len(), memory.by_time.len()), (1, 1));
        assert_eq!(admit(&mut memory, "a", 1_301), Ok(()), "a retry of the sender, long after");
    }

    #[test]
    fn a_full_memory_forgets_the_oldest() {
        let mut memory = ReplayMemory::new(2);
        for id in ["a", "b", "c"] {
            admit(&mut memory, id, 1_000).expect("new");
            assert!(memory.until.len() <= 2 && memory.by_time.len() <= 2);
        }
        assert_eq!(admit(&mut memory, "b", 1_000), Err(Replayed));
        assert_eq!(admit(&mut memory, "c", 1_000), Err(Replayed));
        assert_eq!(admit(&mut memory, "a", 1_000), Ok(()));
        let mut none = ReplayMemory::new(0);
        admit(&mut none, "a", 1_000).expect("new");
        assert_eq!(admit(&mut none, "a", 1_000), Err(Replayed), "at least one");
    }

    #[test]
    fn what_could_not_be_handled_may_come_again() {
        let mut memory = ReplayMemory::new(2);
        admit(&mut memory, "a", 1_000).expect("new");
        memory.forget("a");
        memory.forget("unknown");
        assert_eq!(admit(&mut memory, "a", 1_000), Ok(()));
    }
}
