//! Delivery settings of a webhook: envelope, template, signature scheme, headers, rate and cap.

use std::collections::BTreeMap;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::formats::{EnvelopeKind, SignatureScheme};
use super::template::BodyTemplate;
use super::violation::{Rule, Violation};

/// Per-webhook delivery settings: envelope, template, signature scheme, headers.
///
/// `Debug` does not print header values, because they may be credentials.
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
    template: Option<BodyTemplate>,
    headers: HeaderMap,
    signature: SignatureScheme,
    rate: Option<u32>,
    max_in_flight: Option<u32>,
}

impl DeliveryOptions {
    /// The largest rate, in requests a second. Our choice: what is faster needs no limit.
    pub const MAX_RATE: u32 = 1_000;
    /// The largest limit of deliveries in flight. Our choice.
    pub const MAX_IN_FLIGHT: u32 = 10_000;
    /// The maximum number of headers that a webhook adds. Our choice.
    pub const MAX_HEADERS: usize = 20;
    /// The maximum number of bytes of all these headers together, names and values.
    ///
    /// It is half of the 16 KiB of headers that Node.js accepts, which accepts the fewest of the servers in wide use.
    pub const MAX_HEADERS_BYTES: usize = 8192;
    /// The maximum number of bytes of a header name. Our choice.
    pub const MAX_HEADER_NAME_BYTES: usize = 128;
    /// The maximum number of bytes of a header value, as in Svix.
    pub const MAX_HEADER_BYTES: usize = 4096;

    /// Creates the default options: the catalog's envelope, no additional headers, signatures in the `v1` scheme of
    /// Standard Webhooks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the envelope. Default: the catalog's.
    #[must_use]
    pub fn with_envelope(self, envelope: EnvelopeKind) -> Self {
        Self { envelope: Some(envelope), ..self }
    }

    /// Sets the template of the bodies, in place of an envelope. A [subscription](super::Subscription::with_template) may have
    /// one of its own, which is used before this one. Default: none.
    #[must_use]
    pub fn with_template(self, template: impl Into<Option<BodyTemplate>>) -> Self {
        Self { template: template.into(), ..self }
    }

    /// Sets the signature scheme. Default [`SignatureScheme::V1`].
    #[must_use]
    pub fn with_signature(self, signature: SignatureScheme) -> Self {
        Self { signature, ..self }
    }

    /// Limits the requests to the webhook's receiver: within no second do more than `per_second` begin, whatever the number
    /// of dispatchers. What exceeds the rate waits; nothing is dropped. Default: no limit.
    ///
    /// A request counts for the time in which it may begin, too, so that under load a little less than the rate is used.
    ///
    /// # Errors
    ///
    /// Returns the violation of `rate` unless it is 1 to [`MAX_RATE`](Self::MAX_RATE).
    pub fn with_rate(self, per_second: u32) -> Result<Self, Violation> {
        let rate = Some(in_range("rate", per_second, Self::MAX_RATE)?);
        Ok(Self { rate, ..self })
    }

    /// Limits the deliveries of the webhook that are under way at once, in all dispatchers together. Each dispatcher has a
    /// limit of its own besides, [`Quota::with_per_webhook`](crate::store::Quota::with_per_webhook). Default: no limit.
    ///
    /// # Errors
    ///
    /// Returns the violation of `max_in_flight` unless it is 1 to [`MAX_IN_FLIGHT`](Self::MAX_IN_FLIGHT).
    pub fn with_max_in_flight(self, most: u32) -> Result<Self, Violation> {
        let max_in_flight = Some(in_range("max_in_flight", most, Self::MAX_IN_FLIGHT)?);
        Ok(Self { max_in_flight, ..self })
    }

    /// Adds a header to each request, or replaces the one with the same name.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidHeader`] if it is not a header, exceeds a limit, or is reserved: `host`, `user-agent`, `expect`,
    /// `accept-encoding`, `content-*`, `webhook-*`, headers of a single hop (`connection`, `proxy-*`, ..),
    /// and those of cloud metadata services (`metadata-flavor`, `x-aws-*`, ..).
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, InvalidHeader> {
        let (name, value) = header(name, value)?;
        self.headers.insert(name, value);
        self.check_totals().map(|()| self)
    }

    /// Adds several headers, as [`with_header`](Self::with_header) adds one.
    ///
    /// # Errors
    ///
    /// Returns every violation, of fields like `headers.x-team`. Headers beyond [`MAX_HEADERS`](Self::MAX_HEADERS)
    /// are not checked.
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
        broken.extend(self.check_totals().err().map(|error| error.violation()));
        if broken.is_empty() { Ok(self) } else { Err(broken) }
    }

    fn check_totals(&self) -> Result<(), InvalidHeader> {
        let bytes: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        match self.headers.len() {
            more if more > Self::MAX_HEADERS => Err(InvalidHeader::TooMany),
            _ if bytes > Self::MAX_HEADERS_BYTES => Err(InvalidHeader::TooMuch),
            _ => Ok(()),
        }
    }

    /// Returns the envelope, if one is set.
    pub const fn envelope(&self) -> Option<EnvelopeKind> {
        self.envelope
    }

    /// Returns the template of the bodies, if there is one.
    pub const fn template(&self) -> Option<&BodyTemplate> {
        self.template.as_ref()
    }

    /// Returns the signature scheme.
    pub const fn signature(&self) -> SignatureScheme {
        self.signature
    }

    /// Returns the most requests that begin within a second, if there is a limit.
    pub const fn rate(&self) -> Option<u32> {
        self.rate
    }

    /// Returns the most deliveries that are under way at once, if there is a limit.
    pub const fn max_in_flight(&self) -> Option<u32> {
        self.max_in_flight
    }

    /// Returns the headers that each request gets.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

