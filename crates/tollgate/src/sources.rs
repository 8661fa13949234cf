//! What the paths of a command hold.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use tollgate_config::{Diagnostic, Source};

/// Folders within folders, at most: links can make circles.
const DEEPEST: usize = 16;
/// Most files of all paths.
const MOST_FILES: usize = 10_000;
/// Most bytes of all files.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Most entries of all folders, those that are no configuration included.
const MOST_ENTRIES: usize = 100_000;

/// What the paths of a command hold at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// The texts, in the order of the paths and sorted within a folder.
    pub(crate) texts: Vec<Source>,
    /// Files and folders that cannot be read, and why.
    unreadable: Vec<(PathBuf, String)>,
    /// Every folder that was looked into.
    pub(crate) folders: Vec<PathBuf>,
    /// What was looked at so far.
    seen: Seen,
}

/// What was looked at so far, which is bounded: a folder may be anything, and a link may lead anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    /// Device and number of every folder. One that is reached by a second way is not read again.
    folders: BTreeSet<(u64, u64)>,
    /// Entries of folders.
    entries: usize,
    /// Bytes of all texts.
    bytes: usize,
    /// There is more than is looked at, which was said.
    is_full: bool,
}

impl Sources {
    /// Reads files, and all YAML and JSON files of folders and the folders in them. Names that begin with a dot are left
    /// out, as Kubernetes keeps the versions of a mounted volume under such names.
    pub(crate) fn read(paths: &[PathBuf]) -> Self {
        let mut sources = Self::default();
        for path in paths {
            if is_stream(path) {
                sources.read_stream(path);
            } else if path.is_dir() {
                sources.read_folder(path, 0);
            } else {
                sources.read_file(path);
            }
        }
        if sources.texts.is_empty() && sources.unreadable.is_empty() {
            for folder in paths {
                sources.fail(folder, "there is no YAML or JSON file in this folder".to_owned());
            }
        }
        sources
    }

    /// A text that is in no file.
    pub(crate) fn text(source: Source) -> Self {
        Self { texts: vec![source], ..Self::default() }
    }

    /// What cannot be read, as problems of the configuration.
    pub(crate) fn problems(&self) -> Vec<Diagnostic> {
        let problem =
            |(path, reason): &(PathBuf, String)| Diagnostic::at(path.display().to_string(), reason.clone());
        self.unreadable.iter().map(problem).collect()
    }

    fn read_file(&mut self, path: &Path) {
        if self.seen.is_full {
            return;
        }
        if self.texts.len() + self.unreadable.len() >= MOST_FILES {
            return self.stop_at(path, format!("there are more than {MOST_FILES} files"));
        }
        let source = Source::open(path);
        self.add(path, source);
    }

    /// Standard input, or a pipe that a shell made.
    fn read_stream(&mut self, path: &Path) {
        let source = if path == Path::new("-") {
            Source::read_from("standard input", io::stdin().lock())
        } else {
            fs::File::open(path).and_then(|file| Source::read_from(&path.display().to_string(), file))
        };
        self.add(path, source);
    }

    fn add(&mut self, path: &Path, source: io::Result<Source>) {
        match source {
            Ok(source) if self.seen.bytes + source.text.len() > MOST_BYTES => {
                self.stop_at(path, format!("the files are larger than {MOST_BYTES} bytes together"));
            }
            Ok(source) => {
                self.seen.bytes += source.text.len();
                self.texts.push(source);
            }
            Err(error) => self.fail(path, format!("the file cannot be read: {error}")),
        }
    }

    /// Looks at nothing more.
    fn stop_at(&mut self, path: &Path, reason: String) {
        self.seen.is_full = true;
        self.fail(path, reason);
    }

    fn read_folder(&mut self, folder: &Path, depth: usize) {
        if depth > DEEPEST {
            self.fail(folder, format!("the folder is more than {DEEPEST} folders deep"));
            return;
        }
        let identity = fs::metadata(folder).map(|metadata| (metadata.dev(), metadata.ino()));
        if self.seen.is_full || identity.is_ok_and(|identity| !self.seen.folders.insert(identity)) {
            return;
        }
        self.folders.push(folder.to_owned());
        let entries = match entries(folder, MOST_ENTRIES - self.seen.entries) {
            Ok(entries) => entries,
            Err(error) => return self.fail(folder, format!("the folder cannot be read: {error}")),
        };
        self.seen.entries += entries.len();
        if self.seen.entries >= MOST_ENTRIES {
            return self.stop_at(folder, format!("there are more than {MOST_ENTRIES} files and folders"));
        }
        for path in entries {
            if path.is_dir() {
                self.read_folder(&path, depth + 1);
            } else if is_configuration(&path) {
                self.read_file(&path);
            }
        }
    }

    fn fail(&mut self, path: &Path, reason: String) {
        self.unreadable.push((path.to_owned(), reason));
    }
}

/// Paths as a person would name them.
pub(crate) fn name(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

/// Whether a path is standard input or another stream, which can be read once.
pub(crate) fn is_stream(path: &Path) -> bool {
    ["-", "/dev/stdin"].iter().any(|stream| path == Path::new(stream))
        || ["/dev/fd", "/proc/self/fd"].iter().any(|folder| path.parent() == Some(Path::new(folder)))
}

/// Sorted by name, at most this many.
fn entries(folder: &Path, most: usize) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)?.take(most) {
        match entry {
            Ok(entry) if !entry.file_name().as_encoded_bytes().starts_with(b".") => paths.push(entry.path()),
            // It went while it was listed.
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_configuration(path: &Path) -> bool {
    path.extension().and_then(OsStr::to_str).is_some_and(|extension| {
        ["yaml", "yml", "json"].iter().any(|known| known.eq_ignore_ascii_case(extension))
    })
}
