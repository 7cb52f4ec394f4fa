//! A running server, on loopback addresses, which is restarted and goes with its value.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::arrivals::Arrivals;
use crate::files::Directory;
use crate::{Error, Software};

/// The webhooks of a server, each on an address of its own, by which connections are told apart.
const HOSTS: u8 = 4;
const SOON: Duration = Duration::from_secs(20);
/// Below the ports that the system gives to clients.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A server on loopback addresses, which ends with this value.
#[derive(Debug)]
pub struct Server {
    software: Software,
    authority: Option<String>,
    hosts: Vec<String>,
    port: u16,
    child: Option<Child>,
    starts: usize,
    // The last field: dropped after the server has ended.
    directory: Directory,
}

impl Server {
    /// Starts a server in a directory of its own.
    ///
    /// # Errors
    ///
    /// When it is not installed, or does not start.
    pub async fn start(software: Software) -> Result<Self, Error> {
        let hosts: Vec<String> = (1..=HOSTS).map(|it| Ipv4Addr::new(127, 0, 0, it).to_string()).collect();
        let (directory, port) = (Directory::new()?, free_port(&hosts)?);
        let authority = if software.has_tls() { Some(directory.certify(&hosts)?) } else { None };
        software.configure(&directory, &hosts, port)?;
        let mut server = Self { software, authority, hosts, port, child: None, starts: 0, directory };
        server.launch().await?;
        Ok(server)
    }

    /// The URLs at which it receives: one for each webhook.
    pub fn urls(&self) -> Vec<String> {
        let scheme = if self.software.has_tls() { "https" } else { "http" };
        let url = |(n, host): (usize, &String)| format!("{scheme}://{host}:{}/{}", self.port, n + 1);
        self.hosts.iter().enumerate().map(url).collect()
    }

    /// The certificate of the authority that issued its own.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Its software.
    pub const fn software(&self) -> Software {
        self.software
    }

    /// How often it has been started or reloaded.
    pub const fn starts(&self) -> usize {
        self.starts
    }

    /// Has it begin anew while requests under way end.
    ///
    /// # Errors
    ///
    /// When the software cannot, or the server has ended.
    pub fn reload(&mut self) -> Result<(), Error> {
        let signal = self.software.reload_signal().ok_or("it cannot reload")?;
        self.signal(signal)?;
        self.starts += 1;
        Ok(())
    }

    /// Ends it as it ends at once, and starts it again.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.end()?;
        self.launch().await
    }

    pub(crate) fn arrivals(&self) -> Result<Arrivals, Error> {
        Arrivals::read(&self.directory.file("arrivals"))
    }

    async fn launch(&mut self) -> Result<(), Error> {
        let mut command = self.software.command(&self.directory, &self.hosts, self.port);
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        self.child = Some(child);
        self.starts += 1;
        let answers = async {
            while !self.hosts.iter().all(|host| TcpStream::connect((host.as_str(), self.port)).is_ok()) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        Ok(timeout(SOON, answers).await.map_err(|_| format!("{:?} does not answer", self.software))?)
    }

    fn end(&mut self) -> Result<(), Error> {
        self.signal("TERM")?;
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        Ok(())
    }

    fn signal(&self, name: &str) -> Result<(), Error> {
        let child = self.child.as_ref().ok_or("it does not run")?;
        let status = Command::new("bash")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &child.id().to_string()])
            .status()?;
        if status.success() { Ok(()) } else { Err("it has ended by itself".into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it has ended by itself, the test has said so.
        let _ = self.end();
    }
}

/// A port that is free on each of these hosts.
fn free_port(hosts: &[String]) -> Result<u16, Error> {
    let offset = u16::try_from(std::process::id() % u32::from(PORTS.end - PORTS.start))?;
    let is_free = |port: &u16| hosts.iter().all(|host| TcpListener::bind((host.as_str(), *port)).is_ok());
    let mut ports = (PORTS.start + offset..PORTS.end).chain(PORTS);
    Ok(ports.find(is_free).ok_or("no port is free")?)
}