fn in_range(field: &str, value: u32, most: u32) -> Result<u32, Violation> {
    let message = || format!("is to be 1 to {most}; leave it out for no limit");
    (1..=most).contains(&value).then_some(value).ok_or_else(|| Violation::new(field, Rule::Limit, message()))
}

/// Parses one header that a webhook adds, without regard to the others.
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

/// Headers that frame the request, and those that hookwire sets.
const SET_BY_HOOKWIRE: [&str; 6] =
    ["accept-encoding", "expect", "host", "user-agent", "content-", "webhook-"];

/// Headers of a single hop, by RFC 9110, section 7.6.1, and by custom.
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

/// Headers that cloud metadata services require: Azure, Google, IBM and Yandex (`Metadata..`), Akamai
/// (`Metadata-Token`), AWS, Alibaba, Huawei, and Azure's App Service.
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

/// Compares with the tables above. An entry that ends with a dash matches every name with that prefix.
fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    let is = |entry: &str| name == entry || (entry.ends_with('-') && name.starts_with(entry));
    [&SET_BY_HOOKWIRE[..], &HOP_BY_HOP, &METADATA].into_iter().flatten().any(|entry| is(entry))
}

impl fmt::Debug for DeliveryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().map(HeaderName::as_str).collect();
        let mut shown = f.debug_struct("DeliveryOptions");
        shown.field("envelope", &self.envelope).field("template", &self.template);
        shown.field("headers", &names).field("signature", &self.signature);
        shown.field("rate", &self.rate).field("max_in_flight", &self.max_in_flight).finish()
    }
}

/// The form in which options are stored.
#[derive(Deserialize, Serialize)]
struct OptionsParts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envelope: Option<EnvelopeKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    template: Option<BodyTemplate>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "is_default")]
    signature: SignatureScheme,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_in_flight: Option<u32>,
}

fn is_default(signature: &SignatureScheme) -> bool {
    *signature == SignatureScheme::default()
}

impl TryFrom<OptionsParts> for DeliveryOptions {
    type Error = String;

    fn try_from(parts: OptionsParts) -> Result<Self, String> {
        let OptionsParts { envelope, template, signature, headers, rate, max_in_flight } = parts;
        let options = Self { envelope, template, signature, ..Self::default() };
        let join = |all: Vec<Violation>| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let options = options.with_headers(headers).map_err(join)?;
        let told = |broken: Violation| broken.to_string();
        let options = rate.map_or(Ok(options.clone()), |rate| options.with_rate(rate)).map_err(told)?;
        max_in_flight.map_or(Ok(options.clone()), |most| options.with_max_in_flight(most)).map_err(told)
    }
}

impl From<DeliveryOptions> for OptionsParts {
    fn from(options: DeliveryOptions) -> Self {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = options.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
        let DeliveryOptions { envelope, template, signature, rate, max_in_flight, .. } = options;
        Self { envelope, template, headers: headers.collect(), signature, rate, max_in_flight }
    }
}

/// An error for a header that a webhook cannot add.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// The value contains forbidden characters, or is longer than [`DeliveryOptions::MAX_HEADER_BYTES`].
    #[error("the value of header `{0}` must be visible text of at most 4096 bytes")]
    BadValue(HeaderName),
    /// The name is longer than [`DeliveryOptions::MAX_HEADER_NAME_BYTES`].
    #[error("a header name has at most 128 bytes")]
    LongName,
    /// The name is not a header name.
    #[error("{0:?} is no header name")]
    NotName(String),
    /// hookwire or the HTTP layer sets this header, or a metadata service requires it.
    #[error("header `{0}` is reserved; choose another name")]
    Reserved(HeaderName),
    /// There are more than [`DeliveryOptions::MAX_HEADERS`].
    #[error("a webhook may add at most 20 headers")]
    TooMany,
    /// The headers have more than [`DeliveryOptions::MAX_HEADERS_BYTES`] together.
    #[error("the headers that a webhook adds have at most 8192 bytes together, names and values")]
    TooMuch,
}

impl InvalidHeader {
    /// Returns the error as a violation of a field like `headers.x-team`.
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
    fn rates_and_limits_of_nothing_are_refused_by_name() {
        let refused = |options: Result<DeliveryOptions, Violation>| {
            let violation = options.expect_err("out of range");
            (violation.field().to_owned(), violation.rule())
        };
        let of = |field: &str| (field.to_owned(), Rule::Limit);
        for rate in [0, 1_001] {
            assert_eq!(refused(DeliveryOptions::new().with_rate(rate)), of("rate"));
        }
        for most in [0, 10_001] {
            assert_eq!(refused(DeliveryOptions::new().with_max_in_flight(most)), of("max_in_flight"));
        }
        let stored = serde_json::from_str::<DeliveryOptions>(r#"{"rate":0}"#).expect_err("out of range");
        assert!(stored.to_string().contains("rate"), "{stored}");
        let options =
            DeliveryOptions::new().with_rate(5).and_then(|it| it.with_max_in_flight(2)).expect("valid");
        let json = serde_json::to_string(&options).expect("JSON");
        assert_eq!(json, r#"{"rate":5,"max_in_flight":2}"#);
        assert_eq!(serde_json::from_str::<DeliveryOptions>(&json).expect("valid"), options);
    }

    #[test]
    fn debug_shows_names_and_no_values() {
        let options = DeliveryOptions::new().with_header("x-key", "hidden").expect("valid");
        let text = format!("{options:?}");
        assert!(text.contains("x-key") && !text.contains("hidden"), "{text}");
    }
}
