//! What a run is asked to do.

use std::str::FromStr;
use std::time::Duration;

use crate::Error;

/// How a run is asked for.
pub(crate) const USAGE: &str = "delivery [--scenario burst|idle|hanging|paced|tarpits|storm|recovery|fleet|host|far] \
    [--store memory|sqlite|sqlite-process-crash|postgres] [--rounds N] [--seconds S] [--pending N] [--json]";

/// The settings of a run, each with its default.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) scenario: Scenario,
    pub(crate) store: StoreKind,
    pub(crate) rounds: usize,
    /// About how long one side of a round takes.
    pub(crate) round: Duration,
    /// The deliveries that wait in `recovery`.
    pub(crate) pending: usize,
    pub(crate) json: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scenario: Scenario::Burst,
            store: StoreKind::Memory,
            rounds: 5,
            round: Duration::from_secs(3),
            pending: 50_000,
            json: false,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scenario {
    Burst,
    Far,
    Fleet,
    Hanging,
    Host,
    Idle,
    Paced,
    Recovery,
    Storm,
    Tarpits,
}

impl Scenario {
    const NAMES: [(&'static str, Self); 10] = [
        ("burst", Self::Burst),
        ("far", Self::Far),
        ("fleet", Self::Fleet),
        ("hanging", Self::Hanging),
        ("host", Self::Host),
        ("idle", Self::Idle),
        ("paced", Self::Paced),
        ("recovery", Self::Recovery),
        ("storm", Self::Storm),
        ("tarpits", Self::Tarpits),
    ];

    pub(crate) fn name(self) -> &'static str {
        name(&Self::NAMES, self)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StoreKind {
    Memory,
    Postgres,
    /// What was published survives a power cut: the default of `SqliteStore`.
    Sqlite,
    /// What was published survives a crash of the process.
    SqliteProcessCrash,
}

impl StoreKind {
    const NAMES: [(&'static str, Self); 4] = [
        ("memory", Self::Memory),
        ("postgres", Self::Postgres),
        ("sqlite", Self::Sqlite),
        ("sqlite-process-crash", Self::SqliteProcessCrash),
    ];

    pub(crate) fn name(self) -> &'static str {
        name(&Self::NAMES, self)
    }
}

impl Options {
    /// Names the run.
    pub(crate) fn title(&self) -> String {
        format!("{}, {}, {} rounds", self.scenario.name(), self.store.name(), self.rounds)
    }

    /// Reads the arguments. `--bench` is what Cargo adds of its own accord.
    pub(crate) fn read(arguments: impl IntoIterator<Item = String>) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--json" => options.json = true,
                "--pending" => options.pending = above_zero(&value()?)?,
                "--rounds" => options.rounds = above_zero(&value()?)?,
                "--scenario" => options.scenario = named(&Scenario::NAMES, &value()?)?,
                "--seconds" => options.round = Duration::try_from_secs_f64(above_zero(&value()?)?)?,
                "--store" => options.store = named(&StoreKind::NAMES, &value()?)?,
                _ => return Err(format!("no option: {argument}\n{USAGE}").into()),
            }
        }
        Ok(options)
    }
}

fn above_zero<T: FromStr + Default + PartialOrd>(text: &str) -> Result<T, Error> {
    let number = text.parse().ok().filter(|it| *it > T::default());
    Ok(number.ok_or_else(|| format!("{text} is no number above zero"))?)
}

fn named<T: Copy>(names: &[(&'static str, T)], text: &str) -> Result<T, Error> {
    let found = names.iter().find(|(name, _)| *name == text);
    Ok(found.ok_or_else(|| format!("no {text} here\n{USAGE}"))?.1)
}

fn name<T: Copy + PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, it)| *it == value).expect("each has a name").0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, Error> {
        Options::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read_over_defaults() {
        let options =
            read("--scenario storm --store postgres --rounds 2 --seconds 0.5 --pending 9 --json").unwrap();
        assert_eq!((options.scenario.name(), options.store.name()), ("storm", "postgres"));
        assert_eq!((options.rounds, options.pending, options.json), (2, 9, true));
        assert_eq!(options.round, Duration::from_millis(500));
        let options = read("").unwrap();
        assert_eq!((options.scenario.name(), options.store.name()), ("burst", "memory"));
        assert_eq!((options.rounds, options.pending, options.json), (5, 50_000, false));
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for line in
            ["--scenario", "--scenario none", "--rounds 0", "--seconds -1", "--seconds NaN", "--jsn", "x"]
        {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
