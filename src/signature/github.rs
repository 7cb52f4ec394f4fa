//! [`GitHubVerifier`]: verifying GitHub's form of signatures.

use http::HeaderMap;

use super::headers::HUB_SIGNATURE;
use super::hex;
use super::text_keys::TextKeys;
use super::verify::{VerifyError, single};

/// A verifier of requests that carry GitHub's signature: `X-Hub-Signature-256: sha256=` and the HMAC-SHA256 of the
/// body in hexadecimal, with the text of the secret as key.
///
/// Neither time nor message id is signed, so whoever has seen a request can send it again. Prefer
/// [`Verifier`](super::Verifier) where you have the choice.
///
/// ```
/// use hookwire::signature::GitHubVerifier;
/// use http::{HeaderMap, HeaderValue};
///
/// let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
/// let mut headers = HeaderMap::new();
/// headers.insert("x-hub-signature-256", HeaderValue::from_static(signature));
/// GitHubVerifier::new(["It's a Secret to Everybody"]).verify(&headers, b"Hello, World!")?;
/// # Ok::<_, hookwire::signature::VerifyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GitHubVerifier {
    secrets: TextKeys,
}

impl GitHubVerifier {
    /// Creates a verifier that accepts signatures of any of `secrets`. Empty ones are skipped.
    ///
    /// A secret is every byte of its text, since it may be any text: white space around it counts. Trim what was pasted
    /// or read from a file.
    pub fn new<K: AsRef<[u8]>>(secrets: impl IntoIterator<Item = K>) -> Self {
        Self { secrets: TextKeys::new(secrets) }
    }

    /// Verifies a request by its headers and the exact bytes of its body.
    ///
    /// # Errors
    ///
    /// Returns [`VerifyError`] if the request is not authentic. Answer it with 401 and do nothing else.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), VerifyError> {
        let malformed = || VerifyError::MalformedHeader(HUB_SIGNATURE);
        let digits = single(headers, &HUB_SIGNATURE)?.strip_prefix("sha256=").ok_or_else(malformed)?;
        let tag = hex::decode(digits).ok_or_else(malformed)?;
        self.secrets.verify(&[body], &[tag]).then_some(()).ok_or(VerifyError::NoMatch)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::model::{MessageId, SignatureScheme, Timestamp};
    use crate::signature::{KeyRing, Message, Secret};

    const TAG: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn verify(secret: &str, header: &str, body: &[u8]) -> Result<(), VerifyError> {
        let value = HeaderValue::from_str(header).expect("a header value");
        let headers = HeaderMap::from_iter([(HUB_SIGNATURE, value)]);
        GitHubVerifier::new([secret]).verify(&headers, body)
    }

    /// The example of GitHub's documentation.
    #[test]
    fn the_documented_example_is_verified_and_nothing_else() {
        let (secret, header, body) =
            ("It's a Secret to Everybody", format!("sha256={TAG}"), b"Hello, World!".as_slice());
        assert_eq!(verify(secret, &header, body), Ok(()));
        assert_eq!(verify(secret, &header, b"Hello, World?"), Err(VerifyError::NoMatch));
        assert_eq!(verify("another", &header, body), Err(VerifyError::NoMatch));
        assert_eq!(verify(secret, &header[..header.len() - 2], body), Err(VerifyError::NoMatch));
        let malformed = Err(VerifyError::MalformedHeader(HUB_SIGNATURE));
        for header in [TAG, "sha1=aa", "sha256=xy", &header[..header.len() - 1]] {
            assert_eq!(verify(secret, header, body), malformed, "{header}");
        }
        let unsigned = GitHubVerifier::new([secret]).verify(&HeaderMap::new(), body);
        assert_eq!(unsigned, Err(VerifyError::MissingHeader(HUB_SIGNATURE)));
    }

    #[test]
    fn an_empty_secret_verifies_nothing() {
        let tag = crate::signature::hmac::HmacKey::new(b"").sign(&[b"{}"]);
        let header = format!("sha256={}", hex::encode(&tag));
        assert_eq!(verify("", &header, b"{}"), Err(VerifyError::NoMatch));
    }

    #[test]
    fn what_was_signed_verifies_by_the_text_of_the_secret() {
        let (secret, id) = (Secret::from_random([7; 32]), MessageId::new("m").expect("valid"));
        let message = Message {
            scheme: SignatureScheme::GitHub,
            id: &id,
            at: Timestamp::from_secs(5),
            body: &[0xff, 0, b'{'],
        };
        let headers = message.headers(&KeyRing::new(secret.clone()).sign(&message)).expect("signed");
        let verifier = GitHubVerifier::new([&*secret.expose()]);
        assert_eq!(verifier.verify(&headers, message.body), Ok(()));
        assert!(format!("{verifier:?}").contains("[redacted]"));
    }
}
