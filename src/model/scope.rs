//! OAuth scopes over webhooks: their names and sets of them.

use std::fmt;

use thiserror::Error;

/// One permission over a tenant's webhooks.
///
/// ```
/// use hookwire::model::{Scope, ScopePrefix};
///
/// let prefix = ScopePrefix::new("ZohoAssist.webhooks");
/// assert_eq!(prefix.name(Scope::Read), "ZohoAssist.webhooks.READ");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Scope {
    /// All of the following.
    All,
    /// Create webhooks, and ping.
    Create,
    /// Delete webhooks.
    Delete,
    /// List, get, explain and read the log.
    Read,
    /// Deliver events of before a webhook's registration. Zoho Assist does not have it.
    Recover,
    /// Edit, enable, disable, pause, rotate and reveal the secret, redeliver, recover, and ping.
    Update,
}

impl Scope {
    const EVERY: [Self; 6] = [Self::All, Self::Create, Self::Delete, Self::Read, Self::Recover, Self::Update];

    /// Returns the last part of the scope's name, for example `READ`.
    pub const fn operation(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Create => "CREATE",
            Self::Delete => "DELETE",
            Self::Read => "READ",
            Self::Recover => "RECOVER",
            Self::Update => "UPDATE",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operation())
    }
}

/// A set of [`Scope`]s, as a token grants them.
///
/// ```
/// use hookwire::model::{Scope, Scopes};
///
/// let scopes = Scopes::none().with(Scope::Read).with(Scope::Create);
/// assert!(scopes.grant(Scope::Read) && !scopes.grant(Scope::Delete));
/// assert!(Scopes::all().grant(Scope::Delete));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Scopes(u8);

impl Scopes {
    /// Creates a set of every scope.
    pub const fn all() -> Self {
        Self::none().with(Scope::All)
    }

    /// Creates an empty set.
    pub const fn none() -> Self {
        Self(0)
    }

    /// Adds a scope.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | 1 << scope as u8)
    }

    /// Returns whether the set contains `scope` or [`Scope::All`].
    pub const fn grant(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8 | 1 << Scope::All as u8) != 0
    }

    /// Returns the scopes that both sets grant.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        let both = |scope: &Scope| self.grant(*scope) && other.grant(*scope);
        Scope::EVERY.into_iter().filter(both).fold(Self::none(), Self::with)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::none(), Self::with)
    }
}

/// The prefix of the names of a service's scopes, for example `ZohoAssist.webhooks`.
///
/// ```
/// use hookwire::model::{Scope, ScopePrefix};
///
/// let prefix = ScopePrefix::new("Shop.webhooks");
/// let scopes = prefix.parse("Shop.webhooks.READ,Shop.webhooks.CREATE")?;
/// assert!(scopes.grant(Scope::Create));
/// assert!(prefix.parse("ZohoAssist.webhooks.READ").is_err());
/// # Ok::<_, hookwire::model::InvalidScope>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScopePrefix(String);

impl ScopePrefix {
    /// Creates a prefix like `SERVICE.SCOPE`, without the dot that follows it.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self(prefix.into())
    }

    /// Returns the full name of `scope`.
    pub fn name(&self, scope: Scope) -> String {
        format!("{}.{scope}", self.0)
    }

    /// Parses a list of scopes separated by commas or blanks, as in OAuth responses.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidScope`] with the first part that is not a scope of this service.
    pub fn parse(&self, list: &str) -> Result<Scopes, InvalidScope> {
        let parts = list.split([',', ' ']).filter(|part| !part.is_empty());
        parts.map(|part| self.parse_one(part)).collect()
    }

    fn parse_one(&self, text: &str) -> Result<Scope, InvalidScope> {
        let named = |scope: &Scope| self.name(*scope) == text;
        let unknown = || InvalidScope { scope: text.to_owned(), prefix: self.0.clone() };
        Scope::EVERY.into_iter().find(named).ok_or_else(unknown)
    }
}

/// An error for a text that is not a scope of this service.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{scope:?} is no scope of this service; use {prefix}.READ, CREATE, UPDATE, DELETE, RECOVER or ALL")]
#[non_exhaustive]
pub struct InvalidScope {
    /// The refused part.
    pub scope: String,
    /// The prefix of the service's scopes.
    pub prefix: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printed_and_parsed_back() {
        let prefix = ScopePrefix::new("ZohoAssist.webhooks");
        for scope in Scope::EVERY {
            let scopes = prefix.parse(&prefix.name(scope)).expect("own name");
            assert_eq!(scopes, Scopes::none().with(scope));
        }
        assert_eq!(prefix.parse(" , ").expect("nothing"), Scopes::none());
    }

    #[test]
    fn foreign_and_misspelt_scopes_are_refused_by_name() {
        let prefix = ScopePrefix::new("ZohoAssist.webhooks");
        for bad in ["READ", "ZohoAssist.webhooks.read", "ZohoAssist.webhooks.", "Zoho.webhooks.READ"] {
            assert_eq!(prefix.parse(bad).expect_err(bad).scope, bad);
        }
    }

    #[test]
    fn all_grants_everything_and_narrowing_never_widens() {
        let read = Scopes::none().with(Scope::Read);
        for scope in Scope::EVERY {
            assert!(Scopes::all().grant(scope));
            assert_eq!(read.grant(scope), scope == Scope::Read);
        }
        assert_eq!(Scopes::all().intersect(read), read);
        assert_eq!(read.intersect(Scopes::none().with(Scope::Update)), Scopes::none());
    }
}
