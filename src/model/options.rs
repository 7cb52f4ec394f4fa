use std::collections::BTreeMap;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::violation::{Rule, Violation};

/// The form of the body in which an event is sent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EnvelopeKind {
    /// Zoho Assist's: `{"payload", "eventType", "eventTime", "eventBy", "orgId"}`.
    Assist,
    /// Standard Webhooks': `{"type", "timestamp", "data"}`.
    StandardWebhooks,
}

/// The form in which requests are signed. The page of [`signature`](crate::signature) tells what each signs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignatureScheme {
    /// GitHub's: one HMAC-SHA256 of the body alone. For receivers that know no other: replays go unnoticed.
    #[serde(rename = "github")]
    GitHub,
    /// Stripe's: HMAC-SHA256 of time and body.
    Stripe,
    /// Standard Webhooks' `v1`: HMAC-SHA256 of id, time and body.
    #[default]
    V1,
    /// Standard Webhooks' `v1a`: ed25519 of id, time and body. The receiver holds no key that signs.
    V1a,
}

impl SignatureScheme {
    /// Whether the key that signs is another than the one that verifies.
    pub const fn is_asymmetric(self) -> bool {
        matches!(self, Self::V1a)
    }
}

/// Settings of a webhook that stand beside its Zoho attributes.
///
/// Header values may be credentials: they never print.
///
/// ```
/// use hookwire::model::{DeliveryOptions, EnvelopeKind};
///
/// let options = DeliveryOptions::new()
///     .with_header("x-team", "devices")?
///     .with_envelope(EnvelopeKind::StandardWebhooks);
/// assert!(DeliveryOptions::new().with_header("Host", "inside").is_err());
/// # let _ = options;
/// # Ok::<_, hookwire::model::InvalidHeader>(())
/// ```
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "OptionsParts", into = "OptionsParts")]
pub struct DeliveryOptions {
    envelope: Option<EnvelopeKind>,
    headers: HeaderMap,
    signature: SignatureScheme,
}

impl DeliveryOptions {
    /// The most headers that a webhook may add. Ours.
    pub const MAX_HEADERS: usize = 20;
    /// The most bytes that all of them may have together, names and values: half of the 16 KiB head that Node.js
    /// servers take, the least of those in wide use.
    pub const MAX_HEADERS_BYTES: usize = 8192;
    /// The most bytes that one header name may have. Ours.
    pub const MAX_HEADER_NAME_BYTES: usize = 128;
    /// The most bytes that one header value may have; Svix has the same limit.
    pub const MAX_HEADER_BYTES: usize = 4096;

    /// The options of a webhook that never set any: the catalog's envelope, no further headers, signatures
    /// of Standard Webhooks' `v1`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends events in this envelope instead of the catalog's.
    #[must_use]
    pub fn with_envelope(self, envelope: EnvelopeKind) -> Self {
        Self { envelope: Some(envelope), ..self }
    }

    /// Signs in this form instead of `v1`.
    #[must_use]
    pub fn with_signature(self, signature: SignatureScheme) -> Self {
        Self { signature, ..self }
    }

    /// Sends this header with each request, in place of one of the same name set earlier.
    ///
    /// # Errors
    ///
    /// [`InvalidHeader`] when it is no header, is too much, or is reserved: `host`, `user-agent`, `expect`,
    /// `accept-encoding`, `content-*`, `webhook-*`, headers of a single hop (`connection`, `proxy-*`, ..),
    /// and those that metadata services of clouds listen for (`metadata-flavor`, `x-aws-*`, ..).
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, InvalidHeader> {
        let (name, value) = header(name, value)?;
        self.headers.insert(name, value);
        self.check_room().map(|()| self)
    }

