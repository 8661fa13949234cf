//! The configuration a command was given.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    path::PathBuf,
};

use tollgate_config::{
    Diagnostic, Explanations, ObjectReport, Options, Outcome, Severity, Source, load_after, render,
};
use tollgate_model::Snapshot;

use crate::{
    cli::{Reading, Resolution},
    named_files::{NamedFiles, RecordedFiles},
    sources::Sources,
};

/// Files and folders and what became of them.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// What everything else was made of.
    pub(crate) input: Input,
    /// The configuration, if it is accepted.
    pub(crate) snapshot: Option<Snapshot>,
    /// Everything there is to say about it.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Whether every file could be read.
    pub(crate) readable: bool,
    /// The Kubernetes objects, with the status that their controllers would write.
    pub(crate) objects: Vec<ObjectReport>,
    /// Where the routes come from that were translated from them.
    pub(crate) explanations: Explanations,
}

/// Everything that a configuration depends on. The same input gives the same configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    /// The texts that diagnostics point into.
    pub(crate) sources: Sources,
    /// Files that the texts name.
    pub(crate) named_files: NamedFiles,
}

impl Configuration {
    /// Reads and translates files and folders. What cannot be read is refused with a diagnostic, like what is wrong.
    pub(crate) fn load(paths: &[PathBuf], options: &Options) -> Self {
        Self::translate(Sources::read(paths), &[], options)
    }

    /// Translates a text.
    pub(crate) fn from_source(source: Source, options: &Options) -> Self {
        Self::translate(Sources::text(source), &[], options)
    }

    /// Translates what was read; `before` are the objects of the configuration before.
    pub(crate) fn translate(sources: Sources, before: &[ObjectReport], options: &Options) -> Self {
        let files = RecordedFiles::default();
        let problems = sources.problems();
        let outcome = if problems.is_empty() {
            load_after(before, &sources.texts, &files, options)
        } else {
            // What is missing may be what the rest refers to: nothing useful can be said about the rest.
            Outcome { diagnostics: problems, ..Outcome::default() }
        };
        let Outcome { snapshot, diagnostics, readable, objects, explanations } = outcome;
        Self {
            input: Input { sources, named_files: files.into() },
            snapshot,
            diagnostics,
            readable,
            objects,
            explanations,
        }
    }

    /// Every problem for people, the worst first.
    pub(crate) fn problems(&self) -> String {
        let mut diagnostics: Vec<_> = self.diagnostics.iter().collect();
        diagnostics.sort_by_key(|diagnostic| diagnostic.severity);
        let texts = &self.input.sources.texts;
        diagnostics.into_iter().map(|diagnostic| render(diagnostic, texts) + "\n").collect()
    }

    /// `refused: 2 errors, 1 warning`.
    pub(crate) fn verdict(&self) -> String {
        let verdict = if self.snapshot.is_some() { "accepted" } else { "refused" };
        let counts: Vec<String> =
            [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "note")]
                .into_iter()
                .filter_map(|(severity, noun)| {
                    let of_it = |diagnostic: &&Diagnostic| diagnostic.severity == severity;
                    match self.diagnostics.iter().filter(of_it).count() {
                        0 => None,
                        1 => Some(format!("1 {noun}")),
                        count => Some(format!("{count} {noun}s")),
                    }
                })
                .collect();
        if counts.is_empty() { verdict.to_owned() } else { format!("{verdict}: {}", counts.join(", ")) }
    }
}

impl From<&Reading> for Options {
    fn from(reading: &Reading) -> Self {
        let mut resolve = BTreeMap::new();
        for Resolution { service, addresses } in &reading.resolve {
            resolve.entry(service.clone()).or_insert_with(Vec::new).extend(addresses.iter().cloned());
        }
        Self {
            strict: reading.strict,
            namespace: reading.namespace.clone(),
            resolve,
            cluster_domain: reading.cluster_domain.clone(),
            bind_address: available(reading.bind_address),
            shift_privileged_ports: reading.shift_privileged_ports,
            kgateway_deep_merge: reading.kgateway_deep_merge,
        }
    }
}

/// Every address of a machine without IPv6 is an IPv4 address.
fn available(address: IpAddr) -> IpAddr {
    let every_v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    if address == every_v6 && UdpSocket::bind((address, 0)).is_err() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        address
    }
}
