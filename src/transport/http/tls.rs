//! The TLS client configuration: protocol versions, crypto provider and trusted roots.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::client_certificate::NoCertificate;
use super::error::TransportFault;
use super::verifier::ChainVerifier;

/// Creates a configuration for TLS 1.2 and 1.3 that trusts the roots of the system and `pems`.
///
/// The crypto provider is passed explicitly and never installed for the process, which is the application's choice.
pub(super) fn config(pems: &[Vec<u8>], faults: &mut Vec<TransportFault>) -> Option<ClientConfig> {
    let roots: Vec<_> = pems.iter().map(|pem| certificates(pem)).collect();
    let trusted: Vec<_> = roots.iter().flatten().flatten().cloned().collect();
    faults.extend(roots.into_iter().filter_map(Result::err));
    let config = provider().and_then(|provider| trusting(trusted, provider));
    config.map_err(|fault| faults.push(fault)).ok()
}

/// The provider of the feature `aws-lc-rs`. It wins over `ring`, so that a feature which another crate turns on changes
/// nothing for a host that has it.
#[cfg(feature = "aws-lc-rs")]
fn provider() -> Result<Arc<CryptoProvider>, TransportFault> {
    Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

/// The provider of the feature `ring`.
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
fn provider() -> Result<Arc<CryptoProvider>, TransportFault> {
    Ok(Arc::new(rustls::crypto::ring::default_provider()))
}

/// The provider that the host has installed for its process.
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
fn provider() -> Result<Arc<CryptoProvider>, TransportFault> {
    CryptoProvider::get_default().cloned().ok_or(TransportFault::NoCryptoProvider)
}

fn trusting(
    roots: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, TransportFault> {
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider));
    let verifier = verifier.map_err(|error| TransportFault::Roots(error.to_string()))?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| TransportFault::CryptoProvider(error.to_string()))?;
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(ChainVerifier(verifier)));
    Ok(config.with_client_cert_resolver(Arc::new(NoCertificate)))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TransportFault> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = read.map_err(|error| TransportFault::Certificate(error.to_string()))?;
    if certificates.is_empty() {
        return Err(TransportFault::Certificate("none found".into()));
    }
    for certificate in &certificates {
        let added = RootCertStore::empty().add(certificate.clone());
        added.map_err(|error| TransportFault::Certificate(error.to_string()))?;
    }
    Ok(certificates)
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "ring")))]
mod tests {
    use super::*;

    #[test]
    fn the_features_choose_the_provider() {
        let config = config(&[], &mut Vec::new()).expect("roots of the system");
        let chosen = format!("{:?}", config.crypto_provider().secure_random);
        assert_eq!(chosen, if cfg!(feature = "aws-lc-rs") { "AwsLcRs" } else { "Ring" });
    }

    #[test]
    fn a_provider_that_can_do_nothing_is_refused() {
        let provider = provider().expect("that of the features");
        let empty = CryptoProvider { cipher_suites: Vec::new(), ..(*provider).clone() };
        let fault = trusting(Vec::new(), Arc::new(empty)).expect_err("no cipher suites");
        assert!(matches!(fault, TransportFault::CryptoProvider(_)), "{fault}");
    }
}
