//! What TLS is by: the features `aws-lc-rs` and `ring` choose, and without both the host's own provider is taken.

use hookwire::transport::HttpTransport;

#[cfg(any(feature = "aws-lc-rs", feature = "ring"))]
#[test]
fn a_provider_of_the_features_is_not_installed_for_the_process() {
    use tokio_rustls::rustls::crypto::CryptoProvider;

    HttpTransport::new().expect("a transport");
    assert!(CryptoProvider::get_default().is_none(), "the host's choice");
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
#[test]
fn without_features_it_is_that_of_the_host() {
    use hookwire::transport::TransportFault;
    use tokio_rustls::rustls::crypto::aws_lc_rs;

    let builder = HttpTransport::builder().allow_network("intranet");
    let error = builder.build().expect_err("there is none");
    let network = TransportFault::Network("intranet".to_owned());
    assert_eq!(error.faults, [network, TransportFault::NoCryptoProvider], "every fault at once");
    for remedy in ["aws-lc-rs", "ring", "install_default"] {
        assert!(error.to_string().contains(remedy), "{error}");
    }
    aws_lc_rs::default_provider().install_default().expect("the first");
    HttpTransport::new().expect("by the host's provider");
}
