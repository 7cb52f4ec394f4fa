//! When the log of what was written is copied into the file itself.

/// How much may be written, in rows, before the log is copied: about 10 MB of it.
const ROWS: usize = 250;

/// Somebody who reads along keeps the log from being copied. Trying takes the longer the longer the log is, so
/// it is tried again only when the log has grown by a part of what waits.
const PART: usize = 8;

/// How many pages of the log a row takes, about.
const PAGES_A_ROW: usize = 4;

/// Counts what was written since the log was copied last.
#[derive(Debug)]
pub(super) struct Pace {
    written: usize,
    due_at: usize,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self { written: 0, due_at: ROWS }
    }

    /// Counts so many rows, and tells whether it is time to copy.
    pub(super) const fn wrote(&mut self, rows: usize) -> bool {
        self.written = self.written.saturating_add(rows);
        self.written >= self.due_at
    }

    /// The log was copied, but for so many pages.
    pub(super) fn copied(&mut self, left: usize) {
        *self = Self { written: 0, due_at: ROWS.max(left / PART / PAGES_A_ROW) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rows are written until it is time to copy.
    fn rows(pace: &mut Pace) -> usize {
        (1..).find(|_| pace.wrote(1)).expect("it comes")
    }

    #[test]
    fn it_is_time_when_so_much_was_written() {
        let mut pace = Pace::new();
        assert_eq!(rows(&mut pace), ROWS);
        pace.copied(0);
        assert_eq!(rows(&mut pace), ROWS);
        assert!(Pace::new().wrote(usize::MAX));
    }

    #[test]
    fn what_cannot_be_copied_is_tried_less_often_the_more_it_is() {
        let mut pace = Pace::new();
        pace.copied(1_000);
        assert_eq!(rows(&mut pace), ROWS);
        pace.copied(320_000);
        assert_eq!(rows(&mut pace), 10_000);
        pace.copied(0);
        assert_eq!(rows(&mut pace), ROWS);
    }
}
