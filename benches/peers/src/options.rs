//! What a run is asked to do.

use std::time::Duration;

use delivery::Error;

use crate::peer::Kind;
use crate::scenarios::Scenario;

/// The settings of a run, each with its default.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) peer: Kind,
    pub(crate) scenario: Scenario,
    pub(crate) rounds: usize,
    /// About how long one side of a round takes.
    pub(crate) round: Duration,
}

impl Options {
    pub(crate) fn read(arguments: Vec<String>) -> Result<Self, Error> {
        let round = Duration::from_secs(3);
        let mut options =
            Self { peer: Kind::WebhooksmithMemory, scenario: Scenario::Burst, rounds: 5, round };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a value\n{}", usage()))?;
            match argument.as_str() {
                "--peer" => options.peer = named(&Kind::NAMES, &value)?,
                "--scenario" => options.scenario = named(&Scenario::NAMES, &value)?,
                "--rounds" => options.rounds = value.parse()?,
                "--seconds" => options.round = Duration::try_from_secs_f64(value.parse()?)?,
                _ => return Err(format!("no option: {argument}\n{}", usage()).into()),
            }
        }
        Ok(options)
    }

    /// Names the run.
    pub(crate) fn title(&self) -> String {
        format!("{}, {}, {} rounds", name(&Scenario::NAMES, self.scenario), self.peer.name(), self.rounds)
    }
}

fn usage() -> String {
    let peers: Vec<_> = Kind::NAMES.iter().map(|it| it.0).collect();
    let scenarios: Vec<_> = Scenario::NAMES.iter().map(|it| it.0).collect();
    let (peers, scenarios) = (peers.join("|"), scenarios.join("|"));
    format!("peers [--peer {peers}] [--scenario {scenarios}] [--rounds N] [--seconds S]")
}

fn named<T: Copy>(names: &[(&str, T)], text: &str) -> Result<T, Error> {
    let found = names.iter().find(|(name, _)| *name == text);
    Ok(found.ok_or_else(|| format!("no {text} here\n{}", usage()))?.1)
}

pub(crate) fn name<T: Copy + PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, it)| *it == value).expect("each has a name").0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, Error> {
        Options::read(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn options_are_read_and_others_refused() {
        let options = read("--peer graphile-worker --scenario idle --rounds 2 --seconds 0.5").expect("valid");
        assert_eq!(options.title(), "idle, graphile-worker, 2 rounds");
        assert_eq!(options.round, Duration::from_millis(500));
        for line in ["--peer nobody", "--rounds", "--rounds x", "--seconds -1", "peer"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
