//! The TLS client configuration: protocol versions, crypto provider and trusted roots.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
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
    let provider = Arc::new(aws_lc_rs::default_provider());
    let trusted: Vec<_> = roots.iter().flatten().flatten().cloned().collect();
    faults.extend(roots.into_iter().filter_map(Result::err));
    let config = trusting(trusted, provider);
    config.map_err(|error| faults.push(TransportFault::Roots(error.to_string()))).ok()
}

fn trusting(
    roots: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, rustls::Error> {
    let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider))?;
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
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
