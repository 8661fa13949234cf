//! Where certificates and keys come from.

use std::{fmt, path::PathBuf, sync::Arc};

/// Where a text with certificates or a key comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum TextSource {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// The configuration itself.
    Inline(Arc<[u8]>),
}

impl fmt::Debug for TextSource {
    /// Without the text: it may be a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Environment(name) => f.debug_tuple("Environment").field(name).finish(),
            Self::Inline(text) => write!(f, "Inline({} bytes)", text.len()),
        }
    }
}

/// Where trusted certificates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustSource {
    /// A text.
    Text(TextSource),
    /// What the operating system trusts.
    System,
    /// Several places.
    Several,
}
