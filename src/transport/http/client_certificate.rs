//! Notes whether a receiver asks for a client certificate, which is never sent.

use std::cell::Cell;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use tokio::task_local;

task_local! {
    /// Whether the receiver of the connection that is being opened asked for a certificate. The resolver serves
    /// all connections, so that sessions can be resumed; it is called within the handshake.
    static ASKED: Cell<bool>;
}

/// Opens a connection, and returns with its result whether the receiver asked for a certificate.
pub(super) async fn noting<F: Future>(connecting: F) -> (F::Output, bool) {
    let noted = async {
        let result = connecting.await;
        (result, ASKED.with(Cell::get))
    };
    ASKED.scope(Cell::new(false), noted).await
}

/// Sends no certificate, and notes that one was asked for.
#[derive(Debug)]
pub(super) struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // Outside of `noting` nobody wants to know.
        let _ = ASKED.try_with(|asked| asked.set(true));
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_one_receiver_asked_is_not_noted_of_another() {
        let asking = noting(async { NoCertificate.resolve(&[], &[]).is_none() });
        assert_eq!(asking.await, (true, true));
        assert_eq!(noting(async {}).await, ((), false));
        assert!(NoCertificate.resolve(&[], &[]).is_none() && !NoCertificate.has_certs());
    }
}
