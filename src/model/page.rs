//! Pages of a listing and the cursors between them.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use super::integer_id::LenientInteger;

/// A request for one page of a listing.
///
/// ```
/// use hookwire::model::PageRequest;
///
/// let first = PageRequest::first().with_limit(50);
/// assert_eq!(first.limit(), 50);
/// ```
///
/// In JSON, and in the query of a URL, it is `after` and `limit`. Both may be missing, and anything else is refused.
/// The limit is clamped as by [`with_limit`](Self::with_limit).
///
/// ```
/// use hookwire::model::PageRequest;
///
/// let page: PageRequest = serde_json::from_str(r#"{"after": "7", "limit": 1000}"#)?;
/// assert_eq!(page, PageRequest::after("7").with_limit(250));
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "PageParts", into = "PageParts")]
pub struct PageRequest {
    after: Option<String>,
    limit: u16,
}

impl PageRequest {
    /// The maximum number of items on a page.
    pub const MAX_LIMIT: u16 = 250;
    /// The default number of items on a page.
    pub const DEFAULT_LIMIT: u16 = 100;

    /// Creates a request for the first page, with up to [`DEFAULT_LIMIT`](Self::DEFAULT_LIMIT) items.
    pub const fn first() -> Self {
        Self { after: None, limit: Self::DEFAULT_LIMIT }
    }

    /// Creates a request for the page that follows the one with `cursor` as its [`Page::next`].
    pub fn after(cursor: impl Into<String>) -> Self {
        Self { after: Some(cursor.into()), ..Self::first() }
    }

    /// Sets the maximum number of items, clamped to 1..=[`MAX_LIMIT`](Self::MAX_LIMIT).
    #[must_use]
    pub fn with_limit(self, limit: u16) -> Self {
        Self { limit: limit.clamp(1, Self::MAX_LIMIT), ..self }
    }

    /// Returns the cursor after which the page starts; `None` for the first page.
    pub fn cursor(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Parses the cursor as the value from which the listing made it. Returns `None` for the first page.
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
    /// Returns [`InvalidCursor`] if it does not parse. Answering with the first page instead would make a client that
    /// follows the listing loop.
    pub fn cursor_as<T: FromStr>(&self) -> Result<Option<T>, InvalidCursor> {
        self.cursor().map(|cursor| cursor.parse().map_err(|_| InvalidCursor {})).transpose()
    }

    /// Returns the maximum number of items.
    pub const fn limit(&self) -> usize {
        self.limit as usize
    }
}

/// The JSON form of a request for a page, of which queries have the same attributes.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct PageParts {
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(deserialize_with = "saturated", skip_serializing_if = "Option::is_none")]
    limit: Option<u16>,
}

/// Reads a limit, as a number or as a string of digits. Of one that does not fit it takes the nearest that does.
pub(super) fn saturated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let limit = Option::<LenientInteger>::deserialize(deserializer)?;
    Ok(limit.map(|LenientInteger(limit)| u16::try_from(limit.max(0)).unwrap_or(u16::MAX)))
}

impl PageRequest {
    /// The request with these attributes of its JSON form.
    pub(super) fn from_parts(after: Option<String>, limit: Option<u16>) -> Self {
        Self { after, ..Self::first() }.with_limit(limit.unwrap_or(Self::DEFAULT_LIMIT))
    }

    /// The attributes of its JSON form.
    pub(super) fn into_parts(self) -> (Option<String>, Option<u16>) {
        (self.after, Some(self.limit).filter(|limit| *limit != Self::DEFAULT_LIMIT))
    }
}

impl From<PageParts> for PageRequest {
    fn from(PageParts { after, limit }: PageParts) -> Self {
        Self::from_parts(after, limit)
    }
}

impl From<PageRequest> for PageParts {
    fn from(page: PageRequest) -> Self {
        let (after, limit) = page.into_parts();
        Self { after, limit }
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self::first()
    }
}

/// An error for a cursor that the listing did not return.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error(
    "the cursor is none that this listing gave; pass on `Page::next` as it is, or begin with the first page"
)]
#[non_exhaustive]
pub struct InvalidCursor {}

/// One page of a listing.
///
/// A client that follows `next` to the end sees each item that existed at the first page once, even during writes. A page
/// may have fewer items than it might, or none, and a next one all the same: where few pass a filter, a store looks at a
/// bounded number for each page.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items, in the order of the listing.
    pub items: Vec<T>,
    /// The cursor of the next page, for [`PageRequest::after`]; `None` on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Creates a page of `items` whose next page starts after the cursor `next`.
    pub const fn new(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next }
    }

    /// Creates a page of the first `limit` items, of which a store read one more than that to see whether there is a
    /// next page. `cursor` makes the cursor of the last item on the page.
    ///
    /// ```
    /// use hookwire::model::Page;
    ///
    /// let page = Page::from_surplus(vec![7, 8, 9], 2, |last| last.to_string());
    /// assert_eq!((page.items, page.next.as_deref()), (vec![7, 8], Some("8")));
    /// let last = Page::from_surplus(vec![9], 2, |last| last.to_string());
    /// assert_eq!((last.items, last.next), (vec![9], None));
    /// ```
    pub fn from_surplus(mut items: Vec<T>, limit: usize, cursor: impl FnOnce(&T) -> String) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(cursor);
        Self { items, next }
    }

    /// Returns the page with `make` applied to each item. Its next page is the same.
    ///
    /// ```
    /// use hookwire::model::Page;
    ///
    /// let page = Page::new(vec![(7, "a"), (8, "b")], Some("8".to_owned()));
    /// assert_eq!(page.map(|(_, name)| name), Page::new(vec!["a", "b"], Some("8".to_owned())));
    /// ```
    pub fn map<U>(self, make: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(make).collect(), next: self.next }
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

    #[test]
    fn limits_of_requests_are_clamped_and_what_is_unknown_is_refused() {
        for (json, limit) in [("{}", 100), (r#"{"limit":0}"#, 1), (r#"{"limit":-7}"#, 1)] {
            assert_eq!(
                serde_json::from_str(json).ok(),
                Some(PageRequest::first().with_limit(limit)),
                "{json}"
            );
        }
        for json in [r#"{"limit":"251"}"#, r#"{"limit":65536}"#, r#"{"limit":9223372036854775807}"#] {
            assert_eq!(serde_json::from_str(json).ok(), Some(PageRequest::first().with_limit(250)), "{json}");
        }
        for json in [r#"{"limit":"all"}"#, r#"{"limit":1.5}"#, r#"{"before":"7"}"#, r#"{"after":7}"#] {
            assert!(serde_json::from_str::<PageRequest>(json).is_err(), "{json}");
        }
        for (page, json) in [
            (PageRequest::first(), "{}"),
            (PageRequest::after("7").with_limit(5), r#"{"after":"7","limit":5}"#),
        ] {
            assert_eq!(serde_json::to_string(&page).expect("JSON"), json);
        }
    }

    #[test]
    fn only_a_page_with_an_item_beyond_it_has_a_next_one() {
        for (read, next) in [(0, None), (1, None), (2, None), (3, Some("1"))] {
            let page = Page::from_surplus((0..read).collect(), 2, u8::to_string);
            assert_eq!((page.items.len(), page.next.as_deref()), (usize::from(read.min(2)), next), "{read}");
        }
    }
}
