use std::str::FromStr;

use thiserror::Error;

/// Which page of a listing is asked for.
///
/// ```
/// use hookwire::model::PageRequest;
///
/// let first = PageRequest::first().with_limit(50);
/// assert_eq!(first.limit(), 50);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PageRequest {
    after: Option<String>,
    limit: u16,
}

impl PageRequest {
    /// The most items that one page holds.
    pub const MAX_LIMIT: u16 = 250;
    /// Items on a page when nothing else is asked for.
    pub const DEFAULT_LIMIT: u16 = 100;

    /// The first page, of [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT) items.
    pub const fn first() -> Self {
        Self { after: None, limit: Self::DEFAULT_LIMIT }
    }

    /// The page that follows the one that gave `cursor` as its [`Page::next`].
    pub fn after(cursor: impl Into<String>) -> Self {
        Self { after: Some(cursor.into()), ..Self::first() }
    }

    /// The same page with at most `limit` items, kept within 1 and [`MAX_LIMIT`](Self::MAX_LIMIT).
    #[must_use]
    pub fn with_limit(self, limit: u16) -> Self {
        Self { limit: limit.clamp(1, Self::MAX_LIMIT), ..self }
    }

    /// Where the page starts: just after this cursor of the store's own making.
    pub fn cursor(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// The cursor as the value of which a listing makes its cursors; `None` for the first page.
    ///
    /// ```
    /// use hookwire::model::PageRequest;
    ///
    /// assert_eq!(PageRequest::after("7").cursor_as::<i64>(), Ok(Some(7)));
    /// assert!(PageRequest::after("seven").cursor_as::<i64>().is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidCursor`] when no such value was written: the first page in its stead would be shown over and over
    /// to whoever follows the listing.
    pub fn cursor_as<T: FromStr>(&self) -> Result<Option<T>, InvalidCursor> {
        self.cursor().map(|cursor| cursor.parse().map_err(|_| InvalidCursor {})).transpose()
    }

    /// The most items wanted.
    pub const fn limit(&self) -> usize {
        self.limit as usize
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::first()
    }
}

/// The cursor is none that this listing gave.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error(
    "the cursor is none that this listing gave; pass on `Page::next` as it is, or begin with the first page"
)]
#[non_exhaustive]
pub struct InvalidCursor {}

/// One page of a listing.
///
/// Following `next` to the end shows each item that was there at the first page once, while others
/// write.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items, in the order of the listing.
    pub items: Vec<T>,
    /// The cursor for [`PageRequest::after`]; `None` on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page of `items`, followed by the page after `next`.
    pub const fn new(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next }
    }

    /// Creates a page of the first `limit` of `items`, where one item more tells that another page follows. The next
    /// page begins after `cursor` of the last item.
    ///
    /// ```
    /// use hookwire::model::Page;
    ///
    /// let page = Page::from_surplus(vec![7, 8, 9], 2, ToString::to_string);
    /// assert_eq!((page.items, page.next), (vec![7, 8], Some("8".to_owned())));
    /// ```
    pub fn from_surplus(mut items: Vec<T>, limit: usize, cursor: impl FnOnce(&T) -> String) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(cursor);
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stay_within_their_bounds() {
        assert_eq!(PageRequest::first().with_limit(0).limit(), 1);
        assert_eq!(PageRequest::first().with_limit(u16::MAX).limit(), 250);
        assert_eq!(PageRequest::after("7").cursor(), Some("7"));
    }
}
