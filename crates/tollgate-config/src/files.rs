//! What a configuration refers to outside of its own text.

use std::{io, path::Path};

use rustls::pki_types::CertificateDer;

/// What a configuration refers to outside of its own text. Tests give their own.
pub trait Files {
    /// The content of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The value of an environment variable, if it is set and UTF-8.
    fn environment_variable(&self, name: &str) -> Option<String>;

    /// The certificates that the operating system trusts; empty when there are none.
    fn system_roots(&self) -> Vec<CertificateDer<'static>>;
}

/// The real file system, environment and system certificates.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

impl Files for FileSystem {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn environment_variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn system_roots(&self) -> Vec<CertificateDer<'static>> {
        rustls_native_certs::load_native_certs().certs
    }
}
