//! `Dialer`: opens connections in the ways that `sslmode` allows.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use deadpool_postgres::Connect;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

use crate::connection::dial_error::{DialError, Stage};
use crate::connection::error::ConnectError;
use crate::connection::tls::{Tls, Trust};
use crate::connection::url::{DatabaseUrl, Encryption};

/// Polls for the next message of a connection; `None` once the connection has ended.
pub(crate) type Messages =
    Box<dyn FnMut(&mut Context<'_>) -> Poll<Option<Result<AsyncMessage, tokio_postgres::Error>>> + Send>;

/// The ways to open a connection, of which the next one is tried where the one before may be at fault.
#[derive(Clone)]
pub(crate) struct Dialer(Vec<Way>);

/// The settings of a connection, and TLS if it is to be encrypted.
#[derive(Clone)]
struct Way {
    config: Config,
    tls: Option<Tls>,
}

impl Dialer {
    /// Reads the files that `url` names. `roots` are PEM texts with further roots.
    pub(crate) fn new(url: DatabaseUrl, roots: &[Vec<u8>]) -> Result<Self, ConnectError> {
        let DatabaseUrl { config, encryption, identity } = url;
        let plain = || Way::new(&config, SslMode::Disable, None);
        let tls = |mode, trust: Trust<'_>| {
            let tls = Tls::new(&trust, roots, identity.as_ref())?;
            Ok::<_, ConnectError>(Way::new(&config, mode, Some(tls)))
        };
        let ways = match &encryption {
            Encryption::Allow => vec![plain(), tls(SslMode::Require, Trust::Anything)?],
            Encryption::AnyHost(roots) => vec![tls(SslMode::Require, Trust::AnyHost(roots))?],
            Encryption::Disable => vec![plain()],
            Encryption::Prefer => vec![tls(SslMode::Prefer, Trust::Anything)?, plain()],
            Encryption::Verified(roots) => vec![tls(SslMode::Require, Trust::Host(roots))?],
        };
        Ok(Self(ways))
    }

    /// The same ways, with a further option for the start of the server's process.
    pub(crate) fn with_option(mut self, option: &str) -> Self {
        for Way { config, .. } in &mut self.0 {
            let options = config.get_options().map(|given| format!("{given} {option}"));
            config.options(options.unwrap_or_else(|| option.to_owned()));
        }
        self
    }

    /// Opens a connection. It works only while its messages are polled.
    pub(crate) async fn dial(&self) -> Result<(Client, Messages), DialError> {
        let (last, before) = self.0.split_last().expect("each way to encrypt has one");
        for way in before {
            match way.dial().await {
                Err(error) if error.may_be_of_the_way() => {}
                done => return done,
            }
        }
        last.dial().await
    }
}

impl Connect for Dialer {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + '_>>
    {
        Box::pin(async move {
            let (client, messages) = self.dial().await.map_err(|error| error.error)?;
            Ok((client, tokio::spawn(drive(messages))))
        })
    }
}

/// Drives a connection until it ends.
pub(crate) async fn drive(mut messages: Messages) {
    while let Some(message) = poll_fn(&mut messages).await {
        if let Err(error) = message {
            tracing::warn!(%error, "a connection to PostgreSQL ended");
            return;
        }
    }
}

impl Way {
    fn new(config: &Config, mode: SslMode, tls: Option<Tls>) -> Self {
        let mut config = config.clone();
        config.ssl_mode(mode);
        Self { config, tls }
    }

    async fn dial(&self) -> Result<(Client, Messages), DialError> {
        let Some(tls) = self.tls.as_ref().map(Tls::for_one_connection) else {
            let connected = self.config.connect(NoTls).await;
            let failed = |error| DialError { error, stage: Stage::Plain };
            let (client, mut connection) = connected.map_err(failed)?;
            return Ok((client, Box::new(move |context| connection.poll_message(context))));
        };
        let connected = self.config.connect(tls.clone()).await;
        let failed = |error| DialError { error, stage: self.stage(tls.has_begun()) };
        let (client, mut connection) = connected.map_err(failed)?;
        Ok((client, Box::new(move |context| connection.poll_message(context))))
    }

    fn stage(&self, has_begun: bool) -> Stage {
        match self.config.get_ssl_mode() {
            _ if has_begun => Stage::Tls,
            SslMode::Require => Stage::AwaitsTls,
            _ => Stage::Plain,
        }
    }
}
