//! `DatabaseUrl`: the text that names a database, parsed into the driver's settings and those of TLS.

use std::path::PathBuf;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::connection::error::ConnectError;

/// The parameters that the driver reads. Those of TLS are read here.
const KNOWN: [&str; 18] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// A database, and how connections to it are encrypted.
pub(crate) struct DatabaseUrl {
    pub(crate) config: Config,
    pub(crate) encryption: Encryption,
    pub(crate) identity: Option<IdentityFiles>,
}

/// How connections are encrypted: what `sslmode` and `sslrootcert` say together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Encryption {
    /// No TLS, or TLS with any certificate where the server insists on it.
    Allow,
    /// TLS with a certificate of these roots, for any host.
    AnyHost(Roots),
    /// No TLS.
    Disable,
    /// TLS with any certificate, or no TLS where that fails.
    Prefer,
    /// TLS with a certificate of these roots, for the host of the URL.
    Verified(Roots),
}

/// The authorities whose certificates are trusted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Roots {
    /// Those in this file.
    File(PathBuf),
    /// Those of the platform.
    System,
}

/// The certificate that the client shows, and its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct IdentityFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl DatabaseUrl {
    /// Parses a URL, or the `keyword=value` form of libpq. Errors name parameters, and contain no value.
    pub(crate) fn parse(text: &str) -> Result<Self, ConnectError> {
        let mut pairs = Pairs::parse(text).ok_or(ConnectError::Url)?;
        let (mode, roots) = (pairs.take("sslmode"), pairs.take("sslrootcert"));
        let (certificate, key) = (pairs.take("sslcert"), pairs.take("sslkey"));
        pairs.check()?;
        let mut config = pairs.config()?;
        if config.get_hosts().is_empty() {
            // An address is verified like a name.
            for address in config.get_hostaddrs().to_vec() {
                config.host(address.to_string());
            }
        }
        if config.get_hosts().is_empty() {
            return Err(ConnectError::Url);
        }
        let encryption = encryption(mode.as_deref(), roots.as_deref())?;
        let is_local = config.get_hosts().iter().all(|host| !matches!(host, Host::Tcp(_)));
        // PostgreSQL has no TLS on Unix sockets.
        let encryption = if is_local { Encryption::Disable } else { encryption };
        Ok(Self { config, encryption, identity: identity(certificate, key)? })
    }
}

fn encryption(mode: Option<&str>, roots: Option<&str>) -> Result<Encryption, ConnectError> {
    let rule = |rule| Err(ConnectError::Parameter { name: "sslmode".to_owned(), rule });
    let is_system = roots == Some("system");
    let roots = roots.filter(|_| !is_system).map_or(Roots::System, |path| Roots::File(path.into()));
    match mode {
        Some("require" | "verify-full") => Ok(Encryption::Verified(roots)),
        None if is_system => Ok(Encryption::Verified(roots)),
        Some("allow" | "disable" | "prefer" | "verify-ca") if is_system => {
            rule("is to be require or verify-full if sslrootcert is system")
        }
        Some("allow") => Ok(Encryption::Allow),
        Some("disable") => Ok(Encryption::Disable),
        Some("prefer") | None => Ok(Encryption::Prefer),
        Some("verify-ca") => Ok(Encryption::AnyHost(roots)),
        Some(_) => rule("is to be disable, allow, prefer, require, verify-ca or verify-full"),
    }
}

fn identity(certificate: Option<String>, key: Option<String>) -> Result<Option<IdentityFiles>, ConnectError> {
    let missing = |name: &str, rule| Err(ConnectError::Parameter { name: name.to_owned(), rule });
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            Ok(Some(IdentityFiles { certificate: certificate.into(), key: key.into() }))
        }
        (Some(_), None) => missing("sslkey", "is needed beside sslcert: the file of its private key"),
        (None, Some(_)) => missing("sslcert", "is needed beside sslkey: the file of its certificate"),
    }
}

