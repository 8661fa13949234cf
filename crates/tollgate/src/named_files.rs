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
pub(crate) type Content = Option<u64>;

/// Files and what was in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NamedFiles(BTreeMap<PathBuf, Content>);

impl NamedFiles {
    /// Whether they hold what they held.
    pub(crate) fn are_unchanged(&self) -> bool {
        self.0.iter().all(|(path, content)| digest(&FileSystem.read(path)) == *content)
    }

    /// Whether one of them holds something else. What was looked at is in `seen`, and not read again.
    pub(crate) fn have_changed(&self, seen: &mut BTreeMap<PathBuf, Content>) -> bool {
        self.0.iter().any(|(path, content)| {
            let now = match seen.get(path) {
                Some(now) => *now,
                None => {
                    let now = digest(&FileSystem.read(path));
                    seen.insert(path.clone(), now);
                    now
                }
            };
            now != *content
        })
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These as well, as they are there.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Their paths.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }
}

impl RecordedFiles {
    /// What was asked for since this was called last.
    pub(crate) fn take(&self) -> NamedFiles {
        NamedFiles(self.0.take())
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
