//! What a configuration refers to outside of its own text.

use std::{
    fs::File,
    io::{self, Read},
    net::{IpAddr, UdpSocket},
    path::Path,
};

use bytes::Bytes;
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

    /// A resource that a management server has delivered, as it came: a message of that type with that name. Default: none.
    fn delivered(&self, type_name: &str, name: &str) -> Option<Bytes> {
        let _ = (type_name, name);
        None
    }

    /// Whether this machine can listen on an address. One that stands for another system says true to all that it could
    /// have.
    fn has_address(&self, address: IpAddr) -> bool;
}

/// The real file system, environment and system certificates.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

impl Files for FileSystem {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        read_bounded(path)
    }

    fn environment_variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn system_roots(&self) -> Vec<CertificateDer<'static>> {
        rustls_native_certs::load_native_certs().certs
    }

    fn has_address(&self, address: IpAddr) -> bool {
        // No port is taken from anybody: the kernel chooses one, and it is free again at once.
        match UdpSocket::bind((address, 0)) {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
        }
    }
}

/// Largest file that is read, bytes.
pub(crate) const LARGEST_FILE: u64 = 16 * 1024 * 1024;

/// Reads a file that may not be larger than [`LARGEST_FILE`].
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Who opens a pipe waits for somebody at the other end, and a device may have no end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    read_all(File::open(path)?)
}

/// Reads to the end, which may not be farther than [`LARGEST_FILE`].
pub(crate) fn read_all(stream: impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    stream.take(LARGEST_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST_FILE {
        let message = format!("larger than {LARGEST_FILE} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_can_be_listened_on() {
        assert!(FileSystem.has_address("127.0.0.1".parse().unwrap()));
        assert!(FileSystem.has_address("0.0.0.0".parse().unwrap()));
        // TEST-NET-3: of nobody.
        assert!(!FileSystem.has_address("203.0.113.1".parse().unwrap()));
    }

    #[test]
    fn a_file_without_end_is_not_read() {
        assert_eq!(read_all(io::repeat(0)).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        for odd in ["/dev/zero", "/dev/null", "/"] {
            assert_eq!(
                FileSystem.read(Path::new(odd)).unwrap_err().kind(),
                io::ErrorKind::InvalidInput,
                "{odd}"
            );
        }
        assert_eq!(FileSystem.read(Path::new("/nowhere")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
