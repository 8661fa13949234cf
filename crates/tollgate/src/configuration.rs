//! The configuration a command was given.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

use tollgate_config::{
    AccessLogForm, Before, Diagnostic, Explanations, NodeNames, ObjectReport, Options, Outcome, Severity,
    Source, load_after,
};
use tollgate_ir::Compiled;

use crate::{
    cli::{AccessLog, Reading, Resolution},
    named_files::{NamedFiles, RecordedFiles},
    problems,
    sources::Sources,
};

/// Files and folders and what became of them.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// What everything else was made of.
    pub(crate) input: Input,
    /// The configuration, if it is accepted.
    pub(crate) snapshot: Option<Compiled>,
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
        Self::translate(Sources::read(paths), Before::default(), options)
    }

    /// Translates a text.
    pub(crate) fn from_source(source: Source, options: &Options) -> Self {
        Self::translate(Sources::text(source), Before::default(), options)
    }

    /// Translates what was read after the configuration `before`.
    pub(crate) fn translate(sources: Sources, before: Before<'_>, options: &Options) -> Self {
        let files = RecordedFiles::default();
        let problems = sources.problems();
        let outcome = if problems.is_empty() {
            guarded(|| load_after(before, &sources.texts, &files, options))
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
        problems::text(&self.diagnostics, &self.objects, &self.input.sources.texts)
    }

    /// How many problems of a severity there are. What follows from another one is no problem of its own.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        let all = problems::problems(&self.diagnostics, &self.objects);
        all.iter()
            .map(|problem| problem.cause)
            .filter(|cause| cause.severity == severity)
            .map(|cause| cause.count)
            .sum()
    }

    /// Whether something may be open that the configuration wants to protect.
    pub(crate) fn exposes(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.exposes)
    }

    /// Takes the configuration that may be served, if there is one. One with an error because of which routes may be open is
    /// served only to those who asked for it.
    pub(crate) fn take_snapshot(&mut self, permissive: bool) -> Option<Compiled> {
        let exposes = self.exposes();
        self.snapshot.take().filter(|_| permissive || !exposes)
    }

    /// `refused: 2 errors, 1 warning`.
    pub(crate) fn verdict(&self, permissive: bool) -> String {
        let mut counts = Vec::new();
        for (severity, noun) in
            [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "note")]
        {
            match self.count(severity) {
                0 => {}
                1 => counts.push(format!("1 {noun}")),
                count => counts.push(format!("{count} {noun}s")),
            }
        }
        let has_errors = self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        let verdict = match &self.snapshot {
            None => "refused",
            Some(_) if self.exposes() && !permissive => "refused",
            Some(_) if has_errors => "served in part",
            Some(_) => "accepted",
        };
        if counts.is_empty() { verdict.to_owned() } else { format!("{verdict}: {}", counts.join(", ")) }
    }
}

/// Runs a translation. One that panics is refused like any other mistake, so that the configuration before stays in force.
fn guarded(translate: impl FnOnce() -> Outcome) -> Outcome {
    // Whatever the translation was working on is dropped with it.
    catch_unwind(AssertUnwindSafe(translate)).unwrap_or_else(|panic| {
        let reason = panic.downcast_ref::<String>().map(String::as_str);
        let reason = reason.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
        let message =
            format!("the configuration cannot be translated because of a bug in Tollgate: {reason}");
        Outcome { diagnostics: vec![Diagnostic::at("", message)], readable: true, ..Outcome::default() }
    })
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
            node: NodeNames::default(),
            access_log: match reading.access_log {
                AccessLog::Json => AccessLogForm::Json,
                AccessLog::Text => AccessLogForm::Text,
                AccessLog::Off => AccessLogForm::Off,
            },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_refusal() {
        let outcome = guarded(|| panic!("overflow at {}", 7));
        assert!(outcome.snapshot.is_none() && outcome.readable);
        let [diagnostic] = &*outcome.diagnostics else { panic!("{:?}", outcome.diagnostics) };
        assert!(diagnostic.message.ends_with("a bug in Tollgate: overflow at 7"), "{}", diagnostic.message);
        assert_eq!(diagnostic.severity, Severity::Error);
    }
}
