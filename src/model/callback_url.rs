//! The URL of a webhook. Whether its address may be dialled is for the transport to decide.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::{Host, Url};

use super::violation::{Rule, Violation};

/// An absolute `https` URL with a host, without user info, fragment or port 0.
///
/// An `http` URL is accepted only by [`parse_allowing_loopback_http`](Self::parse_allowing_loopback_http), for the host
/// `localhost` or a loopback address, and by [`parse_allowing_http`](Self::parse_allowing_http). The transport decides
/// whether the address may be dialled, and whether without TLS.
///
/// `Debug` prints only the origin, because paths and queries of callback URLs often carry secrets.
///
/// ```
/// use hookwire::model::CallbackUrl;
///
/// let url = CallbackUrl::parse("https://hooks.example.com/assist?key=1")?;
/// assert_eq!(url.origin(), "https://hooks.example.com");
/// assert!(CallbackUrl::parse("http://hooks.example.com/").is_err());
/// # Ok::<_, hookwire::model::InvalidCallbackUrl>(())
/// ```
#[derive(Clone, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallbackUrl(Url);

impl CallbackUrl {
    /// Parses an `https` URL.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidCallbackUrl`] with every rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidCallbackUrl> {
        let url = to_url(text)?;
        let checks = [(url.scheme() == "https", Rule::NotHttps), port_check(&url)];
        Self::checked(url, &checks)
    }

    /// Parses an `https` URL, or an `http` URL whose host is `localhost` or a loopback address.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidCallbackUrl`] with every rule that the text breaks.
    pub fn parse_allowing_loopback_http(text: &str) -> Result<Self, InvalidCallbackUrl> {
        let url = to_url(text)?;
        let checks = [(is_https_or_loopback(&url), Rule::NotHttps), port_check(&url)];
        Self::checked(url, &checks)
    }

    /// Parses an `https` or `http` URL.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidCallbackUrl`] with every rule that the text breaks.
    pub fn parse_allowing_http(text: &str) -> Result<Self, InvalidCallbackUrl> {
        let url = to_url(text)?;
        let checks = [(is_http(&url), Rule::NotHttps), port_check(&url)];
        Self::checked(url, &checks)
    }

    /// Returns the URL as text, in its normal form.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the parsed URL.
    pub const fn as_url(&self) -> &Url {
        &self.0
    }

    /// Returns the scheme, host and port, which are safe to log.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Accepts a URL that passes `checks` and those that hold for every URL.
    fn checked(url: Url, checks: &[Check]) -> Result<Self, InvalidCallbackUrl> {
        let always = [
            (url.username().is_empty() && url.password().is_none(), Rule::NoUserInfo),
            (url.fragment().is_none(), Rule::NoFragment),
        ];
        let checks = checks.iter().chain(&always);
        let broken: Vec<_> = checks.filter(|(is_kept, _)| !is_kept).map(|(_, rule)| *rule).collect();
        if broken.is_empty() { Ok(Self(url)) } else { Err(InvalidCallbackUrl::new(broken)) }
    }
}

/// Whether a URL keeps a rule, and the rule.
type Check = (bool, Rule);

/// Refuses tabs, newlines and outer blanks, which the WHATWG parser drops: they are a mistake of the user.
fn to_url(text: &str) -> Result<Url, InvalidCallbackUrl> {
    let clean = !text.contains(|c: char| c.is_control() || c.is_whitespace());
    let url = Url::parse(text).ok().filter(|url| clean && url.has_host());
    url.ok_or_else(|| InvalidCallbackUrl::new([Rule::NotUrl]))
}

fn port_check(url: &Url) -> Check {
    (url.port() != Some(0), Rule::PortZero)
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

fn is_https_or_loopback(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_literal_loopback(url))
}

fn is_literal_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl fmt::Debug for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackUrl({}/..)", self.origin())
    }
}

/// Accepts `http` and port 0, so that a stored URL loads even if it is no longer allowed at registration. The transport
/// refuses it then.
impl TryFrom<String> for CallbackUrl {
    type Error = InvalidCallbackUrl;

    fn try_from(text: String) -> Result<Self, InvalidCallbackUrl> {
        let url = to_url(&text)?;
        let checks = [(is_http(&url), Rule::NotHttps)];
        Self::checked(url, &checks)
    }
}

impl From<CallbackUrl> for String {
    fn from(url: CallbackUrl) -> Self {
        url.0.into()
    }
}

/// An error for a text that is not a [`CallbackUrl`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{}", self.messages())]
pub struct InvalidCallbackUrl {
    rules: Vec<Rule>,
}

