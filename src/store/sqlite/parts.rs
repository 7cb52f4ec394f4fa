//! Cutting what is published at once into groups of the writer's.

use super::threads::writer::{BYTES_A_ROW, MAX_ROWS};
use crate::store::publication::Publication;

/// Splits items so that each part is one group of the writer. Other callers' jobs run between the parts.
pub(super) fn parts(items: &[Publication]) -> Vec<&[Publication]> {
    let (mut parts, mut start, mut weight) = (Vec::new(), 0, 0);
    for (number, item) in items.iter().enumerate() {
        let (rows, bytes) = size_of(std::slice::from_ref(item));
        weight += rows + bytes / BYTES_A_ROW;
        if weight >= MAX_ROWS {
            parts.push(&items[start..=number]);
            (start, weight) = (number + 1, 0);
        }
    }
    parts.extend((start < items.len()).then(|| &items[start..]));
    parts
}

/// How many rows they make, and how many bytes of payload they have.
pub(super) fn size_of(items: &[Publication]) -> (usize, usize) {
    let rows = items.iter().map(|item| 1 + item.routing.targets.len()).sum();
    (rows, items.iter().map(|item| item.event.payload.get().len()).sum())
}
