//! [`StripeVerifier`]: verifying Stripe's form of signatures.

use std::time::Duration;

use http::HeaderMap;

use super::headers::STRIPE_SIGNATURE;
use super::hex;
use super::text_keys::TextKeys;
use super::verify::{MAX_ENTRIES, TOLERANCE, VerifyError, in_time, sent_at, single};
use crate::model::Timestamp;

/// A verifier of requests that carry Stripe's signature: `Stripe-Signature: t=..,v1=..`, the HMAC-SHA256 of
/// `{t}.{body}` in hexadecimal, with the text of the secret as key.
///
/// ```
/// use hookwire::model::Timestamp;
/// use hookwire::signature::StripeVerifier;
/// use http::{HeaderMap, HeaderValue};
///
/// let signature = "t=1636936200,v1=1b3d69df55f1e52f05224ba94a5162abeb17ef52cd7f4948c390f810d6a87e98";
/// let mut headers = HeaderMap::new();
/// headers.insert("stripe-signature", HeaderValue::from_static(signature));
/// let now = Timestamp::from_secs(1_636_936_201);
/// StripeVerifier::new(["secret"]).verify(&headers, b"hello !", now)?;
/// # Ok::<_, hookwire::signature::VerifyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct StripeVerifier {
    secrets: TextKeys,
    tolerance: Duration,
}

impl StripeVerifier {
    /// Creates a verifier that accepts signatures of any of `secrets`, and timestamps up to 5 minutes off, as Stripe's
    /// libraries do. Empty secrets are skipped.
    ///
    /// A secret is every byte of its text, since it may be any text: white space around it counts. Trim what was pasted
    /// or read from a file.
    pub fn new<K: AsRef<[u8]>>(secrets: impl IntoIterator<Item = K>) -> Self {
        Self { secrets: TextKeys::new(secrets), tolerance: TOLERANCE }
    }

    /// Accepts timestamps up to `tolerance` before and after now.
    #[must_use]
    pub fn with_tolerance(self, tolerance: Duration) -> Self {
        Self { tolerance, ..self }
    }

    /// Verifies a request by its headers and the exact bytes of its body. Returns the signed time.
    ///
    /// # Errors
    ///
    /// Returns [`VerifyError`] if the request is not authentic. Answer it with 401 and do nothing else.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: impl Into<Timestamp>,
    ) -> Result<Timestamp, VerifyError> {
        let malformed = || VerifyError::MalformedHeader(STRIPE_SIGNATURE);
        let header = single(headers, &STRIPE_SIGNATURE)?;
        let all = |key: &str| entries(header, key).collect::<Vec<_>>();
        let [timestamp] = all("t")[..] else { return Err(malformed()) };
        let time = sent_at(timestamp).ok_or_else(malformed)?;
        in_time(time, self.tolerance, now.into())?;
        let tags: Vec<_> = entries(header, "v1").filter_map(hex::decode).collect();
        let signed = self.secrets.verify(&[timestamp.as_bytes(), b".", body], &tags);
        signed.then_some(time).ok_or(VerifyError::NoMatch)
    }
}

fn entries<'a>(header: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    let entries = header.split(',').take(MAX_ENTRIES).filter_map(|entry| entry.split_once('='));
    entries.filter(move |(name, _)| *name == key).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::model::{MessageId, SignatureScheme};
    use crate::signature::{KeyRing, Message, Secret};

    const NOW: Timestamp = Timestamp::from_secs(1_636_936_200);

    fn verify(header: &str, body: &[u8], now: Timestamp) -> Result<Timestamp, VerifyError> {
        let value = HeaderValue::from_str(header).expect("a header value");
        let headers = HeaderMap::from_iter([(STRIPE_SIGNATURE, value)]);
        StripeVerifier::new(["secret"]).verify(&headers, body, now)
    }

    /// Computed by `openssl dgst -sha256 -hmac secret` over `1636936200.hello !`.
    const TAG: &str = "1b3d69df55f1e52f05224ba94a5162abeb17ef52cd7f4948c390f810d6a87e98";

    #[test]
    fn a_tag_made_elsewhere_is_verified_and_nothing_else() {
        let header = format!("t=1636936200,v1={TAG}");
        assert_eq!(verify(&header, b"hello !", NOW), Ok(NOW));
        assert_eq!(verify(&header, b"hello ?", NOW), Err(VerifyError::NoMatch));
        let moved = format!("t=1636936201,v1={TAG}");
        assert_eq!(verify(&moved, b"hello !", NOW), Err(VerifyError::NoMatch));
    }

    #[test]
    fn any_v1_entry_is_enough_and_other_versions_are_passed_over() {
        for header in [
            format!("t=1636936200,v1=00,v1={TAG}"),
            format!("t=1636936200,v1={TAG},v0=6ffbb59b2300aae63f272406069a9788"),
            format!("v1={TAG},t=1636936200"),
        ] {
            assert!(verify(&header, b"hello !", NOW).is_ok(), "{header}");
        }
        for header in [format!("t=1636936200,v0={TAG}"), "t=1636936200".to_owned()] {
            assert_eq!(verify(&header, b"hello !", NOW), Err(VerifyError::NoMatch), "{header}");
        }
    }

    #[test]
    fn the_time_is_one_number_within_the_tolerance() {
        let header = format!("t=1636936200,v1={TAG}");
        let at =
            |off_by: i64| verify(&header, b"hello !", Timestamp::from_secs(NOW.as_secs() + off_by)).err();
        assert_eq!((at(300), at(-300)), (None, None));
        assert_eq!((at(301), at(-301)), (Some(VerifyError::TooOld), Some(VerifyError::TooNew)));
        let malformed = Err(VerifyError::MalformedHeader(STRIPE_SIGNATURE));
        for time in ["", "t=,", "t=-1,", "t=x,", "t=1636936200,t=1636936200,", "t1636936200,"] {
            assert_eq!(verify(&format!("{time}v1={TAG}"), b"hello !", NOW), malformed, "{time}");
        }
    }

    #[test]
    fn a_receiver_sets_the_tolerance() {
        let value = HeaderValue::from_str(&format!("t=1636936200,v1={TAG}")).expect("a header value");
        let headers = HeaderMap::from_iter([(STRIPE_SIGNATURE, value)]);
        let verifier = StripeVerifier::new(["secret"]).with_tolerance(Duration::from_secs(10));
        let at = |now: Timestamp| verifier.verify(&headers, b"hello !", now).err();
        assert_eq!(at(NOW.plus(Duration::from_secs(10))), None);
        assert_eq!(at(NOW.plus(Duration::from_secs(11))), Some(VerifyError::TooOld));
    }

    #[test]
    fn what_was_signed_verifies_by_the_text_of_either_secret_of_a_rotation() {
        let (old, new) = (Secret::from_random([7; 32]), Secret::from_random([8; 32]));
        let ring = KeyRing::new(old.clone()).rotate(new.clone(), Duration::from_secs(60), NOW);
        let id = MessageId::new("m").expect("valid");
        let message = Message { scheme: SignatureScheme::Stripe, id: &id, at: NOW, body: &[0xff, 0] };
        let headers = message.headers(&ring.sign(&message)).expect("signed");
        for secret in [old, new] {
            let verifier = StripeVerifier::new([&*secret.expose()]);
            assert_eq!(verifier.verify(&headers, message.body, NOW), Ok(NOW));
        }
    }
}