impl InvalidCallbackUrl {
    fn new(rules: impl Into<Vec<Rule>>) -> Self {
        Self { rules: rules.into() }
    }

    /// Returns every broken rule.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Returns the broken rules as violations of `field`.
    pub fn violations(&self, field: &str) -> Vec<Violation> {
        let violation = |rule: &Rule| Violation::new(field, *rule, message(*rule));
        self.rules.iter().map(violation).collect()
    }

    fn messages(&self) -> String {
        let messages: Vec<_> = self.rules.iter().map(|rule| message(*rule)).collect();
        messages.join("; ")
    }
}

const fn message(rule: Rule) -> &'static str {
    match rule {
        Rule::NoFragment => "must not have a #fragment; leave it out",
        Rule::NoUserInfo => "must not carry a user name or password; use a header or the signature",
        Rule::NotHttps => "must start with https://",
        Rule::PortZero => {
            "must not name port 0, at which nothing can listen; leave the port out, or name another"
        }
        _ => "must be a valid, absolute URL with a host, like https://hooks.example.com/path",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<Rule> {
        CallbackUrl::parse(text).map_or_else(|error| error.rules, |_| Vec::new())
    }

    #[test]
    fn https_urls_are_accepted_as_they_are() {
        for text in ["https://a.example/", "https://a.example:8443/x?y=1", "https://[2606:4700::1]/"] {
            assert_eq!(CallbackUrl::parse(text).expect(text).as_str(), text);
        }
    }

    #[test]
    fn every_broken_rule_is_reported_at_once() {
        assert_eq!(
            rules("http://user:pass@a.example/#x"),
            [Rule::NotHttps, Rule::NoUserInfo, Rule::NoFragment],
        );
    }

    #[test]
    fn what_is_no_absolute_url_with_a_host_is_refused() {
        for text in ["", "a.example", "/path", "https://", "mailto:a@b.example", "https://a b/"] {
            assert_eq!(rules(text), [Rule::NotUrl], "{text:?}");
        }
        for text in [" https://a.example/", "https://a.exa\nmple/", "https://a.example/\t"] {
            assert_eq!(rules(text), [Rule::NotUrl], "{text:?}");
        }
    }

    #[test]
    fn plain_http_goes_to_literal_loopback_only_and_only_when_asked() {
        for text in ["http://127.0.0.1:80/", "http://[::1]/", "http://localhost:1/"] {
            assert!(CallbackUrl::parse_allowing_loopback_http(text).is_ok(), "{text}");
            assert_eq!(rules(text), [Rule::NotHttps], "{text}");
        }
        for text in ["http://10.0.0.1/", "http://localhost.example/", "ftp://127.0.0.1/"] {
            assert!(CallbackUrl::parse_allowing_loopback_http(text).is_err(), "{text}");
        }
    }

    #[test]
    fn plain_http_to_any_host_is_read_when_asked_and_from_a_store() {
        for text in ["http://10.0.0.1/", "http://inside.example:8080/x"] {
            assert!(CallbackUrl::parse_allowing_http(text).is_ok(), "{text}");
            assert!(CallbackUrl::try_from(text.to_owned()).is_ok(), "{text}");
            assert_eq!(rules(text), [Rule::NotHttps], "{text}");
        }
        let broken = CallbackUrl::parse_allowing_http("ftp://u@a.example:0/#x").expect_err("all").rules;
        assert_eq!(broken, [Rule::NotHttps, Rule::PortZero, Rule::NoUserInfo, Rule::NoFragment]);
    }

    #[test]
    fn port_0_is_refused_at_registration_and_loads_from_a_store() {
        for text in ["https://a.example:0/", "https://a.example:000/x", "https://[::1]:0/"] {
            assert_eq!(rules(text), [Rule::PortZero], "{text}");
            assert!(CallbackUrl::parse_allowing_loopback_http(text).is_err(), "{text}");
            let stored = format!("{text:?}");
            let loaded: CallbackUrl = serde_json::from_str(&stored).expect("an earlier version accepted it");
            assert_eq!(loaded.as_url().port(), Some(0));
        }
        assert!(CallbackUrl::try_from("ftp://a.example:0/".to_owned()).is_err(), "the other rules stay");
    }

    #[test]
    fn debug_shows_no_path_and_no_query() {
        let url = CallbackUrl::parse("https://a.example/hidden?key=hidden").expect("valid");
        assert_eq!(format!("{url:?}"), "CallbackUrl(https://a.example/..)");
    }
}
