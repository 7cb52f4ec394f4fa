//! The HTTP request of an attempt, built without I/O.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::model::{CallbackUrl, DeliveryOptions};

/// The header that marks a ping. Its value is `url` or `event`.
pub(crate) const WEBHOOK_PING: HeaderName = HeaderName::from_static("webhook-ping");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("hookwire/", env!("CARGO_PKG_VERSION")));

/// Creates a POST of `body` to `url`, with the webhook's own headers and the signature headers in `signed`.
pub(crate) fn post(
    url: &CallbackUrl,
    options: &DeliveryOptions,
    signed: HeaderMap,
    body: Bytes,
) -> Result<Request<Bytes>, http::Error> {
    let mut request = Request::post(url.as_str()).body(body)?;
    let headers = request.headers_mut();
    headers.extend(options.headers().clone());
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(USER_AGENT, AGENT);
    headers.extend(signed);
    Ok(request)
}
