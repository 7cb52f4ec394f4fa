//! The one error type of the service, and its kinds.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::model::{Catalog, HookId, Rule, Violation};
use crate::plain;
use crate::registry::Refusal;
use crate::sealing::UnsealError;
use crate::signature::InvalidKeyRing;
use crate::store::{StoreError, StoreErrorKind};

/// The error of every method of the service.
///
/// Branch on [`kind`](Self::kind). `Display` says what happened and what to do; [`source`](StdError::source) is the
/// cause, if there is one.
///
/// ```
/// use hookwire::{Catalog, Error};
///
/// /// The status and the JSON with which an API answers.
/// fn answer(catalog: &Catalog, error: &Error) -> (http::StatusCode, serde_json::Value) {
///     (error.kind().http_status(), serde_json::json!(catalog.show_error(error)))
/// }
/// ```
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    violations: Vec<Violation>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of [`Error`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Other calls changed the tenant's webhooks during every try. Try again.
    Conflict,
    /// The key was used to [create](crate::Tenant::create_once) a webhook that is still there, with other content.
    CreationKeyReused,
    /// The input breaks rules; these are all that it breaks.
    Invalid(Vec<Violation>),
    /// The input breaks no other rule, but the tenant has reached a limit.
    LimitReached,
    /// The message id was published before, with other content.
    MessageIdReused,
    /// The handle was narrowed to scopes that do not allow this.
    MissingScope,
    /// The tenant has no such webhook, message or delivery.
    NotFound,
    /// The tenant's edition has no webhooks.
    NotInEdition,
    /// The webhook is at another version than the one that the handle [expects](crate::Tenant::expecting).
    Outdated,
    /// There is no room for more work now, in the store or among the bytes that are published at once. Try again later,
    /// with the same message id.
    Overloaded,
    /// The payload is larger than the policy allows.
    PayloadTooLarge,
    /// The store failed or did not answer in time, or a webhook's secrets cannot be unsealed. In the last case the
    /// source is a [`sealing::UnsealError`](crate::sealing::UnsealError). Trying again with the same message id is safe.
    Store,
    /// The event is not in the catalog.
    UnknownEvent,
}

impl ErrorKind {
    /// Returns the name of the kind, as a code for programs: `not_found`. Names stay as they are.
    ///
    /// ```
    /// use hookwire::ErrorKind;
    ///
    /// assert_eq!(ErrorKind::MessageIdReused.as_str(), "message_id_reused");
    /// ```
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::CreationKeyReused => "creation_key_reused",
            Self::Invalid(_) => "invalid",
            Self::LimitReached => "limit_reached",
            Self::MessageIdReused => "message_id_reused",
            Self::MissingScope => "missing_scope",
            Self::NotFound => "not_found",
            Self::NotInEdition => "not_in_edition",
            Self::Outdated => "outdated",
            Self::Overloaded => "overloaded",
            Self::PayloadTooLarge => "payload_too_large",
            Self::Store => "store",
            Self::UnknownEvent => "unknown_event",
        }
    }

    /// Returns the status with which an HTTP API would answer. Where it is 5xx, trying again may help.
    ///
    /// ```
    /// use hookwire::ErrorKind;
    /// use http::StatusCode;
    ///
    /// assert_eq!(ErrorKind::Invalid(Vec::new()).http_status(), StatusCode::UNPROCESSABLE_ENTITY);
    /// assert_eq!(ErrorKind::NotFound.http_status(), StatusCode::NOT_FOUND);
    /// ```
    pub const fn http_status(&self) -> StatusCode {
        match self {
            Self::CreationKeyReused | Self::Invalid(_) | Self::UnknownEvent => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::MissingScope | Self::NotInEdition => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict | Self::LimitReached | Self::MessageIdReused => StatusCode::CONFLICT,
            Self::Outdated => StatusCode::PRECONDITION_FAILED,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Overloaded | Self::Store => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Error {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), violations: Vec::new(), source: None }
    }

    /// Creates the error of something that is not there.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(ErrorKind::NotFound, format!("there is no {what}"))
    }

    /// Creates the error of a change that was decided on another version of a webhook.
    pub(super) fn outdated(hook_id: HookId) -> Self {
        let message = format!("webhook {hook_id} has been changed meanwhile; read it again, and decide anew");
        Self::new(ErrorKind::Outdated, message)
    }

    /// Creates the error of an operating system that gives no random bytes.
    pub(super) fn no_entropy(source: getrandom::Error) -> Self {
        let message = "the operating system gave no random bytes for a secret";
        Self { source: Some(Box::new(source)), ..Self::new(ErrorKind::Store, message) }
    }

    /// Creates the error of publishing that waited in vain for room among so many bytes.
    pub(super) fn no_room(bytes: usize) -> Self {
        let message = format!(
            "{bytes} bytes of payload are being published already; publish again later, or raise \
             `Policy::with_in_flight_bytes`"
        );
        Self::new(ErrorKind::Overloaded, message)
    }

    /// Creates the error of a store that does not answer a call to publish.
    pub(super) fn no_answer(within: Duration) -> Self {
        let source = StoreError::new(StoreErrorKind::Unavailable, format!("no answer within {within:?}"));
        let message = "the store did not answer in time, and may have stored the event; publish it again with the same message id";
        Self { source: Some(Box::new(source)), ..Self::new(ErrorKind::Store, message) }
    }

    fn unopened(source: impl StdError + Send + Sync + 'static) -> Self {
        let message = "the webhook's secrets do not open";
        Self { source: Some(Box::new(source)), ..Self::new(ErrorKind::Store, message) }
    }

    fn invalid_cursor(source: StoreError) -> Self {
        let advice = "pass on the cursor that the page before gave, or begin with the first page";
        let violation = Violation::new("page", Rule::Format, advice);
        let message = violation.to_string();
        Self { source: Some(Box::new(source)), ..Self::new(ErrorKind::Invalid(vec![violation]), message) }
    }

    /// Returns the kind of the error.
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Returns the violations of [`Invalid`](ErrorKind::Invalid) and [`LimitReached`](ErrorKind::LimitReached). They
    /// serialise to JSON, as the answer to a form.
    ///
    /// ```
    /// # #[cfg(all(feature = "dispatcher", feature = "http-transport"))]
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// # use hookwire::store::MemoryStore;
    /// # use hookwire::{assist, TenantId, WebhookDraft, Webhooks};
    /// # let hooks = Webhooks::builder(assist::catalog()).store(MemoryStore::new()).build()?;
    /// # let acme = hooks.tenant(TenantId::new("acme")?);
    /// let posted = r#"{"name": "CRM", "url": "crm", "subscriptions": [{"event_id": 13}]}"#;
    /// let draft: WebhookDraft = serde_json::from_str(posted)?; // fails where it is no JSON object
    /// let refused = acme.create(&draft).await.expect_err("a rule is broken");
    /// assert_eq!(
    ///     serde_json::to_value(refused.violations())?,
    ///     serde_json::json!([{
    ///         "field": "url",
    ///         "rule": "not_url",
    ///         "message": "must be a valid, absolute URL with a host, like https://hooks.example.com/path",
    ///     }]),
    /// );
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn violations(&self) -> &[Violation] {
        match &self.kind {
            ErrorKind::Invalid(violations) => violations,
            _ => &self.violations,
        }
    }
}

