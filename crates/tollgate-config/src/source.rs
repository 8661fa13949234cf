//! Where configuration comes from.

use std::{io, path::Path};

use crate::files::{read_all, read_bounded};

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
    /// When it cannot be read, is larger than 16 MiB, or is not UTF-8.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::of(path.display().to_string(), read_bounded(path)?)
    }

    /// Reads a stream to its end; `name` is what diagnostics call it.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn read_from(name: &str, stream: impl io::Read) -> io::Result<Self> {
        Self::of(name.to_owned(), read_all(stream)?)
    }

    fn of(path: String, content: Vec<u8>) -> io::Result<Self> {
        let text = String::from_utf8(content)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))?;
        Ok(Self { path, text })
    }
}
