//! A file of log lines, which is opened again when it was moved away.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// How often files were asked to be opened again.
static REOPENED: AtomicU64 = AtomicU64::new(0);

/// The file is opened again before the next line.
pub(super) fn reopen() {
    REOPENED.fetch_add(1, Relaxed);
}

/// A file that lines are added to.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    opened: u64,
}

impl LogFile {
    /// # Errors
    /// When it cannot be written.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: append(path)?, opened: REOPENED.load(Relaxed) })
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let asked = REOPENED.load(Relaxed);
        if self.opened != asked {
            self.opened = asked;
            // The old one is better than none.
            if let Ok(file) = append(&self.path) {
                self.file = file;
            }
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
