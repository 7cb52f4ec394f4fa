//! The servers that others wrote: how each is configured and started.

use std::fmt::Write as _;
use std::process::Command;

use crate::Error;
use crate::files::Directory;

/// Where Debian puts the modules of Apache.
const MODULES: &str = "/usr/lib/apache2/modules";

/// A server that others wrote, in one of its configurations.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums, reason = "those that scripts/test-servers installs")]
pub enum Software {
    /// Apache httpd.
    Apache {
        /// Whether it offers HTTP/2 beside HTTP/1.1.
        http2: bool,
    },
    /// nginx, before a receiver.
    Nginx {
        /// Whether it offers HTTP/2 beside HTTP/1.1.
        http2: bool,
        /// Whether it answers 429 (paths 1 and 2) and 503 to what goes beyond 400 requests a second.
        limits: bool,
    },
    /// Node's `http`.
    Node,
    /// Python's `http.server`.
    Python {
        /// Of so many arrivals one is forgotten; of 0 none.
        dropped: usize,
    },
}

impl Software {
    /// The version of HTTP that it is asked by.
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::Apache { http2: true } | Self::Nginx { http2: true, .. } => "HTTP/2.0",
            _ => "HTTP/1.1",
        }
    }

    /// Whether it speaks TLS.
    pub(crate) const fn has_tls(self) -> bool {
        matches!(self, Self::Apache { .. } | Self::Nginx { .. })
    }

    /// The signal at which it begins anew, and lets requests under way end. The others know none.
    pub(crate) const fn reload_signal(self) -> Option<&'static str> {
        match self {
            Self::Apache { .. } => Some("USR1"),
            Self::Nginx { .. } => Some("HUP"),
            Self::Node | Self::Python { .. } => None,
        }
    }

    /// Writes what it reads at its start.
    pub(crate) fn configure(self, to: &Directory, hosts: &[String], port: u16) -> Result<(), Error> {
        let directory = to.path().to_str().ok_or("the temporary directory is no UTF-8")?;
        match self {
            Self::Apache { http2 } => {
                let text = include_str!("../conf/apache.conf").replace("@MODULES@", MODULES);
                let text = text.replace("@LISTEN@", &listen(hosts, port, "Listen ", ""));
                let text = text.replace("@PROTOCOLS@", if http2 { "h2 http/1.1" } else { "http/1.1" });
                to.write("apache.conf", &text.replace("@DIRECTORY@", directory))
            }
            Self::Nginx { http2, limits } => {
                let end = if http2 { " ssl http2;" } else { " ssl;" };
                let text = include_str!("../conf/nginx.conf");
                let text = text.replace("@LISTEN@", &listen(hosts, port, "        listen ", end));
                let text = text.replace("@LIMIT@", if limits { LIMIT } else { "" });
                to.write("nginx.conf", &text.replace("@DIRECTORY@", directory))
            }
            Self::Node => to.write("node.mjs", include_str!("../conf/node.mjs")),
            Self::Python { .. } => to.write("python.py", include_str!("../conf/python.py")),
        }
    }

    /// The command that runs it, in the foreground.
    pub(crate) fn command(self, directory: &Directory, hosts: &[String], port: u16) -> Command {
        let (program, file) = match self {
            Self::Apache { .. } => ("apache2", "apache.conf"),
            Self::Nginx { .. } => ("nginx", "nginx.conf"),
            Self::Node => ("node", "node.mjs"),
            Self::Python { .. } => ("python3", "python.py"),
        };
        let (mut command, file) = (Command::new(program), directory.file(file));
        match self {
            Self::Apache { .. } => command.args(["-D", "FOREGROUND", "-f"]).arg(file),
            Self::Nginx { .. } => command.arg("-p").arg(directory.path()).arg("-c").arg(file),
            Self::Node => command.arg(file).arg(directory.file("arrivals")),
            Self::Python { dropped } => {
                command.arg(file).arg(directory.file("arrivals")).arg(dropped.to_string())
            }
        };
        if !self.has_tls() {
            command.arg(port.to_string()).args(hosts);
        }
        command
    }
}

/// `always` adds the header to these statuses too.
const LIMIT: &str =
    "        limit_req zone=hooks burst=100 nodelay;\n        add_header Retry-After 1 always;\n";

fn listen(hosts: &[String], port: u16, begin: &str, end: &str) -> String {
    hosts.iter().fold(String::new(), |mut lines, host| {
        // Writing into a string does not fail.
        let _ = writeln!(lines, "{begin}{host}:{port}{end}");
        lines
    })
}
