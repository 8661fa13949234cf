//! `typed_per_filter_config`: what routes say about filters, and how levels fold (section 19, EN-12, EN-30).

use std::{collections::HashMap, rc::Rc, sync::Arc};

use extproc::{Attributes, Plan, ProcessingMode};
use tollgate_model::{
    format::Format,
    processor::{ExtProc, FilterOverride, GrpcService},
};

use super::{
    Scope,
    ext_proc::{
        self, Filter, MetadataOverrides, read_attributes, read_metadata_options, read_processing_mode,
    },
    format::read_header_values,
    grpc_service::read_grpc_service,
    http_filters::Filters,
    runtime::Runtime,
    scope::ClusterFacts,
};
use crate::protobuf::{Any, Message, Schema, Value, no_effect, read, refused};

pub(super) static FILTER_CONFIG: Schema = Schema {
    name: "envoy.config.route.v3.FilterConfig",
    title: "",
    fields: &[
        read("config", "", "ExtProcPerRoute, or `{}` to turn on a filter that is disabled in the chain."),
        read("is_optional", "false", "Leave it out, with a warning, when its type is not supported."),
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
        no_effect("async_mode", "as in Envoy; use observability_mode of the filter"),
        no_effect("emit_client_span", "no spans are exported"),
        refused("request_properties", "use request_attributes"),
        refused("response_properties", "use response_attributes"),
        refused("processing_request_modifier", "messages to the processor cannot be modified"),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 3] = [&FILTER_CONFIG, &EXT_PROC_PER_ROUTE, &EXT_PROC_OVERRIDES];

/// What one level says about one filter.
#[derive(Clone)]
enum Said {
    /// `FilterConfig { disabled: true }`: the filter is not in the chain.
    Off,
    /// `FilterConfig { config: {} }`: it is, with nothing to add.
    On,
    /// `ExtProcPerRoute`.
    Overrides(Rc<Overrides>),
}

/// `ExtProcPerRoute`, of one level or of several folded.
#[derive(Clone, Default)]
struct Overrides {
    disabled: bool,
    processing_mode: Option<ProcessingMode>,
    request_attributes: Option<Attributes>,
    response_attributes: Option<Attributes>,
    grpc_service: Option<GrpcService>,
    metadata_options: MetadataOverrides,
    grpc_initial_metadata: Vec<(String, Format)>,
    failure_mode_allow: Option<bool>,
}

/// What one level says, filter by filter.
#[derive(Clone, Default)]
pub(super) struct Level(Vec<(String, Said)>);

/// Reads `typed_per_filter_config` of a level.
pub(super) fn read_level(message: &Message<'_>, filters: &Filters, scope: &Scope) -> Level {
    let mut level = Level::default();
    for (name, value) in message.map("typed_per_filter_config") {
        if !filters.names.iter().any(|known| known == name) {
            let known = filters.names.iter().map(String::as_str);
            let help = match crate::suggestion::nearest(name, known) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("filters of the chain: {}", filters.names.join(", ")),
            };
            value.warning(format!("there is no HTTP filter named \"{name}\"; this has no effect"), help);
        }
        if let Some(said) = read_said(&value, scope) {
            level.0.push((name.to_owned(), said));
        }
    }
    level
}

fn read_said(value: &Value<'_>, scope: &Scope) -> Option<Said> {
    let any = value.any()?;
    if any.type_name != FILTER_CONFIG.name {
        return read_per_route(&any, false, scope);
    }
    let wrapper = any.value.message(&FILTER_CONFIG)?;
    let optional = wrapper.boolean("is_optional", false);
    if wrapper.boolean("disabled", false) {
        return Some(Said::Off);
    }
    let config = wrapper.required("config")?;
    if config.is_empty_message() {
        return Some(Said::On);
    }
    read_per_route(&config.any()?, optional, scope)
}

fn read_per_route(any: &Any<'_>, optional: bool, scope: &Scope) -> Option<Said> {
    if !ext_proc::is_type(any, "ExtProcPerRoute") {
        if optional {
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
            Some(Said::Overrides(Rc::new(Overrides { disabled: true, ..Overrides::default() })))
        }
        (_, value) => Some(Said::Overrides(Rc::new(read_overrides(&value, scope)?))),
    }
}

fn read_overrides(value: &Value<'_>, scope: &Scope) -> Option<Overrides> {
    let message = value.message(&EXT_PROC_OVERRIDES)?;
    let attributes = |name| message.get(name).map(|list| read_attributes(&list.list()));
    Some(Overrides {
        disabled: false,
        processing_mode: message.get("processing_mode").and_then(|mode| read_processing_mode(&mode)),
        request_attributes: attributes("request_attributes"),
        response_attributes: attributes("response_attributes"),
        grpc_service: message.get("grpc_service").and_then(|service| read_grpc_service(&service, scope)),
        metadata_options: message
            .get("metadata_options")
            .and_then(|options| read_metadata_options(&options))
            .unwrap_or_default(),
        grpc_initial_metadata: read_header_values(&message.list("grpc_initial_metadata")),
        failure_mode_allow: message.get("failure_mode_allow").and_then(|allow| allow.boolean()),
    })
}

