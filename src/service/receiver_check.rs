//! The check of a receiver: whether it accepts what is authentic, and refuses what is not.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use serde::Serialize;

use super::error::Error;
use super::ping::{PING, PingOutcome};
use super::publishing::new_test_id;
use super::secrets::random_bytes;
use super::tenant::Tenant;
use crate::model::{HookId, MessageId, Outcome, Scope, SignatureScheme, Timestamp};
use crate::registry::RegisteredWebhook;
use crate::signature::{KeyRing, Message, SigningKey};

/// The result of [`Tenant::check_receiver`]. `Display` says for each failure what to do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReceiverCheck {
    /// The requests that were sent, in order. If the first one is not passed, no others are sent: they would show nothing.
    pub probes: Vec<Probe>,
}

/// A request that was sent to check a receiver.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Probe {
    /// What was sent.
    pub kind: ProbeKind,
    /// What came of it.
    pub outcome: PingOutcome,
    /// Whether the receiver did what it must.
    pub verdict: Verdict,
}

/// Whether a receiver did what it must with a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// It did not: it answered 2xx to a request that it must refuse, or 4xx to one that it must accept.
    Failed,
    /// It did.
    Passed,
    /// It did neither: it could not be reached, answered with 408, 429 or 5xx, or redirected.
    Unclear,
}

/// The kinds of request by which a receiver is checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProbeKind {
    /// The body is another one than was signed.
    ChangedBody,
    /// It was signed an hour ago. Not sent in GitHub's form, which signs no time.
    OldTimestamp,
    /// The first one again, as after an answer that was lost.
    Repeated,
    /// An authentic request.
    Valid,
    /// It is signed by another key.
    WrongSignature,
}

/// The age of a request that a receiver must refuse. Receivers tolerate five minutes.
const OLD: Duration = Duration::from_secs(60 * 60);

impl ProbeKind {
    /// The order in which they are sent.
    const ALL: [Self; 5] =
        [Self::Valid, Self::WrongSignature, Self::ChangedBody, Self::OldTimestamp, Self::Repeated];

    fn is_authentic(self) -> bool {
        matches!(self, Self::Valid | Self::Repeated)
    }

    fn applies_to(self, scheme: SignatureScheme) -> bool {
        self != Self::OldTimestamp || scheme != SignatureScheme::GitHub
    }

    fn judge(self, outcome: &PingOutcome) -> Verdict {
        let PingOutcome::Sent(Outcome::Answered { status, .. }) = outcome else { return Verdict::Unclear };
        let is_busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(status);
        let is_refused = status.is_client_error() && !is_busy;
        match (self.is_authentic(), status.is_success(), is_refused) {
            (true, true, _) | (false, _, true) => Verdict::Passed,
            (true, _, true) | (false, true, _) => Verdict::Failed,
            _ => Verdict::Unclear,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ChangedBody => "a changed body",
            Self::OldTimestamp => "an old request",
            Self::Repeated => "a repeated request",
            Self::Valid => "an authentic request",
            Self::WrongSignature => "a forged signature",
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::ChangedBody => {
                "your endpoint accepts a changed body: verify the exact bytes of the body, and answer 401"
            }
            Self::OldTimestamp => {
                "your endpoint accepts what was signed an hour ago, so anybody who recorded it can send it again: \
                 refuse timestamps that are more than five minutes off"
            }
            Self::Repeated => {
                "your endpoint refuses a message that it has handled: answer 2xx, as the first answer may be lost"
            }
            Self::Valid => {
                "your endpoint does not accept an authentic request: check its secret, and that it verifies the bytes \
                 of the body before it parses them"
            }
            Self::WrongSignature => {
                "your endpoint accepts forgeries: verify the signature of each request, and answer 401 if it is wrong"
            }
        }
    }
}

impl ReceiverCheck {
    /// Returns whether the receiver did what it must with every request.
    pub fn is_passed(&self) -> bool {
        self.probes.iter().all(|probe| probe.verdict == Verdict::Passed)
    }
}

