//! BackendTLSPolicy (6.7).

use tollgate_model::{matching::StringMatcher, tls::SubjectAltNameMatcher};

use super::names::{bounded, optional, precise_hostname};
use crate::{
    kubernetes::{ObjectKey, ObjectRef, Place},
    routing::CertificateRef,
    schema::{Enumeration, Message, Schema, Value, read, unimplemented},
};

/// TLS towards backends.
#[derive(Debug)]
pub(crate) struct BackendTlsPolicy {
    pub(crate) targets: Vec<BackendTarget>,
    pub(crate) ca_certificates: Vec<CertificateRef>,
    /// What the operating system trusts.
    pub(crate) system_ca: bool,
    pub(crate) hostname: String,
    /// One of these has to be met instead of the host name; empty = the host name.
    pub(crate) subject_alt_names: Vec<SubjectAltNameMatcher>,
    pub(crate) validation_place: Place,
}

/// What a policy is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackendTarget {
    pub(crate) object: ObjectRef,
    /// The name of a port of a service, or the number of a port of another backend.
    pub(crate) section: Option<String>,
}

static SPEC: Schema = Schema {
    name: "BackendTLSPolicySpec",
    title: "",
    fields: &[
        read("targetRefs", "", "Targets, 1 to 16. Required."),
        read("validation", "", "How backends are validated. Required."),
        read("targetRef", "", "Old form of targetRefs."),
        read("tls", "", "Old form of validation."),
        unimplemented("options", "there are no TLS options of our own"),
    ],
    unsupported: &[],
};

static TARGET: Schema = Schema {
    name: "LocalPolicyTargetReferenceWithSectionName",
    title: "",
    fields: &[
        read("group", "", "API group; empty = core. Required."),
        read("kind", "", "Service or Backend. Required."),
        read("name", "", "Name. Required."),
        read("sectionName", "every port", "Name of a port of a service, number of a port of a Backend."),
        read("namespace", "that of the policy", "Old form; no other one can be named."),
    ],
    unsupported: &[],
};

static VALIDATION: Schema = Schema {
    name: "BackendTLSPolicyValidation",
    title: "",
    fields: &[
        read("caCertificateRefs", "[]", "Objects with trusted certificates, at most 8."),
        read("wellKnownCACertificates", "", "System: what the operating system trusts."),
        read("hostname", "", "Server name, and name in the certificate. Required."),
        read("subjectAltNames", "[]", "Names in the certificate instead of the host name, at most 5."),
        read("caCertRefs", "[]", "Old form of caCertificateRefs."),
        read("wellKnownCACerts", "", "Old form of wellKnownCACertificates."),
    ],
    unsupported: &[],
};

static CERTIFICATE: Schema = Schema {
    name: "LocalObjectReference",
    title: "",
    fields: &[
        read("group", "the core group", "API group."),
        read("kind", "", "ConfigMap or Secret. Required."),
        read("name", "", "Name. Required."),
    ],
    unsupported: &[],
};

static SUBJECT_ALT_NAME: Schema = Schema {
    name: "SubjectAltName",
    title: "",
    fields: &[
        read("type", "", "Hostname or URI. Required."),
        read("hostname", "", "For Hostname."),
        read("uri", "", "For URI."),
    ],
    unsupported: &[],
};

static WELL_KNOWN: Enumeration<()> = Enumeration { values: &[("System", 0, Some(()))] };

static NAME_TYPE: Enumeration<bool> =
    Enumeration { values: &[("Hostname", 0, Some(true)), ("URI", 1, Some(false))] };

