//! Whether a URL may and can be sent to: the transport's verdict on its address, and the receiver's consent.

use tracing::warn;

use super::error::Error;
use super::sending::unless_panicked;
use super::tenant::Tenant;
use crate::handshake::Consent;
use crate::model::{FailureKind, Rule, Violation};
use crate::registry::{Refusal, Registry, RegistryChange, Terms, check_url};
use crate::transport::TransportError;

/// The findings about a URL.
#[derive(Default)]
pub(super) struct AddressFinding {
    /// The rule by which the URL is refused.
    pub(super) violation: Option<Violation>,
    /// Why its address could not be checked.
    pub(super) failure: Option<TransportError>,
    /// The requests a minute that its receiver allows.
    allowed_rate: Option<u32>,
}

impl AddressFinding {
    /// Returns what is worth a warning, though the URL is accepted.
    pub(super) fn warnings(&self) -> Vec<String> {
        let failure = self.failure.iter().map(ToString::to_string);
        let rate = self.allowed_rate.iter().map(|rate| {
            format!(
                "the receiver allows {rate} requests a minute; it may answer more with 429, and they are tried again"
            )
        });
        failure.chain(rate).collect()
    }

    /// Adds the violation, if there is one, to what the other rules say.
    pub(super) fn judge(&self, decided: Result<RegistryChange, Refusal>) -> Result<RegistryChange, Error> {
        Ok(Refusal::with(self.violation.as_ref(), decided)?)
    }

    fn with_consent(self, consent: Consent) -> Self {
        match consent {
            Consent::Given => self,
            Consent::AtMost(rate) => Self { allowed_rate: Some(rate), ..self },
            Consent::Denied => self.unwanted(
                "the receiver did not allow it; let it answer OPTIONS with WebHook-Allowed-Origin",
            ),
            Consent::Unasked => self.unwanted(
                "no address was found for the host, so the receiver could not be asked; try again once it has one",
            ),
        }
    }

    fn unwanted(self, message: &str) -> Self {
        Self { violation: Some(Violation::new("url", Rule::Unwanted, message)), ..self }
    }
}

impl Tenant {
    /// Checks a URL's address, and asks its receiver if the service has a handshake.
    ///
    /// The receiver is asked last, and only if `decide` accepts the webhook. Otherwise anybody could have requests
    /// sent to strangers by drafts that are never registered.
    pub(super) async fn check_new_receiver(
        &self,
        url: &str,
        decide: impl Fn(&Registry, Terms<'_>) -> Result<RegistryChange, Refusal> + Send,
    ) -> Result<AddressFinding, Error> {
        let finding = self.check_address(url).await;
        let Some(handshake) = self.core.handshake() else { return Ok(finding) };
        let registry = self.core.store().registry(&self.id).await?;
        let change = finding.judge(decide(&registry, self.core.terms(&self.id)))?;
        let Some(new) = change.registered() else { return Ok(finding) };
        let consent = match &finding.failure {
            None => self.core.ask(handshake, new.webhook.url()).await,
            Some(_) => Consent::Unasked,
        };
        Ok(finding.with_consent(consent))
    }

    /// Asks the transport whether it could dial a URL. A URL that breaks the rules is not asked about.
    pub(super) async fn check_address(&self, url: &str) -> AddressFinding {
        let terms = self.core.terms(&self.id);
        let limits = terms.limits.unwrap_or_default();
        let Ok(url) = check_url(url, terms.urls, &limits) else { return AddressFinding::default() };
        match unless_panicked(self.core.transport().check(&url)).await {
            Ok(()) => AddressFinding::default(),
            Err(error) if error.kind() == FailureKind::Refused => {
                // Somebody may be probing the network; the address is for the operator alone.
                let detail = error.detail();
                warn!(target: "hookwire", tenant = %self.id, detail, "a URL was refused by its address");
                let message = "leads to an address that is not allowed; use a public one";
                let violation = Violation::new("url", Rule::AddressRefused, message);
                AddressFinding { violation: Some(violation), ..AddressFinding::default() }
            }
            Err(error) => AddressFinding { failure: Some(error), ..AddressFinding::default() },
        }
    }
}
