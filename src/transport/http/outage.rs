//! [`Witnesses`]: names that were found before, which tell a resolver that is down from a name that is gone.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The maximum number of names that are remembered, and asked for when another one fails.
const MAX: usize = 8;

/// The second levels below which countries register names.
const SHARED: [&str; 12] = ["ac", "co", "com", "edu", "gob", "gov", "mil", "ne", "net", "nom", "or", "org"];

/// The names that were found last, and whether the resolver was down when they were asked for again.
///
/// The error of a look-up does not say whether the name's own servers failed or all resolvers did. So other names
/// decide: the resolver is down if none of them is found any more.
#[derive(Debug, Default)]
pub(super) struct Witnesses(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    found: VecDeque<String>,
    is_asking: bool,
    is_down: bool,
}

impl Witnesses {
    /// Returns whether the resolver was down at last.
    pub(super) fn is_down(&self) -> bool {
        self.state().is_down
    }

    /// Looks a name up. If it is not found, and no other is either, the error is of kind `NetworkDown`.
    pub(super) fn look_up<T>(
        &self,
        name: String,
        look_up: impl Fn(String) -> io::Result<T>,
    ) -> io::Result<T> {
        let result = look_up(name.clone());
        match &result {
            Ok(_) => self.found(name),
            Err(_) => self.ask_others(&name, look_up),
        }
        match result {
            Err(error) if self.is_down() => Err(no_resolver(&error.to_string())),
            result => result,
        }
    }

    fn found(&self, name: String) {
        let mut state = self.state();
        state.is_down = false;
        // One of each domain, so that the servers of one customer's names cannot be taken for the resolver.
        state.found.retain(|it| domain(it) != domain(&name));
        state.found.truncate(MAX - 1);
        state.found.push_front(name);
    }

    /// Asks for the other names, unless another thread is doing so.
    fn ask_others<T>(&self, name: &str, look_up: impl Fn(String) -> io::Result<T>) {
        let others: Vec<_> = {
            let mut state = self.state();
            let is_other = |it: &&String| domain(it) != domain(name);
            let others = state.found.iter().filter(is_other).cloned().collect::<Vec<_>>();
            if state.is_asking || others.is_empty() {
                return;
            }
            state.is_asking = true;
            others
        };
        let is_down = !others.into_iter().any(|it| look_up(it).is_ok());
        let mut state = self.state();
        state.is_asking = false;
        state.is_down = is_down;
    }

    /// Locks the state. Every change leaves it consistent, so a poisoned lock is harmless.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the part of a name that one owner registers: the last two labels, or three below a second level that a
/// country shares out, as in `shop.co.uk`. Other suffixes that are shared count as one owner, which errs on the safe
/// side: an outage may go unseen, and no customer's failure passes for one.
fn domain(name: &str) -> &str {
    let name = name.strip_suffix('.').unwrap_or(name);
    let from_end = |labels| name.rsplitn(labels + 1, '.').nth(labels).map_or(0, |rest| rest.len() + 1);
    let two = &name[from_end(2)..];
    let is_shared =
        two.split_once('.').is_some_and(|(second, top)| top.len() == 2 && SHARED.contains(&second));
    if is_shared { &name[from_end(3)..] } else { two }
}

/// Creates the error of a look-up while no resolver answers.
pub(super) fn no_resolver(error: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NetworkDown, format!("no resolver answers: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks a name up where these are found.
    fn asked(witnesses: &Witnesses, name: &str, names: &[&str]) -> io::ErrorKind {
        let look_up = |it: String| match names.contains(&&*it) {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        witnesses.look_up(name.to_owned(), look_up).err().map_or(io::ErrorKind::Other, |error| error.kind())
    }

    #[test]
    fn a_name_fails_alone_and_a_resolver_fails_them_all() {
        let witnesses = Witnesses::default();
        assert_eq!(asked(&witnesses, "first", &[]), io::ErrorKind::NotFound, "nobody knows better");
        asked(&witnesses, "good", &["good"]);
        assert_eq!(asked(&witnesses, "bad", &["good"]), io::ErrorKind::NotFound);
        assert_eq!(asked(&witnesses, "good", &[]), io::ErrorKind::NotFound, "it alone was ever found");
        assert_eq!(asked(&witnesses, "bad", &[]), io::ErrorKind::NetworkDown);
        assert!(witnesses.is_down());
        assert_eq!(asked(&witnesses, "good", &[]), io::ErrorKind::NetworkDown, "as it was at last");
        asked(&witnesses, "good", &["good"]);
        assert!(!witnesses.is_down());
    }

    #[test]
    fn one_name_that_is_found_speaks_for_the_resolver() {
        let witnesses = Witnesses::default();
        for number in 0..20 {
            let name = format!("hooks.customer-{number}.example");
            asked(&witnesses, &name, &[&name]);
        }
        assert_eq!(asked(&witnesses, "bad", &["hooks.customer-12.example"]), io::ErrorKind::NotFound);
        assert_eq!(asked(&witnesses, "bad", &["hooks.customer-11.example"]), io::ErrorKind::NetworkDown);
        assert_eq!(witnesses.state().found.len(), MAX, "no more than these are kept");
    }

    #[test]
    fn a_domain_is_what_one_owner_registers() {
        for (name, owned) in [
            ("a.b.example.com", "example.com"),
            ("example.com.", "example.com"),
            ("localhost", "localhost"),
            ("co.uk", "co.uk"),
            ("shop.co.uk", "shop.co.uk"),
            ("hooks.shop.co.uk", "shop.co.uk"),
            ("hooks.shop.com.br.", "shop.com.br"),
            ("hooks.shop.uk", "shop.uk"),
            ("a.co.example", "co.example"),
        ] {
            assert_eq!(domain(name), owned, "{name}");
        }
    }

    #[test]
    fn customers_below_a_second_level_that_a_country_shares_out_are_witnesses_each() {
        let witnesses = Witnesses::default();
        asked(&witnesses, "hooks.one.co.uk", &["hooks.one.co.uk"]);
        assert_eq!(asked(&witnesses, "hooks.two.co.uk", &[]), io::ErrorKind::NetworkDown);
        let witnesses = Witnesses::default();
        asked(&witnesses, "a.one.co.uk", &["a.one.co.uk"]);
        assert_eq!(asked(&witnesses, "b.one.co.uk", &[]), io::ErrorKind::NotFound, "one owner");
    }

    #[test]
    fn the_names_of_one_domain_cannot_pass_off_its_failure_as_the_resolvers() {
        let witnesses = Witnesses::default();
        for name in ["a.evil.example", "b.evil.example.", "c.evil.example"] {
            asked(&witnesses, name, &[name]);
        }
        assert_eq!(asked(&witnesses, "d.evil.example", &[]), io::ErrorKind::NotFound);
    }
}
