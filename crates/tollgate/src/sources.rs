//! What the paths of a command hold.

#[cfg(test)]
mod tests;

use std::{
    ffi::OsStr,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use tollgate_config::{Diagnostic, Severity, Source};

/// Folders within folders, at most: links can make circles.
const DEEPEST: usize = 16;
/// Most files of all paths.
const MOST_FILES: usize = 10_000;

/// What the paths of a command hold at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// The texts, in the order of the paths and sorted within a folder.
    pub(crate) texts: Vec<Source>,
    /// Files and folders that cannot be read, and why.
    unreadable: Vec<(PathBuf, String)>,
    /// Every folder that was looked into.
    pub(crate) folders: Vec<PathBuf>,
}

impl Sources {
    /// Reads files, and all YAML and JSON files of folders and the folders in them. Names that begin with a dot are left
    /// out, as Kubernetes keeps the versions of a mounted volume under such names.
    pub(crate) fn read(paths: &[PathBuf]) -> Self {
        let mut sources = Self::default();
        for path in paths {
            if path.is_dir() { sources.read_folder(path, 0) } else { sources.read_file(path) }
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
        let problem = |(path, reason): &(PathBuf, String)| Diagnostic {
            severity: Severity::Error,
            file: path.display().to_string(),
            line: 1,
            column: 1,
            length: 1,
            path: String::new(),
            message: reason.clone(),
            help: None,
        };
        self.unreadable.iter().map(problem).collect()
    }

    fn read_file(&mut self, path: &Path) {
        if self.texts.len() >= MOST_FILES {
            if self.texts.len() + self.unreadable.len() == MOST_FILES {
                self.fail(path, format!("there are more than {MOST_FILES} files"));
            }
            return;
        }
        match Source::read(path) {
            Ok(text) => self.texts.push(text),
            Err(error) => self.fail(path, format!("the file cannot be read: {error}")),
        }
    }

    fn read_folder(&mut self, folder: &Path, depth: usize) {
        if depth > DEEPEST {
            self.fail(folder, format!("the folder is more than {DEEPEST} folders deep"));
            return;
        }
        self.folders.push(folder.to_owned());
        let entries = match entries(folder) {
            Ok(entries) => entries,
            Err(error) => return self.fail(folder, format!("the folder cannot be read: {error}")),
        };
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

/// Sorted by name.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
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
