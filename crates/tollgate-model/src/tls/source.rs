//! Where certificates and keys come from.

use std::{
    fmt::{self, Write as _},
    path::PathBuf,
    sync::Arc,
};

use aws_lc_rs::digest;

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

impl TextSource {
    /// What a text with a certificate of that fingerprint is called after it.
    #[must_use]
    pub fn name(&self, fingerprint: &str) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Environment(name) => format!("${name}"),
            Self::Inline(_) => format!("sha256:{fingerprint}"),
        }
    }
}

/// SHA-256 of some certificates together, hexadecimal.
pub(super) fn fingerprint<'c>(certificates: impl IntoIterator<Item = &'c [u8]>) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    certificates.into_iter().for_each(|certificate| hash.update(certificate));
    hash.finish().as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
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