impl Catalog {
    /// Returns an error of the service [in plain words](plain), as the JSON of an API's answer.
    ///
    /// ```
    /// # #[cfg(all(feature = "dispatcher", feature = "http-transport"))]
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// # use hookwire::store::MemoryStore;
    /// # use hookwire::{assist, HookId, TenantId, Webhooks};
    /// # let hooks = Webhooks::builder(assist::catalog()).store(MemoryStore::new()).build()?;
    /// # let acme = hooks.tenant(TenantId::new("acme")?);
    /// let error = acme.get(HookId::new(99)).await.expect_err("there is none");
    /// let shown = hooks.catalog().show_error(&error);
    /// assert_eq!(
    ///     serde_json::to_string(&shown)?,
    ///     r#"{"code":"not_found","message":"there is no webhook 99"}"#,
    /// );
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn show_error(&self, error: &Error) -> plain::Error {
        let violations = self.show_violations(error.violations());
        plain::Error::new(error.kind.as_str(), error.message.clone(), violations)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::CreationKeyReused(_) => Self::new(ErrorKind::CreationKeyReused, message),
            Refusal::Invalid(violations) => Self::new(ErrorKind::Invalid(violations), message),
            Refusal::LimitReached(violations) => {
                Self { violations, ..Self::new(ErrorKind::LimitReached, message) }
            }
            Refusal::NotFound(_) => Self::new(ErrorKind::NotFound, message),
            Refusal::NotInEdition => Self::new(ErrorKind::NotInEdition, message),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match error.kind() {
            StoreErrorKind::InvalidCursor => return Self::invalid_cursor(error),
            StoreErrorKind::Conflict => ErrorKind::Conflict,
            StoreErrorKind::Overloaded => ErrorKind::Overloaded,
            StoreErrorKind::Corrupt | StoreErrorKind::Full | StoreErrorKind::Unavailable => ErrorKind::Store,
        };
        Self { source: Some(Box::new(error)), ..Self::new(kind, "the store could not do this") }
    }
}

impl From<StoreErrorKind> for Error {
    fn from(kind: StoreErrorKind) -> Self {
        StoreError::from(kind).into()
    }
}

impl From<InvalidKeyRing> for Error {
    fn from(error: InvalidKeyRing) -> Self {
        Self::unopened(error)
    }
}

impl From<UnsealError> for Error {
    fn from(error: UnsealError) -> Self {
        Self::unopened(error)
    }
}