/// Reads a policy of `namespace`, in its newest form or the oldest one (EG-60).
pub(super) fn read_backend_tls_policy(value: &Value<'_>, namespace: &str) -> Option<BackendTlsPolicy> {
    let spec = value.message(&SPEC)?;
    let targets = match spec.required_one_of(&["targetRefs", "targetRef"])? {
        ("targetRefs", _) => read_targets(&spec, namespace),
        (_, target) => read_target(&target, namespace).into_iter().collect(),
    };
    let (_, validation) = spec.required_one_of(&["validation", "tls"])?;
    let message = validation.message(&VALIDATION)?;
    let references = match message.one_of(&["caCertificateRefs", "caCertRefs"]) {
        Some((name, _)) => bounded(&message, name, 8),
        None => Vec::new(),
    };
    let well_known = message.one_of(&["wellKnownCACertificates", "wellKnownCACerts"]);
    let well_known = well_known.filter(|(_, value)| value.node.content.describe() != "\"\"");
    match (references.is_empty(), &well_known) {
        (false, Some(_)) => {
            validation.error("must not contain both CACertificateRefs and WellKnownCACertificates");
        }
        (true, None) => {
            validation.error("must specify either CACertificateRefs or WellKnownCACertificates");
        }
        _ => {}
    }
    let names = bounded(&message, "subjectAltNames", 5);
    Some(BackendTlsPolicy {
        targets,
        ca_certificates: references.iter().filter_map(read_certificate).collect(),
        system_ca: well_known.and_then(|(_, value)| value.enumeration(&WELL_KNOWN)).is_some(),
        hostname: message
            .required("hostname")
            .and_then(|hostname| precise_hostname(&hostname))
            .unwrap_or_default(),
        subject_alt_names: names.iter().filter_map(read_subject_alt_name).collect(),
        validation_place: Place::of(&validation),
    })
}

fn read_targets(spec: &Message<'_>, namespace: &str) -> Vec<BackendTarget> {
    let values = bounded(spec, "targetRefs", 16);
    let mut targets: Vec<BackendTarget> = Vec::new();
    for value in &values {
        let Some(target) = read_target(value, namespace) else { continue };
        for other in targets.iter().filter(|other| other.object == target.object) {
            if other.section.is_none() || target.section.is_none() {
                value.error(
                    "sectionName must be specified when targetRefs includes 2 or more references to the same target",
                );
            } else if other.section == target.section {
                value.error(
                    "sectionName must be unique when targetRefs includes 2 or more references to the same target",
                );
            }
        }
        targets.push(target);
    }
    targets
}

fn read_target(value: &Value<'_>, namespace: &str) -> Option<BackendTarget> {
    let message = value.message(&TARGET)?;
    let group = message.required("group")?.string()?;
    let (kind, name) = (message.required_string("kind"), message.required_string("name"));
    if let Some(other) = message.get("namespace") {
        // EG-61
        if other.string()? != namespace {
            other.error("a policy may only target backends of its own namespace");
        }
    }
    let object = ObjectRef::new(&group, &kind, &ObjectKey::new(namespace, name));
    Some(BackendTarget { object, section: optional(&message, "sectionName") })
}

fn read_certificate(value: &Value<'_>) -> Option<CertificateRef> {
    let message = value.message(&CERTIFICATE)?;
    Some(CertificateRef {
        group: message.string("group"),
        kind: message.required_string("kind"),
        name: message.required_string("name"),
    })
}

fn read_subject_alt_name(value: &Value<'_>) -> Option<SubjectAltNameMatcher> {
    let message = value.message(&SUBJECT_ALT_NAME)?;
    if message.required("type")?.enumeration(&NAME_TYPE)? {
        let hostname = message.required("hostname")?;
        let name = super::names::hostname(&hostname)?;
        return Some(if name.starts_with("*.") {
            // A wildcard asks for the very wildcard in the certificate.
            SubjectAltNameMatcher::Dns(StringMatcher::ExactIgnoreCase(name))
        } else {
            SubjectAltNameMatcher::DnsName(name)
        });
    }
    let uri = message.required("uri")?.non_empty_string()?;
    Some(SubjectAltNameMatcher::Uri(StringMatcher::Exact(uri)))
}
