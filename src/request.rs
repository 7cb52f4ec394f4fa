//! The HTTP request of an attempt, built without I/O.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use crate::model::{CallbackUrl, DeliveryOptions};

/// The header that marks a ping. Its value is `url` or `event`.
pub(crate) const WEBHOOK_PING: HeaderName = HeaderName::from_static("webhook-ping");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("hookwire/", env!("CARGO_PKG_VERSION")));

/// The room for the headers that a request gets beside those of its template: of the signature, and of the transport.
const MORE_HEADERS: usize = 5;

/// What the requests to one URL have in common.
///
/// It has no `Debug`: the headers may be credentials, and paths of URLs often carry secrets.
pub(crate) struct RequestTemplate {
    url: Uri,
    headers: HeaderMap,
}

impl RequestTemplate {
    /// Creates the template of POSTs to `url`, with the webhook's own headers and those in `more`.
    pub(crate) fn new(
        url: &CallbackUrl,
        options: &DeliveryOptions,
        more: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Result<Self, http::Error> {
        let mut headers = options.headers().clone();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(USER_AGENT, AGENT);
        headers.extend(more);
        Ok(Self { url: Uri::try_from(url.as_str())?, headers })
    }

    /// Creates a POST of `body`, to which the signature's headers are still to be added.
    pub(crate) fn post(&self, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        // A clone of the map would have no room for more.
        let headers = request.headers_mut();
        headers.reserve(self.headers.len() + MORE_HEADERS);
        headers.extend(self.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        request
    }
}
