//! One entry of `extProc` (6.3).

mod backend_ref;
mod modes;

use std::{collections::BTreeMap, time::Duration};

use extproc::{Attributes, MetadataNamespaces, MetadataOptions, ProcessingMode};
use http::StatusCode;

pub(super) use self::backend_ref::BackendRef;
use self::{
    backend_ref::{read_backend_ref, read_old_backend_ref},
    modes::{Modes, read_modes},
};
use super::settings::{BackendSettings, read_settings};
use crate::{
    kubernetes::{Place, values::parse_gateway_duration},
    schema::{Message, Schema, Value, read},
};

/// A processor, as a policy describes it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) backends: Vec<BackendRef>,
    pub(super) settings: BackendSettings,
    pub(super) message_timeout: Option<Duration>,
    pub(super) fail_open: bool,
    pub(super) mode: ProcessingMode,
    pub(super) allow_mode_override: bool,
    pub(super) request_attributes: Attributes,
    pub(super) response_attributes: Attributes,
    /// `shadowMode`
    pub(super) observe: bool,
    pub(super) metadata: MetadataOptions,
    pub(super) status_on_error: Option<StatusCode>,
    /// Where each setting stands, by its name in Envoy.
    pub(super) sources: BTreeMap<&'static str, Place>,
}

static EXT_PROC: Schema = Schema {
    name: "ExtProc",
    title: "",
    fields: &[
        read("backendRefs", "", "The processor: services and Backends, at most 16. Required."),
        read("backendRef", "", "The old form of one backend."),
        read("backendSettings", "{}", "How the processor is reached."),
        read("messageTimeout", "200ms", "How long an answer may take."),
        read("failOpen", "false", "Continue without the processor when it fails."),
        read("processingMode", "nothing is sent", "What is sent to the processor."),
        read("shadowMode", "false", "Send, and never wait for answers."),
        read("metadata", "{}", "Dynamic metadata that travels to the processor and back."),
        read("statusOnError", "500", "Status of error replies."),
    ],
    unsupported: &[],
};

static METADATA: Schema = Schema {
    name: "ExtProcMetadata",
    title: "",
    fields: &[
        read("accessibleNamespaces", "[]", "Namespaces that are sent to the processor."),
        read("writableNamespaces", "[]", "Namespaces that the processor may write, at most 8."),
    ],
    unsupported: &[],
};

/// Most writable namespaces and backends.
const MOST_NAMESPACES: usize = 8;
const MOST_BACKENDS: usize = 16;
/// Longest `messageTimeout`, as Envoy has it.
const LONGEST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Names of fields of ours and what they set in Envoy.
const SOURCES: [(&str, &str); 7] = [
    ("backendRef", "grpc_service"),
    ("backendRefs", "grpc_service"),
    ("messageTimeout", "message_timeout"),
    ("failOpen", "failure_mode_allow"),
    ("shadowMode", "observability_mode"),
    ("metadata", "metadata_options"),
    ("statusOnError", "status_on_error"),
];

/// Reads an entry.
pub(super) fn read_entry(value: &Value<'_>, index: usize) -> Option<Entry> {
    let message = value.message(&EXT_PROC)?;
    let fail_open = message.boolean("failOpen", false);
    let observe = message.boolean("shadowMode", false);
    let modes = read_modes(&message, index, observe);
    modes.check(value, fail_open, observe);
    let mut sources: BTreeMap<_, _> = SOURCES
        .iter()
        .filter_map(|(field, setting)| Some((*setting, Place::of(&message.get(field)?))))
        .collect();
    let Modes { mode, allow_mode_override, request_attributes, response_attributes, sources: more } = modes;
    sources.extend(more);
    let settings = message.get("backendSettings");
    Some(Entry {
        place: Place::of(value),
        backends: read_backends(&message),
        settings: settings.and_then(|settings| read_settings(&settings)).unwrap_or_default(),
        message_timeout: message.get("messageTimeout").and_then(|timeout| read_message_timeout(&timeout)),
        fail_open,
        mode,
        allow_mode_override,
        request_attributes,
        response_attributes,
        observe,
        metadata: message
            .message("metadata", &METADATA)
            .map(|found| read_metadata(&found))
            .unwrap_or_default(),
        status_on_error: message.get("statusOnError").and_then(|status| read_status_on_error(&status)),
        sources,
    })
}

pub(super) fn read_backends(message: &Message<'_>) -> Vec<BackendRef> {
    let mut backends: Vec<_> = message.list("backendRefs").iter().filter_map(read_backend_ref).collect();
    if let Some(value) = message.get("backendRefs")
        && backends.len() > MOST_BACKENDS
    {
        value.error(format!("must have at most {MOST_BACKENDS} entries, found {}", backends.len()));
    }
    // EG-6, EG-13
    if let Some(value) = message.get("backendRef") {
        let help = "write it as an entry of backendRefs";
        if value.context.options.strict || message.get("backendRefs").is_some() {
            value.error_with_help("BackendRefs must be used, backendRef is not supported.", help);
        } else {
            value.warning("backendRef is taken as a list of one of backendRefs", help);
            backends.extend(read_old_backend_ref(&value));
        }
    }
    backends
}

fn read_message_timeout(value: &Value<'_>) -> Option<Duration> {
    let text = value.string()?;
    let Some(timeout) = parse_gateway_duration(&text) else {
        value.error_with_help(
            "invalid ExtProc MessageTimeout value",
            "up to four whole numbers with a unit of h, m, s or ms, such as 500ms",
        );
        return None;
    };
    if timeout > LONGEST_MESSAGE_TIMEOUT {
        value.error("must be at most 3600s");
    }
    Some(timeout)
}

fn read_metadata(message: &Message<'_>) -> MetadataOptions {
    let writable = message.list("writableNamespaces");
    if let Some(value) = message.get("writableNamespaces")
        && writable.len() > MOST_NAMESPACES
    {
        value.error(format!("must have at most {MOST_NAMESPACES} entries, found {}", writable.len()));
    }
    let writable = writable.iter().filter_map(|value| {
        let namespace = value.string()?;
        // EG-11
        if namespace.starts_with("envoy.filters.http") {
            value.error("writableNamespaces cannot contain well-known Envoy HTTP filter namespaces");
        }
        Some(namespace)
    });
    let untyped = |untyped| MetadataNamespaces { untyped, typed: Vec::new() };
    MetadataOptions {
        forwarding_namespaces: untyped(message.strings("accessibleNamespaces")),
        receiving_namespaces: untyped(writable.collect()),
        cluster_metadata_forwarding_namespaces: MetadataNamespaces::default(),
    }
}

fn read_status_on_error(value: &Value<'_>) -> Option<StatusCode> {
    let code = u16::try_from(value.integer(0..=999)?).ok()?;
    match code {
        400..=417 | 421..=424 | 426 | 428 | 429 | 431 | 500..=508 | 510 | 511 => {
            StatusCode::from_u16(code).ok()
        }
        _ => {
            value.error_with_help(
                format!("{code} is not a status for errors"),
                "one of 400 to 417, 421 to 424, 426, 428, 429, 431, 500 to 508, 510, 511",
            );
            None
        }
    }
}
