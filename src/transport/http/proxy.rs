//! The egress proxy: tunnels to checked addresses by `CONNECT`.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

use super::error::TransportFault;
use super::guard::CheckedAddr;
use super::resolve::Resolve;
use crate::model::FailureKind;

/// The maximum size of a proxy's response to CONNECT.
const MAX_RESPONSE_BYTES: usize = 8 * 1024;

/// The statuses by which a proxy speaks of itself or of us: our name and password (401, 407), its methods (405, 501),
/// its own limit (429). Everything else may be about the receiver, as squid's 503 and tinyproxy's 500 are.
const OF_PROXY: [&str; 5] = ["401", "405", "407", "429", "501"];

/// The error of a connection that did not open.
#[derive(Debug)]
pub(super) struct NotOpened {
    pub(super) kind: FailureKind,
    pub(super) source: io::Error,
}

impl NotOpened {
    /// Creates an error for which the receiver may be to blame.
    const fn of_receiver(source: io::Error) -> Self {
        Self { kind: FailureKind::Connect, source }
    }

    /// Creates an error for which the proxy, or what we know of it, is to blame.
    const fn of_proxy(source: io::Error) -> Self {
        Self { kind: FailureKind::Local, source }
    }
}

/// An egress proxy that opens tunnels on CONNECT.
///
/// It is asked for the checked address, never for the name, which it might resolve differently.
#[derive(Clone)]
pub(super) struct Proxy {
    host: Host,
    port: u16,
    /// The value of `proxy-authorization`, a secret.
    authorization: Option<String>,
}

impl Proxy {
    /// Parses a URL like `http://user:password@proxy.example.com:3128`. The error does not repeat it, because
    /// it may hold a password.
    pub(super) fn parse(text: &str) -> Result<Self, TransportFault> {
        let url = Url::parse(text).map_err(|error| TransportFault::Proxy(error.to_string()))?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        match (url.scheme(), url.host(), url.port_or_known_default()) {
            ("http", Some(host), Some(port)) if bare => {
                Ok(Self { host: host.to_owned(), port, authorization: authorization(&url) })
            }
            ("http", ..) => Err(TransportFault::Proxy("more than scheme, host and port".into())),
            (scheme, ..) => Err(TransportFault::Proxy(format!("the scheme `{scheme}` is not `http`"))),
        }
    }

    /// Opens a connection to exactly this address, through the proxy, which has to be reached in half of the time.
    pub(super) async fn tunnel(
        &self,
        to: &CheckedAddr,
        resolver: &dyn Resolve,
        limit: Duration,
    ) -> Result<TcpStream, NotOpened> {
        let dialled = timeout(limit / 2, self.dial(resolver)).await;
        let dialled = dialled.unwrap_or_else(|elapsed| Err(elapsed.into()));
        let mut stream = dialled.map_err(|error| NotOpened::of_proxy(self.not_reached(&error)))?;
        stream.write_all(self.request(to).as_bytes()).await.map_err(NotOpened::of_receiver)?;
        read_response(&mut stream).await?;
        Ok(stream)
    }

    async fn dial(&self, resolver: &dyn Resolve) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&*self.addresses(resolver).await?).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Adds that the proxy is not reached, because the outer error names only the receiver's address.
    fn not_reached(&self, error: &io::Error) -> io::Error {
        let told = format!("the egress proxy {}:{} is not reached: {error}", self.host, self.port);
        io::Error::new(error.kind(), told)
    }

    /// Returns the addresses of the proxy. They are not checked: the proxy is configured, not registered.
    async fn addresses(&self, resolver: &dyn Resolve) -> io::Result<Vec<SocketAddr>> {
        let found = match &self.host {
            Host::Domain(name) => resolver.resolve(name).await?,
            Host::Ipv4(address) => vec![IpAddr::from(*address)],
            Host::Ipv6(address) => vec![IpAddr::from(*address)],
        };
        Ok(found.into_iter().map(|address| SocketAddr::new(address, self.port)).collect())
    }

    fn request(&self, to: &CheckedAddr) -> String {
        let authorization = self.authorization.as_ref();
        let authorization = authorization.map(|it| format!("proxy-authorization: {it}\r\n"));
        let authorization = authorization.unwrap_or_default();
        format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n{authorization}\r\n")
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

fn authorization(url: &Url) -> Option<String> {
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let user = decoded(url.username());
    let password = decoded(url.password().unwrap_or_default());
    let named = !user.is_empty() || url.password().is_some();
    named.then(|| format!("Basic {}", STANDARD.encode([&user[..], b":", &password].concat())))
}

/// Reads the proxy's response to the end of its head, or to the status line if it refuses: the body of a refusal
/// is not waited for. Nothing may follow a success, because the receiver sends nothing before the client.
async fn read_response(stream: &mut TcpStream) -> Result<(), NotOpened> {
    let mut got = Vec::new();
    loop {
        let read = stream.read_buf(&mut got).await.map_err(NotOpened::of_receiver)?;
        match parse_response(&got) {
            Some(result) => return result,
            None if read == 0 || got.len() > MAX_RESPONSE_BYTES => {
                return Err(NotOpened::of_receiver(proxy_error("broke off, or gave no short answer")));
            }
            None => {}
        }
    }
}

/// Parses the part of a response that has come. Returns `None` while it is incomplete.
fn parse_response(got: &[u8]) -> Option<Result<(), NotOpened>> {
    let line = got.split(|byte| *byte == b'\n').next().filter(|line| line.len() < got.len())?;
    let line = String::from_utf8_lossy(line).trim_end().to_owned();
    let status = status(&line);
    if !status.is_some_and(|status| status.starts_with('2')) {
        let error = proxy_error(&format!("answered {line:?}"));
        let is_of_receiver = status.is_some_and(|status| !OF_PROXY.contains(&status));
        let blamed = if is_of_receiver { NotOpened::of_receiver } else { NotOpened::of_proxy };
        return Some(Err(blamed(error)));
    }
    let end = got.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
    Some(if end == got.len() {
        Ok(())
    } else {
        Err(NotOpened::of_receiver(proxy_error("spoke before the receiver was asked anything")))
    })
}

/// Returns the status in a status line, if it is one.
fn status(line: &str) -> Option<&str> {
    let code = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    code.filter(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()))
}

