//! [`IncompleteBody`]: the mark of a response whose body broke off.

/// The mark, in a response's extensions, that its body is not complete: it broke off, or took too long after
/// the head. The response's body is what came in time.
///
/// A body that was cut at [`body_bytes`](super::SendLimits::body_bytes) has no mark.
///
/// ```
/// use hookwire::transport::IncompleteBody;
/// use http::Response;
///
/// let mut response = Response::new("the start of");
/// response.extensions_mut().insert(IncompleteBody);
/// assert!(response.extensions().get::<IncompleteBody>().is_some());
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a mark has no fields")]
pub struct IncompleteBody;
