//! Bootstraps in protobuf's wire format. Envoy reads them from files whose names end in `.pb`.

#[cfg(test)]
mod tests;

use std::{
    ffi::OsStr,
    io::{self, ErrorKind},
    path::Path,
};

use serde_json::Value;

use crate::{
    Source, Written,
    diagnostic::Report,
    files::read_bounded,
    schema::{
        from_json, to_json,
        wire::{decode, encode},
    },
    yaml,
};

const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

impl Source {
    /// Reads a file: a text, or, if its name ends in `.pb`, a bootstrap in protobuf's wire format. That becomes the JSON that it
    /// stands for, with the names of the API's fields, and this is what lines of diagnostics are about.
    ///
    /// # Errors
    /// As for [`read`](Self::read); what is no bootstrap, or has fields that are newer than the API that is known here.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path.extension() != Some(OsStr::new("pb")) {
            return Self::read(path);
        }
        let text = text_of_bootstrap(&read_bounded(path)?)
            .map_err(|reason| io::Error::new(ErrorKind::InvalidData, reason))?;
        Ok(Self { path: path.display().to_string(), text })
    }
}

/// One bootstrap merged over another one, as protobuf merges messages: fields of `over` count, lists are added to each other, and
/// messages are merged field by field. It becomes the JSON that it stands for, and this is what lines of diagnostics are about.
///
/// # Errors
/// What is wrong in one of them, with its path.
pub fn merge_bootstraps(base: &Source, over: &Source) -> Result<Source, String> {
    let mut bytes = Vec::new();
    for source in [base, over] {
        let encoded = encode_message(BOOTSTRAP, &source.text);
        bytes.extend(encoded.map_err(|reason| format!("{}: {reason}", source.path))?);
    }
    // A message after a message is merged into it.
    let text = text_of_bootstrap(&bytes)?;
    Ok(Source { path: format!("{} with {}", base.path, over.path), text })
}

/// The JSON that a bootstrap in the wire format stands for.
///
/// # Errors
/// The first problem, with its path.
pub(crate) fn text_of_bootstrap(bytes: &[u8]) -> Result<String, String> {
    let report = Report::new("");
    let node = decode(BOOTSTRAP, bytes, &report);
    let problems = report.finish();
    match (node, problems.first()) {
        (Some(node), None) => Ok(format!("{:#}\n", to_json(&node))),
        (_, None) => Err("no bootstrap".to_owned()),
        (_, Some(problem)) if problem.place.path().is_empty() => Err(problem.message.clone()),
        (_, Some(problem)) => Err(format!("{}: {}", problem.place.path(), problem.message)),
    }
}

/// A message of Envoy's API in protobuf's wire format, written in YAML or JSON.
///
/// # Errors
/// The first problem, with its path.
pub fn encode_message(type_name: &str, text: &str) -> Result<Vec<u8>, String> {
    let report = Report::new("");
    let mut documents = yaml::parse(text, &report);
    if let Some(problem) = report.finish().first() {
        return Err(problem.message.clone());
    }
    let Some(tree) = documents.drain(..).next() else { return Ok(Vec::new()) };
    encode(type_name, &tree).map_err(|problem| format!("{}: {}", problem.path, problem.message))
}

/// The JSON that a message of Envoy's API in the wire format stands for. What is newer than the API that is known here is left
/// out.
///
/// # Errors
/// When it is no such message.
pub fn decode_message(type_name: &str, bytes: &[u8]) -> Result<Value, String> {
    let report = Report::new("");
    let node = decode(type_name, bytes, &report);
    node.map(|node| to_json(&node)).ok_or_else(|| {
        report
            .finish()
            .first()
            .map_or_else(|| "no such message".to_owned(), |problem| problem.message.clone())
    })
}

impl Written {
    /// The bootstrap in protobuf's wire format, for a file whose name ends in `.pb`.
    ///
    /// # Errors
    /// The path and type of a message that has no place in Envoy's API.
    pub fn to_protobuf(&self) -> Result<Vec<u8>, String> {
        encode(BOOTSTRAP, &from_json(&self.bootstrap))
            .map_err(|problem| format!("{}: {}", problem.path, problem.message))
    }
}