/// Overrides that stand alone, without a filter that they belong to: HTNN's form of configuration (3.2).
pub(crate) struct ExtProcOverrides(Overrides);

impl ExtProcOverrides {
    /// Reads overrides whose gRPC services may name these clusters.
    pub(crate) fn read(value: &Value<'_>, clusters: HashMap<String, ClusterFacts>) -> Option<Self> {
        let scope = Scope { header_prefix: "x-envoy".to_owned(), runtime: Runtime::default(), clusters };
        read_overrides(value, &scope).map(Self)
    }

    /// What they make of a filter that has nothing but defaults; nothing when they name no gRPC service.
    pub(crate) fn apply_to_defaults(self, filter_name: &str) -> Option<ExtProc> {
        let plan = Plan::new(filter_name);
        let grpc_service = self.0.grpc_service.clone()?;
        Some(self.0.apply(&ExtProc { plan: Arc::new(plan), grpc_service }))
    }
}

/// What applies to each filter below some levels. A filter that a level does not name shares what applies above.
#[derive(Clone, Default)]
pub(super) struct Folded<'a> {
    levels: Vec<&'a Level>,
    /// Index by index with the filters.
    pub(super) overrides: Vec<FilterOverride>,
}

impl<'a> Folded<'a> {
    /// What applies where no level says anything.
    pub(super) fn new(filters: &[Rc<Filter>]) -> Self {
        let overrides = filters.iter().map(|filter| filter.default_override()).collect();
        Self { levels: Vec::new(), overrides }
    }

    /// What applies below one more level, the most specific one.
    pub(super) fn below(&self, filters: &[Rc<Filter>], level: &'a Level) -> Self {
        let mut levels = self.levels.clone();
        levels.push(level);
        let overrides = filters.iter().zip(&self.overrides).map(|(filter, above)| {
            if level.said_about(filter).is_some() { fold(filter, &levels) } else { above.clone() }
        });
        Self { overrides: overrides.collect(), levels }
    }
}

impl Level {
    fn said_about(&self, filter: &Filter) -> Option<&Said> {
        self.0.iter().find(|(name, _)| *name == filter.name).map(|(_, said)| said)
    }
}

/// What applies to a filter where these levels meet, the least specific one first.
fn fold(filter: &Filter, levels: &[&Level]) -> FilterOverride {
    let said: Vec<&Said> = levels.iter().filter_map(|level| level.said_about(filter)).collect();
    // The most specific level that names the filter says whether it is in the chain at all.
    let off = said.last().map_or(filter.disabled, |last| matches!(last, Said::Off));
    if off {
        return FilterOverride::Disabled;
    }
    let overrides = said.into_iter().filter_map(|said| match said {
        Said::Overrides(overrides) => Some(Overrides::clone(overrides)),
        Said::Off | Said::On => None,
    });
    match overrides.reduce(Overrides::fold) {
        None => FilterOverride::ExtProc(Arc::clone(&filter.settings)),
        Some(folded) if folded.disabled => FilterOverride::Disabled,
        Some(folded) => FilterOverride::ExtProc(Arc::new(folded.apply(&filter.settings))),
    }
}

impl Overrides {
    /// what two levels say together, `more` being the more specific one.
    fn fold(self, more: Self) -> Self {
        let mut grpc_initial_metadata = self.grpc_initial_metadata;
        overlay(&mut grpc_initial_metadata, more.grpc_initial_metadata);
        Self {
            disabled: more.disabled,
            processing_mode: if more.disabled { None } else { more.processing_mode.or(self.processing_mode) },
            request_attributes: more.request_attributes.or(self.request_attributes),
            response_attributes: more.response_attributes.or(self.response_attributes),
            grpc_service: more.grpc_service.or(self.grpc_service),
            metadata_options: self.metadata_options.fold(more.metadata_options),
            grpc_initial_metadata,
            failure_mode_allow: more.failure_mode_allow.or(self.failure_mode_allow),
        }
    }

    /// What applies where this is said about a filter.
    fn apply(self, settings: &ExtProc) -> ExtProc {
        let mut plan = Plan::clone(&settings.plan);
        // the whole mode is replaced; the base of overrides by the processor stays the filter's (O-3).
        plan.processing_mode = self.processing_mode.unwrap_or(plan.processing_mode);
        plan.failure_mode_allow = self.failure_mode_allow.unwrap_or(plan.failure_mode_allow);
        if let Some(attributes) = self.request_attributes {
            plan.request_attributes = attributes;
        }
        if let Some(attributes) = self.response_attributes {
            plan.response_attributes = attributes;
        }
        self.metadata_options.apply(&mut plan.metadata_options);
        let mut grpc_service = self.grpc_service.unwrap_or_else(|| settings.grpc_service.clone());
        overlay(&mut grpc_service.initial_metadata, self.grpc_initial_metadata);
        ExtProc { plan: Arc::new(plan), grpc_service }
    }
}

/// entries with the same key are replaced where they are, others appended.
fn overlay(metadata: &mut Vec<(String, Format)>, more: Vec<(String, Format)>) {
    for (key, value) in more {
        match metadata.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => metadata.push((key, value)),
        }
    }
}
