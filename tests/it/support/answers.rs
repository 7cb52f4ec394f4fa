//! Resolvers with prepared answers.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use hookwire::transport::Resolve;

/// A resolver that gives prepared answers in turn, and the last one from then on.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    prepared: Arc<Vec<Vec<IpAddr>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Answers {
    pub(crate) fn always(addresses: &[&str]) -> Self {
        Self::in_turn(&[addresses])
    }

    pub(crate) fn in_turn(answers: &[&[&str]]) -> Self {
        let parse = |text: &&str| text.parse().expect("an address");
        let prepared = answers.iter().map(|answer| answer.iter().map(parse).collect()).collect();
        Self { prepared: Arc::new(prepared), asked: Arc::default() }
    }

    /// The names that were asked for, one for each look-up.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Resolve for Answers {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = asked.len().min(self.prepared.len() - 1);
        asked.push(host.to_owned());
        Ok(self.prepared[turn].clone())
    }
}

/// A resolver that knows no name.
#[derive(Debug)]
pub(crate) struct Unknown;

#[async_trait]
impl Resolve for Unknown {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::new(io::ErrorKind::NotFound, "no such name"))
    }
}

/// A resolver that never answers.
#[derive(Debug)]
pub(crate) struct Silent;

#[async_trait]
impl Resolve for Silent {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        std::future::pending().await
    }
}
