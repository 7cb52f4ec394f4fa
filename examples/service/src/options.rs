//! What is said when the service is started.

use std::path::PathBuf;

use crate::Error;

/// Where webhooks and events are kept.
pub enum Keeping {
    Sqlite(PathBuf),
    Postgres(String),
}

pub struct Options {
    pub is_demo: bool,
    pub keeping: Keeping,
    pub listen: String,
}

const USAGE: &str = "usage: service [--demo] [--sqlite FILE | --postgres URL] [--listen ADDRESS]";

impl Options {
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, Error> {
        let file = std::env::temp_dir().join("hookwire-service.db");
        let mut options =
            Self { is_demo: false, keeping: Keeping::Sqlite(file), listen: "127.0.0.1:8080".to_owned() };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(USAGE);
            match argument.as_str() {
                "--demo" => options.is_demo = true,
                "--sqlite" => options.keeping = Keeping::Sqlite(value()?.into()),
                "--postgres" => options.keeping = Keeping::Postgres(value()?),
                "--listen" => options.listen = value()?,
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }
}