/// The parameters of a URL, decoded, and the part before them.
struct Pairs {
    base: String,
    pairs: Vec<(String, String)>,
}

impl Pairs {
    fn parse(text: &str) -> Option<Self> {
        let is_url = ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
        if is_url { Self::of_url(text) } else { Self::of_keywords(text) }
    }

    fn of_url(text: &str) -> Option<Self> {
        // As in the driver, a password may contain all but @.
        let server = text.find('@').unwrap_or_default();
        let (base, query) = match text[server..].find('?') {
            Some(found) => (&text[..server + found], &text[server + found + 1..]),
            None => (text, ""),
        };
        // An @ here is that of a user whose password has one too: what looks like a parameter is part of it.
        if query.contains('@') {
            return None;
        }
        let decoded = |part: &str| Some(percent_decode_str(part).decode_utf8().ok()?.into_owned());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            Some((decoded(name)?, decoded(value)?))
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect::<Option<_>>()?;
        Some(Self { base: base.to_owned(), pairs })
    }

    fn of_keywords(text: &str) -> Option<Self> {
        let (mut pairs, mut rest) = (Vec::new(), text.trim_start());
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=')?;
            let (value, after) = keyword_value(after.trim_start())?;
            match name.trim_end() {
                "host" => pairs.extend(value.split(',').map(|host| ("host".to_owned(), host.to_owned()))),
                name => pairs.push((name.to_owned(), value)),
            }
            rest = after.trim_start();
        }
        Some(Self { base: "postgres://".to_owned(), pairs })
    }

    /// Removes a parameter. If it is there several times, the last one counts.
    fn take(&mut self, wanted: &str) -> Option<String> {
        let taken = self.pairs.extract_if(.., |(name, _)| name == wanted);
        taken.last().map(|(_, value)| value)
    }

    fn check(&self) -> Result<(), ConnectError> {
        let looks_like_name =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        for (name, value) in &self.pairs {
            let rule = |rule| Err(ConnectError::Parameter { name: name.clone(), rule });
            if !looks_like_name(name) {
                return Err(ConnectError::Url);
            }
            if !KNOWN.contains(&name.as_str()) {
                return rule("is not known here; remove it");
            }
            if driver_url("postgres://", [(name, value)]).parse::<Config>().is_err() {
                return rule("has an invalid value");
            }
        }
        Ok(())
    }

    fn config(&self) -> Result<Config, ConnectError> {
        let url = driver_url(&self.base, self.pairs.iter().map(|(name, value)| (name, value)));
        // The cause is left out: it may quote the password.
        url.parse().map_err(|_| ConnectError::Url)
    }
}

fn driver_url<'a>(base: &str, pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let encoded = |(name, value): (&String, &String)| {
        format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
    };
    let pairs: Vec<String> = pairs.into_iter().map(encoded).collect();
    format!("{base}?{}", pairs.join("&"))
}

