//! The validation handshake of CloudEvents, in which a receiver confirms at registration that it wants requests.
//!
//! Without it a user can register the URL of somebody else and have events sent there. If the host sets a [`Handshake`]
//! at the [builder](crate::service::WebhooksBuilder::handshake), the registration of a URL sends it an `OPTIONS` request
//! with the header `WebHook-Request-Origin`, and fails unless the response allows that origin. Each later request
//! carries the header too. The request is sent only if the webhook is valid otherwise. A URL whose host has no address
//! is refused, because nobody there can have agreed.
//!
//! The protocol is section 4 of CloudEvents' "HTTP 1.1 Web Hooks for Event Delivery", without the callback by which a
//! receiver can consent later.

use std::num::NonZeroU32;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use thiserror::Error;

use crate::model::CallbackUrl;

/// The header with the name of the sender, in the handshake and in each later request.
pub const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const REQUEST_RATE: HeaderName = HeaderName::from_static("webhook-request-rate");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// The settings of the handshake.
///
/// ```
/// use hookwire::handshake::Handshake;
///
/// let handshake = Handshake::new("events.example.com")?.with_rate(120.try_into()?);
/// assert!(Handshake::new("https://events.example.com").is_err());
/// # let _ = handshake;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Handshake {
    origin: HeaderValue,
    rate: Option<NonZeroU32>,
}

impl Handshake {
    /// Creates a handshake that asks to allow requests from `origin`, the DNS name of the host service.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidOrigin`] if it is not a DNS name.
    pub fn new(origin: &str) -> Result<Self, InvalidOrigin> {
        let label = |label: &str| {
            let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            plain && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
        };
        let sound = origin.len() <= 253 && origin.split('.').all(label);
        let value = HeaderValue::from_str(origin).ok().filter(|_| sound);
        value.map(|origin| Self { origin, rate: None }).ok_or(InvalidOrigin)
    }

    /// Sets the number of requests a minute to ask for. Default: none.
    ///
    /// A receiver that allows fewer is registered with a warning. Requests that it answers with 429 are retried.
    #[must_use]
    pub fn with_rate(self, per_minute: NonZeroU32) -> Self {
        Self { rate: Some(per_minute), ..self }
    }

    /// Returns the value of [`REQUEST_ORIGIN`].
    pub(crate) const fn origin(&self) -> &HeaderValue {
        &self.origin
    }

    /// Creates the request to a receiver.
    pub(crate) fn request(&self, url: &CallbackUrl) -> Result<Request<Bytes>, http::Error> {
        let request = Request::builder().method(Method::OPTIONS).uri(url.as_str());
        let request = request.header(REQUEST_ORIGIN, &self.origin);
        let rate = self.rate.map(|rate| HeaderValue::from(rate.get()));
        rate.into_iter().fold(request, |it, rate| it.header(REQUEST_RATE, rate)).body(Bytes::new())
    }

    /// Reads the consent from the response.
    pub(crate) fn judge(&self, answer: &Response<Bytes>) -> Consent {
        let allowed = single(answer.headers(), &ALLOWED_ORIGIN).unwrap_or_default();
        let same = allowed.eq_ignore_ascii_case(self.origin.to_str().unwrap_or_default());
        if !answer.status().is_success() || !(allowed == "*" || same) {
            return Consent::Denied;
        }
        let rate = single(answer.headers(), &ALLOWED_RATE).and_then(|rate| rate.parse::<u32>().ok());
        match (self.rate, rate) {
            (Some(wanted), Some(rate)) if rate < wanted.get() => Consent::AtMost(rate),
            _ => Consent::Given,
        }
    }
}

/// The answer of a receiver to a [`Handshake`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Consent {
    /// It allows fewer requests a minute than were asked for.
    AtMost(u32),
    /// It does not allow requests, or does not answer.
    Denied,
    /// It allows requests.
    Given,
    /// It has no address, so that it was not asked.
    Unasked,
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none());
    value.and_then(|value| value.to_str().ok()).map(str::trim)
}

/// An error for a text that is not a DNS name.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("an origin is a DNS name such as `events.example.com`, without scheme, port or path")]
#[non_exhaustive]
pub struct InvalidOrigin;

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn handshake() -> Handshake {
        Handshake::new("events.example.com").expect("a name")
    }

    fn answer(status: u16, headers: &[(HeaderName, &'static str)]) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        for (name, value) in headers {
            response.headers_mut().append(name, HeaderValue::from_static(value));
        }
        response
    }

    #[test]
    fn consent_is_a_success_that_names_the_origin_or_all() {
        let judge = |status, headers: &[_]| handshake().judge(&answer(status, headers));
        for (status, origin, expected) in [
            (200, "events.example.com", Consent::Given),
            (204, "*", Consent::Given),
            (200, " Events.Example.COM ", Consent::Given),
            (200, "other.example.com", Consent::Denied),
            (200, "example.com", Consent::Denied),
            (200, "events.example.com, other.example.com", Consent::Denied),
            (200, "", Consent::Denied),
            (302, "*", Consent::Denied),
            (405, "events.example.com", Consent::Denied),
        ] {
            assert_eq!(judge(status, &[(ALLOWED_ORIGIN, origin)]), expected, "{status} {origin}");
        }
        assert_eq!(judge(200, &[]), Consent::Denied, "an answer alone is no consent");
        assert_eq!(judge(200, &[(ALLOWED_ORIGIN, "*"), (ALLOWED_ORIGIN, "x")]), Consent::Denied);
    }

    #[test]
    fn a_rate_matters_where_one_was_asked_for() {
        let with = handshake().with_rate(NonZeroU32::MIN.saturating_add(99));
        for (rate, expected) in [
            ("99", Consent::AtMost(99)),
            ("100", Consent::Given),
            ("*", Consent::Given),
            ("-1", Consent::Given),
            ("x", Consent::Given),
        ] {
            let answer = answer(200, &[(ALLOWED_ORIGIN, "*"), (ALLOWED_RATE, rate)]);
            assert_eq!(with.judge(&answer), expected, "{rate}");
            assert_eq!(handshake().judge(&answer), Consent::Given, "{rate}");
        }
    }

    #[test]
    fn an_origin_is_a_dns_name() {
        for origin in ["a", "events.example.com", "xn--bcher-kva.example", "1.example"] {
            assert!(Handshake::new(origin).is_ok(), "{origin}");
        }
        let long = format!("{}.example", "a".repeat(64));
        for origin in ["", "*", "https://a.example", "a.example:8443", "a..b", "-a.b", "a b", "a\r\nb", &long]
        {
            assert_eq!(Handshake::new(origin).err(), Some(InvalidOrigin), "{origin:?}");
        }
    }
}
