//! An error and its causes in one line of text.

use std::error::Error;
use std::iter;

/// Formats an error and each of its causes down to the last, for operators.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