/// Reads a value of the `keyword=value` form, and returns what comes after it. `\` escapes; quotes keep blanks together.
fn keyword_value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut chars = text.char_indices().skip(usize::from(quoted));
    let mut value = String::new();
    while let Some((at, found)) = chars.next() {
        match found {
            '\\' => value.push(chars.next()?.1),
            '\'' if quoted => return Some((value, &text[at + 1..])),
            blank if blank.is_whitespace() && !quoted => return Some((value, &text[at..])),
            other => value.push(other),
        }
    }
    (!quoted).then_some((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "postgres://hooks:secret@db.internal/app";

    fn parse(text: &str) -> DatabaseUrl {
        DatabaseUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn file() -> Roots {
        Roots::File("/etc/ca.pem".into())
    }

    #[test]
    fn sslmode_and_sslrootcert_together_say_how_a_connection_is_encrypted() {
        for (query, expected) in [
            ("", Encryption::Prefer),
            ("?application_name=app", Encryption::Prefer),
            ("?sslmode=allow", Encryption::Allow),
            ("?sslmode=disable", Encryption::Disable),
            ("?sslmode=prefer", Encryption::Prefer),
            ("?sslmode=require", Encryption::Verified(Roots::System)),
            ("?sslmode=verify-full", Encryption::Verified(Roots::System)),
            ("?sslmode=verify-full&sslrootcert=system", Encryption::Verified(Roots::System)),
            ("?sslrootcert=system", Encryption::Verified(Roots::System)),
            ("?sslmode=require&sslrootcert=/etc/ca.pem", Encryption::Verified(file())),
            ("?sslrootcert=%2Fetc%2Fca.pem&sslmode=verify-full", Encryption::Verified(file())),
            ("?sslmode=verify-ca&sslrootcert=/etc/ca.pem", Encryption::AnyHost(file())),
            ("?sslmode=disable&sslmode=require", Encryption::Verified(Roots::System)),
        ] {
            assert_eq!(parse(&format!("{URL}{query}")).encryption, expected, "{query}");
        }
    }

    #[test]
    fn the_form_of_keywords_says_the_same_as_a_url() {
        let text = r"host=db.internal,db2 user = hooks password='a \'b\' c' dbname=app sslmode=verify-full";
        let found = parse(text);
        assert_eq!(found.encryption, Encryption::Verified(Roots::System));
        assert_eq!(found.config.get_password(), Some(&b"a 'b' c"[..]));
        let hosts = ["db.internal", "db2"].map(|host| Host::Tcp(host.to_owned()));
        assert_eq!(found.config.get_hosts(), hosts);
    }

    #[test]
    fn an_address_is_verified_like_a_name_and_a_socket_is_not_encrypted() {
        let found = parse("postgres://hooks@/app?hostaddr=10.0.0.1&sslmode=require");
        assert_eq!(found.config.get_hosts(), [Host::Tcp("10.0.0.1".to_owned())]);
        let found = parse("postgres://hooks@%2Frun%2Fpostgresql/app?sslmode=require");
        assert_eq!(found.encryption, Encryption::Disable);
    }

    #[test]
    fn a_client_certificate_has_a_key() {
        let found = parse(&format!("{URL}?sslcert=/a.crt&sslkey=/a.key"));
        let files = IdentityFiles { certificate: "/a.crt".into(), key: "/a.key".into() };
        assert_eq!(found.identity, Some(files));
    }

    #[test]
    fn a_parameter_that_is_unknown_or_wrong_is_named_and_its_value_is_not() {
        for (query, expected) in [
            ("sslmode=secret", "sslmode"),
            ("sslmode=verify-ca&sslrootcert=system", "sslmode"),
            ("sslmode=prefer&sslrootcert=system", "sslmode"),
            ("sslcert=secret", "sslkey"),
            ("sslkey=secret", "sslcert"),
            ("pgbouncer=secret", "pgbouncer"),
            ("port=secret", "port"),
            ("connect_timeout=secret", "connect_timeout"),
            ("application_name=app&schema=secret", "schema"),
        ] {
            let error = DatabaseUrl::parse(&format!("{URL}?{query}")).err().expect(query);
            let ConnectError::Parameter { name, .. } = &error else { panic!("{query}: {error:?}") };
            assert_eq!(name, expected, "{query}");
            assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn a_password_with_reserved_characters_is_never_taken_for_a_parameter() {
        let found = parse("postgres://hooks:se?c=ret&x=1@db.internal/app?sslmode=disable");
        assert_eq!(found.config.get_password(), Some(&b"se?c=ret&x=1"[..]));
        for text in ["postgres://hooks:p@rt?secret=1@db.internal/app", "postgres://db/app?sec-ret=1"] {
            let error = DatabaseUrl::parse(text).err().expect(text);
            assert!(matches!(error, ConnectError::Url), "{error:?}");
        }
    }
}
