use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Host, Url};

use super::builder::TransportFault;
use super::guard::CheckedAddr;
use super::resolve::Resolve;

/// The most that a proxy's answer to CONNECT may take.
const ANSWER_BYTES: usize = 8 * 1024;

/// The host's own egress proxy, which opens tunnels on CONNECT.
///
/// It is asked for the checked address, never for the name: it might resolve the name to another one.
#[derive(Clone)]
pub(super) struct Proxy {
    host: Host,
    port: u16,
    /// The value of `proxy-authorization`, a secret.
    authorization: Option<String>,
}

impl Proxy {
    /// Reads a URL like `http://user:password@proxy.example.com:3128`. The fault does not repeat it, since
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

    /// Opens a connection to exactly this address, by way of the proxy.
    pub(super) async fn tunnel(&self, to: &CheckedAddr, resolver: &dyn Resolve) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&*self.addresses(resolver).await?).await?;
        stream.set_nodelay(true)?;
        stream.write_all(self.request(to).as_bytes()).await?;
        accepted(&answer(&mut stream).await?)?;
        Ok(stream)
    }

    /// Where the proxy is: the host's own choice, so nobody judges it.
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
    let (user, password) = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
    let named = !user.is_empty() || url.password().is_some();
    named.then(|| format!("Basic {}", STANDARD.encode([&user[..], b":", &password].concat())))
}

/// The head of the proxy's answer. Nothing may follow it: at the other end nobody speaks before us.
async fn answer(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = stream.read_buf(&mut head).await?;
        if read == 0 || head.len() > ANSWER_BYTES {
            return Err(io::Error::other("the proxy broke off, or gave no short answer"));
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn accepted(head: &str) -> io::Result<()> {
    let line = head.lines().next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    match status {
        Some(code) if code.len() == 3 && code.starts_with('2') => Ok(()),
        _ => Err(io::Error::other(format!("the proxy answered {line:?}"))),
    }
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

    #[test]
    fn only_2xx_opens_a_tunnel() {
        assert!(accepted("HTTP/1.1 200 Connection established\r\n\r\n").is_ok());
        assert!(accepted("HTTP/1.0 200\r\n\r\n").is_ok());
        for head in
            ["HTTP/1.1 407 Who?\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1\r\n\r\n", "220 mail\r\n\r\n"]
        {
            assert!(accepted(head).is_err(), "{head}");
        }
    }
}
