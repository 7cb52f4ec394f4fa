//! A host with two tenants, and a client that speaks as one of them.

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hookwire::model::{DeptId, Scopes};
use hookwire::store::MemoryStore;
use hookwire::testing::RecordingTransport;
use hookwire::{Catalog, TenantId, Webhooks, assist};
use hookwire_axum::{Access, Caller, Department};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// Lets in `Bearer TENANT SCOPES`, with the scopes as an OAuth token has them.
pub(crate) struct Tokens(pub(crate) Catalog);

#[async_trait::async_trait]
impl Access for Tokens {
    async fn caller(&self, parts: &Parts) -> Result<Caller, Response> {
        let refused = || StatusCode::UNAUTHORIZED.into_response();
        let token = parts.headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
        let token = token.and_then(|it| it.strip_prefix("Bearer ")).ok_or_else(refused)?;
        let (tenant, scopes) = token.split_once(' ').ok_or_else(refused)?;
        let tenant = TenantId::new(tenant).map_err(|_| refused())?;
        let scopes: Scopes = self.0.scope_prefix().parse(scopes).map_err(|_| refused())?;
        Ok(Caller::new(tenant, scopes).actor("maria"))
    }

    async fn departments(&self, _: &Caller) -> Result<Vec<Department>, Response> {
        Ok(vec![Department::new(DeptId::new(7), "Sales")])
    }
}

pub(crate) struct Host {
    pub(crate) hooks: Webhooks,
    pub(crate) transport: RecordingTransport,
    pub(crate) router: Router,
}

impl Host {
    pub(crate) fn assist() -> Self {
        Self::new(RecordingTransport::new(), hookwire_axum::assist::router)
    }

    pub(crate) fn plain() -> Self {
        Self::new(RecordingTransport::new(), hookwire_axum::plain::router)
    }

    pub(crate) fn new(
        transport: RecordingTransport,
        router: impl FnOnce(Webhooks, Tokens) -> Router,
    ) -> Self {
        let builder = Webhooks::builder(assist::catalog()).limits(assist::limits());
        let builder = builder.store(MemoryStore::new()).transport(transport.clone());
        let hooks = builder.build().expect("sound");
        let api = router(hooks.clone(), Tokens(assist::catalog()));
        Self { hooks, transport, router: Router::new().nest("/hooks", api) }
    }

    /// A client of the tenant `acme` with all scopes.
    pub(crate) fn acme(&self) -> Client<'_> {
        self.client("acme", "ZohoAssist.webhooks.ALL")
    }

    pub(crate) fn client(&self, tenant: &str, scopes: &str) -> Client<'_> {
        Client { host: self, token: format!("Bearer {tenant} {scopes}"), headers: HeaderMap::new() }
    }
}

pub(crate) struct Client<'a> {
    host: &'a Host,
    token: String,
    headers: HeaderMap,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Client<'_> {
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().expect("a header"));
        self
    }

    /// Sends a header once more.
    pub(crate) fn and(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().expect("a header"));
        self
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body.to_string())).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call(method.parse().expect("a method"), path, Some(body.to_string())).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<String>) -> Answer {
        let mut request = Request::new(body.map_or_else(Body::empty, Body::from));
        *request.method_mut() = method;
        *request.uri_mut() = format!("/hooks/v1{path}").parse().expect("a path");
        request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().expect("a header"));
        request.headers_mut().insert(AUTHORIZATION, self.token.parse().expect("a header"));
        request.headers_mut().extend(self.headers.clone());
        let response = self.host.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("whole").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body, text }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    /// The name of the problem, without the prefix that all have.
    pub(crate) fn problem(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap_or_default();
        kind.strip_prefix("urn:hookwire:problem:").unwrap_or_default()
    }
}