    /// Sends these headers with each request, as [`with_header`](Self::with_header) does with one.
    ///
    /// # Errors
    ///
    /// Every violation, of fields like `headers.x-team`. Of more than [`MAX_HEADERS`](Self::MAX_HEADERS) those
    /// beyond are not looked at.
    pub fn with_headers<N: AsRef<str>, V: AsRef<str>>(
        mut self,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, Vec<Violation>> {
        let mut broken = Vec::new();
        for (name, value) in headers.into_iter().take(Self::MAX_HEADERS + 1) {
            match header(name.as_ref(), value.as_ref()) {
                Ok((name, value)) => drop(self.headers.insert(name, value)),
                Err(error) => broken.push(error.violation()),
            }
        }
        broken.extend(self.check_room().err().map(|error| error.violation()));
        if broken.is_empty() { Ok(self) } else { Err(broken) }
    }

    fn check_room(&self) -> Result<(), InvalidHeader> {
        let bytes: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        match self.headers.len() {
            more if more > Self::MAX_HEADERS => Err(InvalidHeader::TooMany),
            _ if bytes > Self::MAX_HEADERS_BYTES => Err(InvalidHeader::TooMuch),
            _ => Ok(()),
        }
    }

    /// The envelope that was asked for.
    pub const fn envelope(&self) -> Option<EnvelopeKind> {
        self.envelope
    }

    /// The form in which requests are signed.
    pub const fn signature(&self) -> SignatureScheme {
        self.signature
    }

    /// The headers that are added to each request.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// A header that a webhook may add, by itself.
fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), InvalidHeader> {
    if name.len() > DeliveryOptions::MAX_HEADER_NAME_BYTES {
        return Err(InvalidHeader::LongName);
    }
    let key = HeaderName::try_from(name).map_err(|_| InvalidHeader::NotName(name.to_owned()))?;
    if is_reserved(&key) {
        return Err(InvalidHeader::Reserved(key));
    }
    match HeaderValue::try_from(value) {
        Ok(mut value) if value.len() <= DeliveryOptions::MAX_HEADER_BYTES => {
            value.set_sensitive(true);
            Ok((key, value))
        }
        _ => Err(InvalidHeader::BadValue(key)),
    }
}

/// Headers that frame the request or speak for hookwire.
const OURS: [&str; 6] = ["accept-encoding", "expect", "host", "user-agent", "content-", "webhook-"];

/// Headers of a single hop (RFC 9110, section 7.6.1, and what clients made up).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// Headers by which metadata services of clouds tell their own machines from strangers: Azure, Google,
/// IBM and Yandex (`Metadata..`), Akamai (`Metadata-Token`), AWS, Alibaba, Huawei, and Azure's App Service.
const METADATA: [&str; 8] = [
    "metadata",
    "metadata-",
    "x-aliyun-",
    "x-aws-",
    "x-goog-",
    "x-google-",
    "x-identity-header",
    "x-metadata-",
];

/// An entry with a dash at its end stands for every name that begins so.
fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    let is = |entry: &str| name == entry || (entry.ends_with('-') && name.starts_with(entry));
    [&OURS[..], &HOP_BY_HOP, &METADATA].into_iter().flatten().any(|entry| is(entry))
}

impl fmt::Debug for DeliveryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().map(HeaderName::as_str).collect();
        let mut shown = f.debug_struct("DeliveryOptions");
        shown.field("envelope", &self.envelope).field("headers", &names);
        shown.field("signature", &self.signature).finish()
    }
}

/// The stored form.
#[derive(Deserialize, Serialize)]
struct OptionsParts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envelope: Option<EnvelopeKind>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "is_default")]
    signature: SignatureScheme,
}

fn is_default(signature: &SignatureScheme) -> bool {
    *signature == SignatureScheme::default()
}

impl TryFrom<OptionsParts> for DeliveryOptions {
    type Error = String;

    fn try_from(parts: OptionsParts) -> Result<Self, String> {
        let OptionsParts { envelope, signature, headers } = parts;
        let options = Self { envelope, signature, headers: HeaderMap::new() };
        let join = |all: Vec<Violation>| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        options.with_headers(headers).map_err(join)
    }
}

impl From<DeliveryOptions> for OptionsParts {
    fn from(options: DeliveryOptions) -> Self {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = options.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
        Self { envelope: options.envelope, headers: headers.collect(), signature: options.signature }
    }
}

/// The header cannot be added to a webhook's requests.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// The value holds characters that no header may, or is longer than
    /// [`DeliveryOptions::MAX_HEADER_BYTES`].
    #[error("the value of header `{0}` must be visible text of at most 4096 bytes")]
    BadValue(HeaderName),
    /// The name is longer than [`DeliveryOptions::MAX_HEADER_NAME_BYTES`].
    #[error("a header name has at most 128 bytes")]
    LongName,
    /// The name is no header name.
    #[error("{0:?} is no header name")]
    NotName(String),
    /// hookwire or the HTTP layer sets this header, or a metadata service listens for it.
    #[error("header `{0}` is reserved; choose another name")]
    Reserved(HeaderName),
    /// More than [`DeliveryOptions::MAX_HEADERS`].
    #[error("a webhook may add at most 20 headers")]
    TooMany,
    /// All together have more than [`DeliveryOptions::MAX_HEADERS_BYTES`].
    #[error("the headers that a webhook adds have at most 8192 bytes together, names and values")]
    TooMuch,
}

