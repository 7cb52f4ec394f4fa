//! A server that lets nobody in without TLS, with a certificate of an authority of one's own.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use hookwire_postgres::{ConnectError, PostgresOptions, PostgresStore};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::server::Server;
use crate::support::fresh_name;

/// A directory with certificates, which goes with this value.
struct Certificates(PathBuf);

impl Certificates {
    /// An authority, a server for `localhost`, and the client `hookwire`.
    fn create() -> Self {
        let directory = std::env::temp_dir().join(fresh_name());
        fs::create_dir(&directory).expect("a directory");
        let certificates = Self(directory);
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate().expect("a key"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "An authority of ours");
        let root = params.self_signed(&key).expect("a certificate").pem();
        let authority = Issuer::new(params, key);
        certificates.write("root.crt", &root);
        certificates.issue("server", "localhost", &authority);
        certificates.issue("client", "hookwire", &authority);
        certificates
    }

    fn issue(&self, file: &str, name: &str, authority: &Issuer<'_, KeyPair>) {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, authority).expect("a certificate");
        self.write(&format!("{file}.crt"), &certificate.pem());
        self.write(&format!("{file}.key"), &key.serialize_pem());
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).expect("written");
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How an attempt to connect ends.
async fn connect(options: PostgresOptions, url: &str) -> Result<(), ConnectError> {
    options.connect(url).await.map(drop)
}

fn told(error: &ConnectError) -> String {
    format!("{error} {:?}", error.source())
}

async fn must_connect(urls: &[String]) {
    for url in urls {
        let connected = connect(PostgresStore::options(), url).await;
        connected.unwrap_or_else(|error| panic!("{url}: {}", told(&error)));
    }
}

#[tokio::test]
async fn sslmode_means_what_libpq_says_except_that_require_verifies() {
    let certificates = Certificates::create();
    let server = Server::start_with_tls(Path::new(&certificates.0));
    // The server listens at 127.0.0.1 alone, and its certificate is for localhost.
    let (here, root) = (server.url.clone(), certificates.path("root.crt"));
    let named = here.replace("127.0.0.1", "localhost");
    PostgresStore::migrate(&format!("{named}?sslmode=verify-full&sslrootcert={root}"))
        .await
        .expect("a schema");
    must_connect(&[
        here.clone(),
        format!("{here}?sslmode=prefer"),
        format!("{here}?sslmode=allow"),
        format!("{here}?sslmode=verify-ca&sslrootcert={root}"),
        format!("{named}?sslmode=require&sslrootcert={root}"),
    ])
    .await;
    let trusting = || PostgresStore::options().trust_pem(fs::read(&root).expect("PEM"));
    connect(trusting(), &format!("{named}?sslmode=require")).await.expect("roots may be an option");
    connect(trusting(), &format!("{here}?sslmode=verify-ca")).await.expect("of this authority");
    let other = Certificates::create();
    let strange = other.path("root.crt");
    for url in [
        format!("{named}?sslmode=require"),
        format!("{named}?sslrootcert=system"),
        format!("{here}?sslmode=require&sslrootcert={root}"),
        format!("{here}?sslmode=verify-full&sslrootcert={root}"),
        format!("{named}?sslmode=verify-full&sslrootcert={strange}"),
        format!("{here}?sslmode=verify-ca&sslrootcert={strange}"),
    ] {
        let error = connect(PostgresStore::options(), &url).await.expect_err("it is not trusted");
        assert!(matches!(error, ConnectError::Tls(_)), "{url}: {}", told(&error));
    }
    let error = connect(PostgresStore::options(), &format!("{here}?sslmode=disable")).await;
    let error = error.expect_err("the server insists");
    assert!(matches!(error, ConnectError::Unencrypted(_)), "{}", told(&error));
    assert!(error.to_string().contains("sslmode=require"), "{error}");
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let certificates = Certificates::create();
    let server = Server::start_with_tls(Path::new(&certificates.0));
    let url = server.url.replace("127.0.0.1", "localhost").replace("/postgres", "/template1");
    let url = format!("{url}?sslmode=verify-full&sslrootcert={}", certificates.path("root.crt"));
    let error = connect(PostgresStore::options(), &url).await.expect_err("it shows none");
    assert!(matches!(error, ConnectError::Refused(_)), "{}", told(&error));
    let (certificate, key) = (certificates.path("client.crt"), certificates.path("client.key"));
    let error = connect(PostgresStore::options(), &format!("{url}&sslcert={certificate}&sslkey={key}")).await;
    let error = error.expect_err("there is no schema");
    assert!(matches!(error, ConnectError::NotMigrated { .. }), "{}", told(&error));
}

#[tokio::test]
async fn a_file_that_is_missing_or_no_pem_is_told_by_its_parameter() {
    let certificates = Certificates::create();
    certificates.write("nothing.pem", "nothing");
    let (nothing, root) = (certificates.path("nothing.pem"), certificates.path("root.crt"));
    let key = certificates.path("client.key");
    let url = "postgres://hooks@db.internal/app?sslmode=require";
    for (query, expected) in [
        ("&sslrootcert=/no-such-file".to_owned(), "sslrootcert"),
        (format!("&sslrootcert={nothing}"), "sslrootcert"),
        (format!("&sslcert={nothing}&sslkey={key}"), "sslcert"),
        (format!("&sslcert={root}&sslkey={nothing}"), "sslkey"),
    ] {
        let error = connect(PostgresStore::options(), &format!("{url}{query}")).await;
        let ConnectError::Certificates { of, .. } = error.expect_err("no PEM") else { panic!("{query}") };
        assert_eq!(of, expected);
    }
    let options = PostgresStore::options().trust_pem("nothing");
    let error = connect(options, url).await.expect_err("no PEM");
    assert!(matches!(error, ConnectError::Certificates { of: "trust_pem", .. }), "{error:?}");
    let error = connect(PostgresStore::options(), "postgres://db.internal/app?sslmode=verify-ca").await;
    let error = error.expect_err("the platform's roots issue for everybody");
    assert!(matches!(error, ConnectError::Parameter { ref name, .. } if name == "sslmode"), "{error:?}");
}