impl Probe {
    /// Returns what to do, unless it is passed.
    fn advice(&self) -> Option<String> {
        match (self.verdict, &self.outcome) {
            (Verdict::Passed, _) => None,
            (Verdict::Failed, _) => Some(self.kind.advice().to_owned()),
            (Verdict::Unclear, PingOutcome::Sent(outcome)) => {
                let must = if self.kind.is_authentic() { "accept it with 2xx" } else { "refuse it with 401" };
                Some(format!(
                    "your endpoint gave no clear answer to {} ({outcome}): {must}",
                    self.kind.name()
                ))
            }
            (Verdict::Unclear, PingOutcome::Invalid(_)) => Some(
                "the URL of your endpoint leads to an address that is not allowed; use a public one"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for ReceiverCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut failures = self.probes.iter().filter_map(Probe::advice);
        let Some(first) = failures.next() else {
            return f.write_str("your endpoint accepts what is authentic, and nothing else");
        };
        f.write_str(&first)?;
        failures.try_for_each(|advice| write!(f, "\n{advice}"))
    }
}

impl Tenant {
    /// Checks whether a webhook's receiver verifies what it gets: sends it an authentic request, one with a wrong
    /// signature, one with a changed body, an old one, and the first again.
    ///
    /// All are [tests](crate::signature::Verified::is_test) without a payload, with the header `webhook-ping: check`. None
    /// is retried, and none has an effect on the webhook's health. Each takes up to the
    /// [deadline](crate::policy::Policy::with_deadline).
    ///
    /// ```
    /// # async fn run(acme: hookwire::Tenant, hook_id: hookwire::HookId) -> Result<(), hookwire::Error> {
    /// let check = acme.check_receiver(hook_id).await?;
    /// if !check.is_passed() {
    ///     println!("{check}"); // "your endpoint accepts forgeries: verify the signature .."
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    pub async fn check_receiver(&self, hook_id: HookId) -> Result<ReceiverCheck, Error> {
        self.require_any(&[Scope::Create, Scope::Update])?;
        let hook = self.get_registered(hook_id).await?;
        let id = new_test_id(self.core.now().as_millis());
        let mut probes = Vec::new();
        for kind in ProbeKind::ALL.into_iter().filter(|kind| kind.applies_to(hook.options.signature())) {
            let request = self.probe(kind, &hook, &id).await?;
            let outcome = self.try_out(hook.webhook.url(), request, "check").await.outcome;
            let verdict = kind.judge(&outcome);
            probes.push(Probe { kind, outcome, verdict });
            if kind == ProbeKind::Valid && verdict != Verdict::Passed {
                break;
            }
        }
        Ok(ReceiverCheck { probes })
    }

    async fn probe(
        &self,
        kind: ProbeKind,
        hook: &RegisteredWebhook,
        first: &MessageId,
    ) -> Result<Result<Request<Bytes>, Outcome>, Error> {
        const CHANGED: &[u8] = br#"{"type":"ping","changed":true}"#;
        let now = self.core.now();
        let own = new_test_id(now.as_millis());
        let id = if kind.is_authentic() { first } else { &own };
        let at = if kind == ProbeKind::OldTimestamp { now.minus(OLD) } else { now };
        let request = self.test_request(hook, (id, at), Bytes::from_static(PING)).await;
        let Ok(mut request) = request else { return Ok(request) };
        match kind {
            ProbeKind::WrongSignature => self.forge(&mut request, hook, (id, at))?,
            ProbeKind::ChangedBody => *request.body_mut() = Bytes::from_static(CHANGED),
            ProbeKind::OldTimestamp | ProbeKind::Repeated | ProbeKind::Valid => {}
        }
        Ok(Ok(request))
    }

    /// Signs a request by a key that nobody has.
    fn forge(
        &self,
        request: &mut Request<Bytes>,
        hook: &RegisteredWebhook,
        (id, at): (&MessageId, Timestamp),
    ) -> Result<(), Error> {
        let scheme = hook.options.signature();
        let key = KeyRing::new(SigningKey::from_random(scheme, *random_bytes()?));
        let body = request.body().clone();
        let message = Message { scheme, id, at, body: &body };
        // A key of the scheme's own kind makes a signature that it carries.
        let _ = message.write_headers(&key.sign(&message), request.headers_mut());
        self.core.requests().repeat(request.headers_mut());
        Ok(())
    }
}