impl InvalidHeader {
    /// The same as a violation, of a field like `headers.x-team`.
    pub fn violation(&self) -> Violation {
        let (name, rule) = match self {
            Self::BadValue(name) => (name.as_str(), Rule::Format),
            Self::Reserved(name) => (name.as_str(), Rule::Reserved),
            Self::NotName(_) => ("", Rule::Format),
            Self::LongName | Self::TooMuch => ("", Rule::TooLong),
            Self::TooMany => ("", Rule::TooMany),
        };
        let field = if name.is_empty() { "headers".to_owned() } else { format!("headers.{name}") };
        Violation::new(field, rule, self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_headers_are_refused_in_any_case() {
        for name in [
            "Host",
            "User-Agent",
            "Expect",
            "Accept-Encoding",
            "CONTENT-TYPE",
            "content-length",
            "Content-Encoding",
            "webhook-id",
            "Webhook-Signature",
            "webhook-ping",
            "Connection",
            "HTTP2-Settings",
            "Keep-Alive",
            "Proxy-Authenticate",
            "Proxy-Authorization",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "Metadata",
            "Metadata-Flavor",
            "Metadata-Token",
            "X-Metadata-Token",
            "X-Google-Metadata-Request",
            "X-aws-ec2-metadata-token",
            "X-AWS-EC2-Metadata-Token-TTL-Seconds",
            "X-aliyun-ecs-metadata-token",
            "X-IDENTITY-HEADER",
        ] {
            let error = DeliveryOptions::new().with_header(name, "x").expect_err(name);
            assert!(matches!(error, InvalidHeader::Reserved(_)), "{error}");
        }
    }

    #[test]
    fn headers_that_only_look_alike_are_free() {
        for name in
            ["Authorization", "X-Host", "Team", "Tea", "Contents", "Webhooks", "X-Upgrade", "Metadatas"]
        {
            assert!(DeliveryOptions::new().with_header(name, "x").is_ok(), "{name}");
        }
    }

    #[test]
    fn stored_options_are_no_way_round_the_rules() {
        let stored = r#"{"headers":{"Metadata-Flavor":"Google"}}"#;
        assert!(serde_json::from_str::<DeliveryOptions>(stored).is_err());
    }

    #[test]
    fn values_and_numbers_are_bounded() {
        let long = |bytes| DeliveryOptions::new().with_header("x", &"a".repeat(bytes));
        assert!(long(4096).is_ok());
        assert!(matches!(long(4097), Err(InvalidHeader::BadValue(_))));
        assert!(DeliveryOptions::new().with_header("x", "a\r\nb: c").is_err());
        assert!(DeliveryOptions::new().with_header("x y", "a").is_err());
        let many =
            |n| (0..n).try_fold(DeliveryOptions::new(), |it, i| it.with_header(&format!("x-{i}"), "v"));
        assert!(many(20).is_ok());
        assert_eq!(many(21), Err(InvalidHeader::TooMany));
    }

    #[test]
    fn names_and_all_together_are_bounded() {
        let with = |name: usize, value: usize| {
            DeliveryOptions::new().with_header(&"x".repeat(name), &"v".repeat(value))
        };
        assert!(with(128, 1).is_ok());
        assert_eq!(with(129, 1), Err(InvalidHeader::LongName));
        let full = with(100, 4000).and_then(|it| it.with_header("y", &"v".repeat(4091))).expect("8192 bytes");
        assert_eq!(full.clone().with_header("z", ""), Err(InvalidHeader::TooMuch));
        assert!(full.with_header("y", "v").is_ok(), "one takes the place of another");
    }

    #[test]
    fn every_violation_of_headers_is_told_at_once() {
        let broken = |headers: &[(&str, &str)]| -> Vec<(String, Rule)> {
            let violations =
                DeliveryOptions::new().with_headers(headers.iter().copied()).expect_err("broken");
            violations.iter().map(|it| (it.field().to_owned(), it.rule())).collect()
        };
        let long = "v".repeat(3000);
        let found = broken(&[
            ("Host", "inside"),
            ("x-a", "a\r\nb: c"),
            ("x b", "v"),
            (&"n".repeat(129), "v"),
            ("x-1", &long),
            ("x-2", &long),
            ("x-3", &long),
        ]);
        let expected = [
            ("headers.host", Rule::Reserved),
            ("headers.x-a", Rule::Format),
            ("headers", Rule::Format),
            ("headers", Rule::TooLong),
            ("headers", Rule::TooLong),
        ];
        assert_eq!(found, expected.map(|(field, rule)| (field.to_owned(), rule)));
        let names: Vec<_> = (0..1_000).map(|n| format!("x-{n}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
        assert_eq!(broken(&many), [("headers".to_owned(), Rule::TooMany)]);
        assert!(DeliveryOptions::new().with_headers(many.into_iter().take(20)).is_ok());
    }

    #[test]
    fn debug_shows_names_and_no_values() {
        let options = DeliveryOptions::new().with_header("x-key", "hidden").expect("valid");
        let text = format!("{options:?}");
        assert!(text.contains("x-key") && !text.contains("hidden"), "{text}");
    }
}
