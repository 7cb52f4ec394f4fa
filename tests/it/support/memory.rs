//! The memory of this process.

/// The size of a page: Linux on usual machines. Where it is more, tests see less.
const PAGE: u64 = 4096;

/// The bytes of memory that this process has.
pub(crate) fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages: u64 = statm.split(' ').nth(1).expect("the second one").parse().expect("a number");
    pages * PAGE
}
