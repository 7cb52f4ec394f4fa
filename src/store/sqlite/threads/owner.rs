//! Waiting until another store gives the file up.

use std::path::Path;
use std::sync::Weak;
use std::thread;
use std::time::Duration;

use super::super::error::OpenError;
use super::super::file::open::{self, Lock};
use crate::timer::now;

/// The pause between two tries. A blocking lock could be given neither a limit nor up.
const PAUSE: Duration = Duration::from_millis(10);

/// Takes the file for this store alone, and waits up to `wait` for another store that has it, as long as `caller`
/// lives.
pub(crate) fn lock_within(path: &Path, wait: Duration, caller: &Weak<()>) -> Result<Lock, OpenError> {
    let began = now();
    loop {
        let taken = open::lock(path);
        let left = wait.saturating_sub(now().duration_since(began));
        if !matches!(taken, Err(OpenError::InUse { .. })) || left.is_zero() {
            return taken;
        }
        thread::sleep(PAUSE.min(left));
        if caller.strong_count() == 0 {
            return taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn nothing_waits_for_a_caller_who_has_gone() {
        let name = std::env::temp_dir().join(format!("hookwire-{}-owned", std::process::id()));
        let owner = open::lock(&name).expect("a new file");
        let caller = Arc::downgrade(&Arc::new(()));
        let ended = lock_within(&name, Duration::MAX, &caller).expect_err("it has an owner");
        assert!(matches!(ended, OpenError::InUse { .. }), "{ended:?}");
        drop(owner);
        std::fs::remove_file(name.with_extension("lock")).expect("removed");
    }
}
