//! `typed_per_filter_config`: what routes say about filters (section 19, EN-12).

mod folded;

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
};

use extproc::Plan;
use tollgate_ir::{ExtProc, ExtProcOverrides, Override};

pub(super) use self::folded::Folded;
use super::{
    Scope,
    ext_proc::{
        self, read_attributes, read_metadata_options, read_modifier, read_processing_mode, read_sources,
    },
    format::read_header_values,
    grpc_service::read_grpc_service,
    http_filters::{Filters, Kind, is_harmless},
    runtime::Runtime,
    scope::{ClusterFacts, Clusters},
    tls::KnownSecrets,
};
use crate::{
    Origin,
    place::Place,
    schema::{Any, Message, Schema, Value, harmless, read, refused},
};

pub(super) static FILTER_CONFIG: Schema = Schema {
    name: "envoy.config.route.v3.FilterConfig",
    title: "",
    fields: &[
        read(
            "config",
            "",
            "What is different for the filter, or `{}` to turn on one that is disabled in the chain.",
        ),
        read(
            "is_optional",
            "false",
            "Leave it out, with a warning, when its type is not supported and protects nothing.",
        ),
        read("disabled", "false", "Turn the filter off."),
    ],
    unsupported: &[],
};

pub(super) static EXT_PROC_PER_ROUTE: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute",
    title: "",
    fields: &[
        read("disabled", "", "true turns the filter off. This or overrides is required."),
        read("overrides", "", "What is different here; `{}` turns the filter on."),
    ],
    unsupported: &[],
};

pub(super) static EXT_PROC_OVERRIDES: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_proc.v3.ExtProcOverrides",
    title: "",
    fields: &[
        read("processing_mode", "the filter's", "Replaces the whole mode: what is left out has its default."),
        read("request_attributes", "the filter's", "Replaces the list."),
        read("response_attributes", "the filter's", "Replaces the list."),
        read("grpc_service", "the filter's", "Another processor."),
        read("metadata_options", "the filter's", "Replaces the lists that are given."),
        read("grpc_initial_metadata", "[]", "Added to the metadata of the calls; the same key is replaced."),
        read("failure_mode_allow", "the filter's", "Fail open or closed."),
        read("processing_request_modifier", "the filter's", "MappedAttributeBuilder, replaced as a whole."),
        harmless("async_mode", "as in Envoy; use observability_mode of the filter"),
        harmless("emit_client_span", "no spans are exported"),
        refused("request_properties", "use request_attributes"),
        refused("response_properties", "use response_attributes"),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 3] = [&FILTER_CONFIG, &EXT_PROC_PER_ROUTE, &EXT_PROC_OVERRIDES];

/// What one level says about one filter.
#[derive(Clone)]
struct Said {
    over: Override,
    /// Which level says what and where, by the names in `ExternalProcessor`.
    sources: Rc<BTreeMap<&'static str, Origin>>,
}

impl From<Override> for Said {
    fn from(over: Override) -> Self {
        Self { over, sources: Rc::default() }
    }
}

/// What one level says, filter by filter.
pub(super) struct Level {
    /// `virtual host app`.
    name: String,
    said: Vec<(String, Said, Place)>,
}

/// Reads `typed_per_filter_config` of the level that people know by this name.
pub(super) fn read_level(message: &Message<'_>, name: String, filters: &Filters, scope: &Scope) -> Level {
    let mut level = Level { name, said: Vec::new() };
    for (name, value) in message.map("typed_per_filter_config") {
        if !filters.names.iter().any(|known| known == name) {
            let known = filters.names.iter().map(String::as_str);
            let help = match value.context.report.nearest(name, known) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("filters of the chain: {}", filters.names.join(", ")),
            };
            value.warning(format!("there is no HTTP filter named \"{name}\"; this has no effect"), help);
        }
        if filters.left_out.iter().any(|left_out| left_out == name) {
            value.warning("left out, like the HTTP filter that it is for", "remove it with the filter");
            continue;
        }
        if let Some(said) = read_said(&value, &level.name, scope) {
            level.said.push((name.to_owned(), said, Place::of(&value)));
        }
    }
    level
}

