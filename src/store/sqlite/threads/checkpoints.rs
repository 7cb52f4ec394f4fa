//! The schedule of checkpoints: when the write-ahead log is copied into the file.

/// How much may be written, in rows, before the log is copied: about 10 MB of it.
const ROWS: usize = 250;

/// Somebody who reads along keeps the log from being copied. Trying takes the longer the longer the log is, so
/// it is tried again only when the log has grown by a part of what waits.
const PART: usize = 8;

/// How many pages of the log a row takes, about.
const PAGES_A_ROW: usize = 4;

/// How many pages the log has, 16 MiB, when those who read are waited for: others that follow each other without a
/// gap would keep it from being used anew for as long as they do.
const LONG: usize = 4096;

/// Counts what was written since the log was copied last.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    written: usize,
    due_at: usize,
    wait_at: usize,
}

impl Checkpoints {
    /// It is due at once: processes that are killed early, one after another, would each leave a longer log.
    pub(crate) const fn new() -> Self {
        Self { written: 0, due_at: 0, wait_at: LONG }
    }

    /// Counts so many rows, and tells whether it is time to copy.
    pub(crate) const fn wrote(&mut self, rows: usize) -> bool {
        self.written = self.written.saturating_add(rows);
        self.written >= self.due_at
    }

    /// A log of so many pages was copied, but for so many of them. Tells whether to wait for those who read.
    pub(crate) fn copied(&mut self, pages: usize, left: usize) -> bool {
        (self.written, self.due_at) = (0, ROWS.max(left / PART / PAGES_A_ROW));
        if pages < LONG {
            self.wait_at = LONG;
        }
        pages >= self.wait_at
    }

    /// They were waited for in vain, while the log had so many pages. Each wait holds up the writer, so there are
    /// few of them however long somebody reads.
    pub(crate) const fn waited(&mut self, pages: usize) {
        self.wait_at = pages.saturating_add(pages / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rows are written until it is time to copy.
    fn rows(checkpoints: &mut Checkpoints) -> usize {
        (1..).find(|_| checkpoints.wrote(1)).expect("it comes")
    }

    #[test]
    fn it_is_time_when_so_much_was_written() {
        let mut checkpoints = Checkpoints::new();
        assert_eq!(rows(&mut checkpoints), 1, "what a killed process left is not added to");
        for _ in 0..2 {
            assert!(!checkpoints.copied(LONG - 1, 0));
            assert_eq!(rows(&mut checkpoints), ROWS);
        }
        assert!(checkpoints.wrote(usize::MAX));
    }

    #[test]
    fn what_cannot_be_copied_is_tried_less_often_the_more_it_is() {
        let mut checkpoints = Checkpoints::new();
        checkpoints.copied(1_000, 1_000);
        assert_eq!(rows(&mut checkpoints), ROWS);
        checkpoints.copied(320_000, 320_000);
        assert_eq!(rows(&mut checkpoints), 10_000);
        checkpoints.copied(320_000, 0);
        assert_eq!(rows(&mut checkpoints), ROWS);
    }

    #[test]
    fn those_who_read_are_waited_for_less_often_the_longer_they_stay() {
        let mut checkpoints = Checkpoints::new();
        let waits = (0..1_000_000).step_by(100).filter(|pages| {
            let waits = checkpoints.copied(*pages, *pages);
            if waits {
                checkpoints.waited(*pages);
            }
            waits
        });
        assert_eq!(waits.count(), 14, "in 4 GB of log");
        assert!(!checkpoints.copied(LONG, 0), "not before it has grown by half again");
        assert!(!checkpoints.copied(0, 0), "once it is used anew, it is short");
        assert!(checkpoints.copied(LONG, 0), "and is waited for as at first");
    }
}
