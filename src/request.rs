//! The HTTP request of an attempt, built without I/O.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, InvalidHeaderName, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use crate::envelope::JSON;
use crate::model::{CallbackUrl, DeliveryOptions, TraceContext};
use crate::signature::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};

/// The header that marks a ping. Its value is `url` or `event`.
pub(crate) const WEBHOOK_PING: HeaderName = HeaderName::from_static("webhook-ping");

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

const AGENT: HeaderValue = HeaderValue::from_static(concat!("hookwire/", env!("CARGO_PKG_VERSION")));

/// The room for the headers that a request gets beside those of its template: of the body, of the signature, twice, and of
/// the trace.
const MORE_HEADERS: usize = 9;

/// The body of a request, with its media type.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) body: Bytes,
    pub(crate) media_type: &'static str,
}

impl Content {
    /// Creates the content that is this JSON text.
    pub(crate) const fn json(body: Bytes) -> Self {
        Self { body, media_type: JSON }
    }
}

/// What all requests of a service have in common.
#[derive(Debug)]
pub(crate) struct RequestStyle {
    agent: HeaderValue,
    /// Headers, and the names under which they are sent again.
    again: Vec<(HeaderName, HeaderName)>,
    /// Whether the trace context of events is sent.
    traces: bool,
}

impl Default for RequestStyle {
    fn default() -> Self {
        Self { agent: AGENT, again: Vec::new(), traces: false }
    }
}

impl RequestStyle {
    pub(crate) fn set_agent(&mut self, agent: HeaderValue) {
        self.agent = agent;
    }

    /// Sends the standard headers again, under names that begin with `prefix`.
    pub(crate) fn repeat_under(&mut self, prefix: &str) -> Result<(), InvalidHeaderName> {
        HeaderName::try_from(prefix)?;
        let named = |name: HeaderName| {
            let ending = name.as_str().trim_start_matches("webhook");
            let again = HeaderName::try_from(format!("{prefix}{ending}"))?;
            Ok((name, again))
        };
        self.again = [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE]
            .into_iter()
            .map(named)
            .collect::<Result<_, InvalidHeaderName>>()?;
        Ok(())
    }

    pub(crate) fn send_traces(&mut self) {
        self.traces = true;
    }

    /// Adds the trace context of an event, if it is to be sent, in place of one that the webhook has among its own headers.
    pub(crate) fn trace(&self, context: Option<&TraceContext>, headers: &mut HeaderMap) {
        let Some(context) = context.filter(|_| self.traces) else { return };
        let state = context.tracestate().map(str::to_owned);
        for (name, value) in [(TRACEPARENT, Some(context.to_string())), (TRACESTATE, state)] {
            // It is visible text and spaces, as it was checked when it was parsed.
            match value.and_then(|value| HeaderValue::try_from(value).ok()) {
                Some(value) => drop(headers.insert(name, value)),
                None => drop(headers.remove(name)),
            }
        }
    }

    /// Adds the name of the sender.
    pub(crate) fn name_sender(&self, headers: &mut HeaderMap) {
        headers.insert(USER_AGENT, self.agent.clone());
    }

    /// Adds the headers that are sent again, once the signature's are there.
    pub(crate) fn repeat(&self, headers: &mut HeaderMap) {
        for (name, again) in &self.again {
            if let Some(value) = headers.get(name).cloned() {
                headers.insert(again.clone(), value);
            }
        }
    }

    /// Creates the template of POSTs to `url`, with the webhook's own headers and those in `more`.
    pub(crate) fn template(
        &self,
        url: &CallbackUrl,
        options: &DeliveryOptions,
        more: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Result<RequestTemplate, http::Error> {
        let mut headers = options.headers().clone();
        self.name_sender(&mut headers);
        headers.extend(more);
        Ok(RequestTemplate { url: Uri::try_from(url.as_str())?, headers })
    }
}

/// What the requests to one URL have in common.
///
/// It has no `Debug`: the headers may be credentials, and paths of URLs often carry secrets.
pub(crate) struct RequestTemplate {
    url: Uri,
    headers: HeaderMap,
}

impl RequestTemplate {
    /// Creates a POST of `content`, to which the signature's headers are still to be added.
    pub(crate) fn post(&self, content: Content) -> Request<Bytes> {
        let mut request = Request::new(content.body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let mut headers = clone_with_room(&self.headers, MORE_HEADERS);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content.media_type));
        *request.headers_mut() = headers;
        request
    }
}

/// Clones headers, with room for so many more. A clone of the map itself would have none.
pub(crate) fn clone_with_room(headers: &HeaderMap, more: usize) -> HeaderMap {
    let mut clone = HeaderMap::with_capacity(headers.len() + more);
    clone.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    clone
}
