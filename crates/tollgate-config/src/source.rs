//! Where configuration comes from.

use std::{io, path::Path};

/// A text to read and what to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name in diagnostics, normally the path of a file.
    pub path: String,
    /// YAML or JSON.
    pub text: String,
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is not UTF-8.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.display().to_string(), text: std::fs::read_to_string(path)? })
    }
}
