//! The files that a configuration names: certificates, keys.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use rustls::pki_types::CertificateDer;
use tollgate_config::{FileSystem, Files};

/// The file system, which remembers what was asked for.
#[derive(Debug, Default)]
pub(crate) struct RecordedFiles(RefCell<BTreeMap<PathBuf, Content>>);

/// A digest, because keys need not be in memory twice; `None` = it cannot be read.
type Content = Option<u64>;

/// Files and what was in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NamedFiles(BTreeMap<PathBuf, Content>);

impl NamedFiles {
    /// Whether they hold what they held.
    pub(crate) fn are_unchanged(&self) -> bool {
        self.0.iter().all(|(path, content)| digest(&FileSystem.read(path)) == *content)
    }

    /// Their paths.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }
}

impl From<RecordedFiles> for NamedFiles {
    fn from(recorded: RecordedFiles) -> Self {
        Self(recorded.0.into_inner())
    }
}

impl Files for RecordedFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let content = FileSystem.read(path);
        self.0.borrow_mut().insert(path.to_owned(), digest(&content));
        content
    }

    fn environment_variable(&self, name: &str) -> Option<String> {
        FileSystem.environment_variable(name)
    }

    fn system_roots(&self) -> Vec<CertificateDer<'static>> {
        FileSystem.system_roots()
    }

    fn has_address(&self, address: IpAddr) -> bool {
        FileSystem.has_address(address)
    }
}

fn digest(content: &io::Result<Vec<u8>>) -> Content {
    let content = content.as_ref().ok()?;
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    Some(hasher.finish())
}
