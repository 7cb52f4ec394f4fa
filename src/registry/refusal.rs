//! [`Refusal`]: why a request for a change is refused.

use thiserror::Error;

use super::state::RegistryChange;
use crate::model::{HookId, Violation};

/// The reason why a request was refused.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// A webhook was created under this key by another request, and is still there.
    #[error("webhook {0} was created under this key, by other content; use another key for another webhook")]
    CreationKeyReused(HookId),
    /// The request breaks rules. All violations are listed.
    #[error("{}", join(.0))]
    Invalid(Vec<Violation>),
    /// The request is valid, but exceeds limits of the tenant.
    #[error("{}", join(.0))]
    LimitReached(Vec<Violation>),
    /// The tenant has no webhook with this id.
    #[error("there is no webhook {0}")]
    NotFound(HookId),
    /// The tenant's edition has no webhooks.
    #[error("webhooks are not part of this tenant's edition")]
    NotInEdition,
}

impl Refusal {
    /// Refuses a change for a violation that was found beside the registry's rules, with every other one.
    pub(crate) fn with(
        violation: Option<&Violation>,
        decided: Result<RegistryChange, Self>,
    ) -> Result<RegistryChange, Self> {
        let Some(violation) = violation.cloned() else { return decided };
        Err(match decided {
            Ok(_) => Self::Invalid(vec![violation]),
            Err(Self::Invalid(all) | Self::LimitReached(all)) => {
                Self::Invalid([all, vec![violation]].concat())
            }
            Err(other) => other,
        })
    }

    /// Returns the violations; none if the reason is another.
    pub fn into_violations(self) -> Vec<Violation> {
        match self {
            Self::Invalid(violations) | Self::LimitReached(violations) => violations,
            Self::CreationKeyReused(_) | Self::NotFound(_) | Self::NotInEdition => Vec::new(),
        }
    }
}

fn join(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
