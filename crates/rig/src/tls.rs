//! Certificates that nobody trusts but who is told to, and that are forgotten with their folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// An authority and one certificate of its own, for `localhost` and no other name.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    pub fn new() -> Result<Authority> {
        let folder = tempfile::tempdir()?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(folder.path().join("ca.pem"), params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
        fs::write(folder.path().join("server.pem"), leaf.pem())?;
        fs::write(folder.path().join("server.key"), key.serialize_pem())?;
        Ok(Authority { folder })
    }

    /// What a client must trust.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.folder.path().join("server.key")
    }

    /// A copy of certificate and key in a folder that only one user may read.
    pub fn copy(&self, folder: &Path) -> Result<[PathBuf; 2]> {
        let copies = [folder.join("server.pem"), folder.join("server.key")];
        for (from, to) in [self.certificate(), self.key()].iter().zip(&copies) {
            fs::copy(from, to)?;
        }
        Ok(copies)
    }
}