fn proxy_error(what: &str) -> io::Error {
    io::Error::other(format!("the proxy {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_scheme_host_and_port_is_a_proxy() {
        for (text, shown) in [
            ("http://proxy.example.com:3128", "Proxy(proxy.example.com:3128)"),
            ("http://10.0.0.1/", "Proxy(10.0.0.1:80)"),
            ("http://[fd00::1]:8080", "Proxy([fd00::1]:8080)"),
            ("http://user:hidden@proxy.example.com:3128", "Proxy(proxy.example.com:3128)"),
        ] {
            assert_eq!(format!("{:?}", Proxy::parse(text).expect(text)), shown);
        }
    }

    #[test]
    fn anything_else_is_a_fault_that_repeats_no_password() {
        for text in [
            "",
            "proxy.example.com:3128",
            "https://u:hidden@proxy.example.com",
            "socks5://u:hidden@proxy.example.com",
            "http://u:hidden@proxy.example.com/path",
            "http://u:hidden@proxy.example.com/?query",
            "http://u:hidden@",
            "http://u:hidden@proxy:99999",
        ] {
            let fault = Proxy::parse(text).expect_err(text);
            assert!(matches!(&fault, TransportFault::Proxy(_)) && !fault.to_string().contains("hidden"));
        }
    }

    #[test]
    fn name_and_password_are_sent_as_they_are_meant() {
        let header = |text| authorization(&Url::parse(text).expect(text));
        assert_eq!(
            header("http://Aladdin:open%20sesame@proxy"),
            Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".into())
        );
        assert_eq!(header("http://proxy"), None);
    }

    /// Returns after how many bytes a response is decided, and whether it is a success.
    fn judged(answer: &str) -> (usize, Option<bool>) {
        let first = (0..=answer.len())
            .find_map(|end| Some((end, parse_response(&answer.as_bytes()[..end])?.is_ok())));
        first.map_or((answer.len(), None), |(end, is_ok)| (end, Some(is_ok)))
    }

    #[test]
    fn only_2xx_opens_a_tunnel_and_its_whole_head_is_read() {
        for head in ["HTTP/1.1 200 Connection established\r\n\r\n", "HTTP/1.0 200\r\nvia: us\r\n\r\n"] {
            assert_eq!(judged(head), (head.len(), Some(true)), "{head}");
        }
        for more in ["S", "\r\n\r\n"] {
            let answer = format!("HTTP/1.1 200 OK\r\n\r\n{more}");
            assert!(parse_response(answer.as_bytes()).is_some_and(|judged| judged.is_err()), "{answer:?}");
        }
        assert_eq!(judged("HTTP/1.1 200 OK\r\nvia: us\r\n"), (26, None), "it is not at its end");
    }

    #[test]
    fn what_a_proxy_says_of_itself_is_not_the_receivers_fault() {
        let kind = |line: &str| match parse_response(format!("{line}\r\n").as_bytes()) {
            Some(Err(error)) => error.kind,
            other => panic!("{line}: {other:?}"),
        };
        for own in ["401 Who?", "405 What?", "407 Who?", "429 Slowly", "501 What?"] {
            assert_eq!(kind(&format!("HTTP/1.1 {own}")), FailureKind::Local, "{own}");
        }
        assert_eq!(kind("220 mail"), FailureKind::Local, "it is no proxy");
        for of_receiver in ["403 No", "500 Unable to connect", "502 Bad", "503 Down", "504 Late"] {
            assert_eq!(kind(&format!("HTTP/1.0 {of_receiver}")), FailureKind::Connect, "{of_receiver}");
        }
    }

    #[test]
    fn a_refusal_is_known_by_its_first_line() {
        for line in ["HTTP/1.1 407 Who?\r\n", "HTTP/1.1 2000 OK\r\n", "HTTP/1.1\r\n", "220 mail\r\n", "\n"] {
            let answer = format!("{line}content-length: 9\r\n\r\nForbidden");
            assert_eq!(judged(&answer), (line.len(), Some(false)), "{answer:?}");
        }
    }
}
