//! EnvoyExtensionPolicy (6.2).

use super::{
    ext_proc::{Entry, read_entry},
    targets::{name_a_non_route, read_targets},
};
use crate::{
    kubernetes::Place,
    policies::Targets,
    schema::{Enumeration, Message, Schema, Value, read},
};

/// Attaches processors to gateways and routes.
#[derive(Debug)]
pub(crate) struct ExtensionPolicy {
    pub(super) targets: Targets,
    /// `mergeType` is given: what is not said here is taken from the next less specific policy (EG-43).
    pub(super) merges: bool,
    /// The processors, in order.
    pub(super) ext_proc: Vec<Entry>,
    /// Extensions of other kinds, none of which can be run.
    pub(super) others: Vec<OtherExtension>,
}

/// An extension that is no processor.
#[derive(Debug, Clone)]
pub(super) struct OtherExtension {
    pub(super) kind: ExtensionKind,
    /// Requests may go on without it.
    pub(super) fail_open: bool,
    pub(super) place: Place,
}

/// Kinds of extensions, in the order of messages (EG-50).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ExtensionKind {
    Wasm,
    Lua,
    ExtProc,
    DynamicModule,
}

static SPEC: Schema = Schema {
    name: "EnvoyExtensionPolicySpec",
    title: "",
    fields: &[
        read("targetRef", "", "Deprecated: one target."),
        read("targetRefs", "[]", "What the policy is attached to."),
        read("targetSelectors", "[]", "The same, by labels."),
        read("mergeType", "", "StrategicMerge or JSONMerge: what this policy leaves out is inherited."),
        read("extProc", "[]", "Processors in their order, at most 16."),
        read("wasm", "[]", "Not run: refused unless its failOpen is true."),
        read("lua", "[]", "Not run: refused."),
        read("dynamicModule", "[]", "Not run: refused unless its failOpen is true."),
    ],
    unsupported: &[],
};

static MERGE_TYPE: Enumeration<MergeType> = Enumeration {
    values: &[
        ("StrategicMerge", 0, Some(MergeType::Merge)),
        ("JSONMerge", 1, Some(MergeType::Merge)),
        ("Replace", 2, Some(MergeType::Replace)),
    ],
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MergeType {
    /// Both ways to merge agree: every list is replaced as a whole.
    Merge,
    Replace,
}

/// Most extensions of a kind.
const MOST_ENTRIES: usize = 16;

pub(super) fn read_extension_policy(value: &Value<'_>) -> Option<ExtensionPolicy> {
    let spec = value.message(&SPEC)?;
    let targets = read_targets(&spec);
    let merges = spec.get("mergeType").is_some_and(|merge_type| {
        if name_a_non_route(&targets) {
            merge_type.error("mergeType can only be used with xRoute targets");
        }
        let read = merge_type.enumeration(&MERGE_TYPE);
        if read == Some(MergeType::Replace) {
            merge_type.error("Replace is not a valid MergeType for EnvoyExtensionPolicy");
        }
        read == Some(MergeType::Merge)
    });
    let ext_proc = ext_proc_entries(&spec);
    check_number("extProc", &spec, ext_proc.len());
    let mut others = Vec::new();
    for (name, kind) in [
        ("wasm", ExtensionKind::Wasm),
        ("lua", ExtensionKind::Lua),
        ("dynamicModule", ExtensionKind::DynamicModule),
    ] {
        let entries = spec.list(name);
        check_number(name, &spec, entries.len());
        others.extend(entries.iter().map(|entry| read_other(entry, kind)));
    }
    let ext_proc = ext_proc.iter().enumerate().filter_map(|(index, entry)| read_entry(entry, index));
    Some(ExtensionPolicy { targets, merges, ext_proc: ext_proc.collect(), others })
}

fn check_number(name: &'static str, spec: &Message<'_>, number: usize) {
    if number > MOST_ENTRIES
        && let Some(value) = spec.get(name)
    {
        value.error(format!("must have at most {MOST_ENTRIES} entries, found {number}"));
    }
}

/// The entries of `extProc`; a single one may stand there without a list (EG-12).
fn ext_proc_entries<'a>(spec: &Message<'a>) -> Vec<Value<'a>> {
    let Some(value) = spec.get("extProc") else { return Vec::new() };
    if !value.is_mapping() {
        return value.list();
    }
    let message = "extProc is a list; this single entry is taken as a list of one";
    let help = "put \"- \" before the entry: Envoy Gateway's API server refuses it as it is";
    if value.context.options.strict {
        value.error_with_help("extProc must be a list", help);
    } else {
        value.warning(message, help);
    }
    vec![value]
}

/// What an extension of another kind says about failures; the rest of it is of no use here.
fn read_other(value: &Value<'_>, kind: ExtensionKind) -> OtherExtension {
    let fail_open = value.map().into_iter().find(|(name, _)| *name == "failOpen");
    OtherExtension {
        kind,
        fail_open: fail_open.and_then(|(_, value)| value.boolean()).unwrap_or(false),
        place: Place::of(value),
    }
}
