//! The schedule of checkpoints: when the write-ahead log is copied into the file.

/// The number of rows that are written before the log is copied. One that is committed alone takes about ten pages of it.
const ROWS: usize = 250;

/// The same at most, when rows share their pages because many are committed at once.
const MOST_ROWS: usize = 800;

/// The number of pages of the log, 10 MB, that should not be exceeded before it is copied.
const PAGES: usize = 2500;

/// The part of the uncopied log by which the log grows before the next try, one eighth.
///
/// An open reader keeps the log from being copied, and a try takes longer the longer the log is.
const PART: usize = 8;

/// The approximate number of pages of the log that a row takes.
const PAGES_A_ROW: usize = 4;

/// The number of pages, 16 MiB, from which the writer waits for readers. Readers that overlap without a gap would
/// otherwise keep the log from being reused.
const LONG: usize = 4096;

/// Counts what was written since the log was copied last.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    written: usize,
    due_at: usize,
    wait_at: usize,
    /// The number of pages that were in the log when it was copied last, none of them if it is written from its start.
    pages: usize,
}

impl Checkpoints {
    /// Makes the first checkpoint due at once. Processes that are killed early would otherwise each leave a longer log.
    pub(crate) const fn new() -> Self {
        Self { written: 0, due_at: 0, wait_at: LONG, pages: 0 }
    }

    /// Counts written rows, and returns whether the log is to be copied now.
    pub(crate) const fn wrote(&mut self, rows: usize) -> bool {
        self.written = self.written.saturating_add(rows);
        self.written >= self.due_at
    }

    /// Records a try that left so many pages of the log uncopied. Returns whether to wait for readers.
    pub(crate) fn copied(&mut self, pages: usize, left: usize) -> bool {
        let grown = pages.saturating_sub(self.pages);
        let rows = (self.written.saturating_mul(PAGES) / grown.max(1)).clamp(ROWS, MOST_ROWS);
        (self.written, self.due_at) = (0, rows.max(left / PART / PAGES_A_ROW));
        self.pages = if left == 0 { 0 } else { pages };
        if pages < LONG {
            self.wait_at = LONG;
        }
        pages >= self.wait_at
    }

    /// Records that the writer waited for readers in vain, with so many pages in the log. The next wait comes once the
    /// log has grown by half, because each wait holds up the writer.
    pub(crate) const fn waited(&mut self, pages: usize) {
        self.wait_at = pages.saturating_add(pages / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of rows that are written until the log is to be copied.
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
    fn rows_that_share_pages_are_more() {
        let mut checkpoints = Checkpoints::new();
        let mut next = |pages, left| {
            checkpoints.copied(pages, left);
            rows(&mut checkpoints)
        };
        assert_eq!(next(1, 0), ROWS);
        assert_eq!(next(ROWS * 10, 0), ROWS, "ten pages a row");
        assert_eq!(next(ROWS * 5, 0), ROWS * 2, "five");
        assert_eq!(next(ROWS, ROWS), MOST_ROWS, "half a page");
        assert_eq!(next(ROWS + MOST_ROWS * 5, 0), ROWS * 2, "five, above what was left");
        assert_eq!(next(0, 0), MOST_ROWS, "none");
        assert!(checkpoints.wrote(usize::MAX));
        assert!(!checkpoints.copied(1, 0), "however much was written");
    }

    #[test]
    fn what_cannot_be_copied_is_tried_less_often_the_more_it_is() {
        let mut checkpoints = Checkpoints::new();
        checkpoints.copied(1_000, 1_000);
        assert_eq!(rows(&mut checkpoints), ROWS);
        checkpoints.copied(320_000, 320_000);
        assert_eq!(rows(&mut checkpoints), 10_000);
        checkpoints.copied(420_000, 0);
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
