//! The directory of a server: its configuration, its certificate and its log.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::Error;

/// A directory that goes with this value.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// Makes an empty one.
    ///
    /// # Errors
    ///
    /// When the system refuses to.
    pub fn new() -> Result<Self, Error> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hookwire-servers-{}-{number}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        Ok(fs::write(self.file(name), text)?)
    }

    /// Writes a certificate for `hosts` and its key, and returns that of the authority which issued it.
    pub(crate) fn certify(&self, hosts: &[String]) -> Result<String, Error> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "An authority of our own");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(hosts)?.signed_by(&key, &authority)?;
        self.write("certificate.pem", &certificate.pem())?;
        self.write("key.pem", &key.serialize_pem())?;
        Ok(authority.pem())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning.
        let _ = fs::remove_dir_all(&self.0);
    }
}
