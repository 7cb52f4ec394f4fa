//! Reads paths, queries and bodies, and refuses with a problem what is not as it must be.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use hookwire::model::{CreationKey, Timestamp};
use serde::de::value::Error as ValueError;
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde_json::Value;

use crate::problem::Problem;

/// The most items on a page.
pub(crate) const MAX_LIMIT: u16 = 100;
/// The most bytes of a body. Our choice: the longest webhook has about a tenth of it.
pub(crate) const MAX_BODY: usize = 256 * 1024;

/// The one parameter of a path.
#[derive(Debug)]
pub(crate) struct Id<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Id<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let text = params.iter().next().map(|(_, value)| value).unwrap_or_default();
        let id = T::deserialize(IntoDeserializer::<ValueError>::into_deserializer(text));
        // What is no id is the id of nothing.
        id.map(Self).map_err(|_| Problem::not_found("such thing").into_response())
    }
}

/// A JSON body. Of an action, none is an empty object.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = request.headers().get(CONTENT_TYPE).is_some_and(|it| is_json(it.as_bytes()));
        let is_whole = matches!(*request.method(), Method::PATCH | Method::PUT);
        let body = Bytes::from_request(request, state).await.map_err(unread)?;
        if body.is_empty() && !is_whole {
            return parse(b"{}");
        }
        if !is_json {
            let detail = "send JSON, with the header `content-type: application/json`";
            return Err(Problem::new("not_json", StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        parse(&body)
    }
}

fn is_json(content_type: &[u8]) -> bool {
    let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let kind = kind.to_ascii_lowercase();
    kind == b"application/json" || kind == b"application/merge-patch+json"
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<Body<T>, Problem> {
    let malformed = |said: String| Problem::new("malformed", StatusCode::BAD_REQUEST, said);
    let parsed = serde_json::from_slice(body).map(Body).map_err(|error| {
        // What serde says may repeat what was sent, so only the place is told.
        let place = format!("line {}, column {}", error.line(), error.column());
        let said = if error.is_data() { told(&error) } else { "is no JSON".to_owned() };
        malformed(format!("the body, {place}: {said}"))
    })?;
    // serde takes an array for an object as well.
    match body.trim_ascii_start().first() {
        Some(b'{') => Ok(parsed),
        _ => Err(malformed("the body must be a JSON object".to_owned())),
    }
}

/// Names the attribute that serde complains about, if it does, and no value.
fn told(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let is_about_names = said.starts_with("unknown field") || said.starts_with("missing field");
    let said = said.split(" at line ").next().unwrap_or_default();
    if is_about_names { said.to_owned() } else { "has a value of a wrong type".to_owned() }
}

fn unread(rejection: BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("a body has at most {MAX_BODY} bytes");
            Problem::new("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, detail)
        }
        _ => Problem::bad_request("the body did not arrive whole"),
    }
}

/// The key under which the caller creates something, if it has sent one.
#[derive(Debug)]
pub(crate) struct Key(pub(crate) Option<CreationKey>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut sent = parts.headers.get_all("idempotency-key").iter();
        let (first, second) = (sent.next(), sent.next());
        let Some(first) = first else { return Ok(Self(None)) };
        // Of several, nobody can say which one another server on the way would take.
        let key = first.to_str().ok().filter(|_| second.is_none()).and_then(|it| it.parse().ok());
        let malformed = || {
            Problem::bad_request(
                "`Idempotency-Key` must be one key of 1 to 255 visible ASCII characters, without spaces",
            )
        };
        key.map(|key| Self(Some(key))).ok_or_else(malformed)
    }
}

/// The parameters of a query, each at most once.
#[derive(Debug)]
pub(crate) struct Params(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut params = BTreeMap::new();
        for (name, value) in pairs(parts.uri.query().unwrap_or_default())? {
            if params.insert(name.clone(), value).is_some() {
                return Err(Problem::bad_request(format!("`{name}` stands twice in the query")));
            }
        }
        Ok(Self(params))
    }
}

/// Returns the parameters of a query, in order.
pub(crate) fn pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    serde_urlencoded::from_str(query).map_err(|_| Problem::bad_request("the query cannot be read"))
}

impl Params {
    /// Takes the parameter `name`, and parses it.
    pub(crate) fn take<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|error| Problem::bad_request(format!("`{name}`: {error}")))
    }

    /// Takes the parameter `name`, a time as either view writes it.
    pub(crate) fn take_time(&mut self, name: &str) -> Result<Option<Timestamp>, Problem> {
        match self.0.get(name).and_then(|it| it.parse().ok()) {
            Some(millis) => {
                self.0.remove(name);
                Ok(Some(Timestamp::from_millis(millis)))
            }
            None => self.take(name),
        }
    }

    /// Sets a parameter to a value in the names of hookwire's own queries.
    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.0.insert(name.to_owned(), value.to_string());
    }

    /// Reads all of them as a query of hookwire's, which refuses those that it does not know.
    pub(crate) fn query<Q: DeserializeOwned>(self) -> Result<Q, Problem> {
        self.check_limit()?;
        let read = |params: &mut dyn Iterator<Item = (&String, &String)>| {
            let object = params.map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
            serde_json::from_value::<Q>(Value::Object(object))
        };
        for (name, value) in &self.0 {
            let refused = |error| Problem::bad_request(format!("`{name}`: {error}"));
            read(&mut std::iter::once((name, value))).map_err(refused)?;
        }
        read(&mut self.0.iter()).map_err(|error| Problem::bad_request(format!("the query: {error}")))
    }

    fn check_limit(&self) -> Result<(), Problem> {
        let Some(limit) = self.0.get("limit") else { return Ok(()) };
        let is_sound = limit.parse().is_ok_and(|it| (1..=MAX_LIMIT).contains(&it));
        let refused = || Problem::bad_request(format!("`limit` must be 1 to {MAX_LIMIT}"));
        is_sound.then_some(()).ok_or_else(refused)
    }
}
