use super::core::Core;
use crate::handshake::{Consent, Handshake};
use crate::model::CallbackUrl;
use crate::transport::SendLimits;

impl Core {
    /// Asks a receiver whether it wants to be sent to. One that gives no answer does not.
    pub(super) async fn ask(&self, handshake: &Handshake, url: &CallbackUrl) -> Consent {
        let Ok(request) = handshake.request(url) else { return Consent::Denied };
        let limits = SendLimits::new(self.policy().deadline(), self.policy().response_bytes());
        match self.transport().send(request, &limits).await {
            Ok(answer) => handshake.judge(&answer),
            Err(_) => Consent::Denied,
        }
    }
}