fn read_said(value: &Value<'_>, level: &str, scope: &Scope) -> Option<Said> {
    let any = value.any()?;
    if any.type_name != FILTER_CONFIG.name {
        return read_per_route(&any, false, level, scope);
    }
    let wrapper = any.value.message(&FILTER_CONFIG)?;
    let optional = wrapper.boolean("is_optional", false);
    if wrapper.boolean("disabled", false) {
        return Some(Override::Disabled.into());
    }
    let config = wrapper.required("config")?;
    if config.is_empty_message() {
        return Some(Override::Enabled.into());
    }
    read_per_route(&config.any()?, optional, level, scope)
}

fn read_per_route(any: &Any<'_>, optional: bool, level: &str, scope: &Scope) -> Option<Said> {
    if !ext_proc::is_type(any, "ExtProcPerRoute") {
        if let Some(kind) = Kind::find_per_route(&any.type_name) {
            return kind.read_per_route(&any.value, scope).map(Said::from);
        }
        if optional && is_harmless(&any.type_name) {
            any.type_value.warning("left out: the type is not supported", "is_optional allows this");
        } else {
            any.unsupported("per-route configuration", &[EXT_PROC_PER_ROUTE.name, FILTER_CONFIG.name]);
        }
        return None;
    }
    let message = any.value.message(&EXT_PROC_PER_ROUTE)?;
    match message.required_one_of(&["disabled", "overrides"])? {
        ("disabled", value) => {
            if !value.boolean()? {
                value.error_with_help("must be true", "overrides: {} turns the filter on");
            }
            Some(Override::Idle.into())
        }
        (_, value) => read_overrides(&value, level, scope),
    }
}

fn read_overrides(value: &Value<'_>, level: &str, scope: &Scope) -> Option<Said> {
    let message = value.message(&EXT_PROC_OVERRIDES)?;
    let attributes = |name| message.get(name).map(|list| read_attributes(&list.list()));
    let metadata_options = message
        .get("metadata_options")
        .and_then(|options| read_metadata_options(&options))
        .unwrap_or_default();
    let sources = read_sources(&message).into_iter();
    let origin = |place| Origin { name: level.to_owned(), place };
    let overrides = ExtProcOverrides {
        processing_mode: message.get("processing_mode").and_then(|mode| read_processing_mode(&mode)),
        request_attributes: attributes("request_attributes"),
        response_attributes: attributes("response_attributes"),
        grpc_service: message.get("grpc_service").and_then(|service| read_grpc_service(&service, scope)),
        metadata_options,
        grpc_initial_metadata: read_header_values(&message.list("grpc_initial_metadata")),
        failure_mode_allow: message.get("failure_mode_allow").and_then(|allow| allow.boolean()),
        processing_request_modifier: message
            .get("processing_request_modifier")
            .and_then(|modifier| read_modifier(&modifier)),
    };
    Some(Said {
        over: Override::ExtProc(Arc::new(overrides)),
        sources: Rc::new(sources.map(|(name, place)| (name, origin(place))).collect()),
    })
}

/// Reads overrides that stand alone, without a filter that they belong to: HTNN's form of configuration (3.2). Their gRPC
/// services may name these clusters. Gives what they make of a filter of this name that has nothing but defaults; nothing
/// when they name no gRPC service.
pub(crate) fn read_standalone_overrides(
    value: &Value<'_>,
    clusters: HashMap<String, ClusterFacts>,
    filter_name: &str,
) -> Option<ExtProc> {
    let scope = Scope {
        header_prefix: "x-envoy".to_owned(),
        runtime: Runtime::default(),
        clusters: Clusters::Known(clusters),
        of_clusters: Filters::default(),
        secrets: KnownSecrets::of_bootstrap(),
    };
    let Override::ExtProc(overrides) = read_overrides(value, "", &scope)?.over else { return None };
    let plan = Plan::new(filter_name);
    let grpc_service = overrides.grpc_service.clone()?;
    Some(Arc::unwrap_or_clone(overrides).apply(&ExtProc { plan: Arc::new(plan), grpc_service }))
}
