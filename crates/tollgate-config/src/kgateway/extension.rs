//! GatewayExtension: a provider (4.2).

use std::{collections::BTreeMap, time::Duration};

use extproc::{Attributes, MetadataNamespaces, ProcessingMode, RouteCacheAction};
use tollgate_cel::computed_attribute;
use tollgate_model::processor::GrpcRetryPolicy;

use super::{GROUP, modes::read_processing_mode};
use crate::{
    kubernetes::{
        ObjectKey, ObjectRef, Place,
        values::{kubernetes_duration, parse_gateway_duration, port_number},
    },
    routing::BackendReference,
    schema::{Enumeration, Message, Schema, Value, harmless, read},
    translation::{Position, Zone},
};

/// A provider.
#[derive(Debug)]
pub(crate) struct GatewayExtension {
    /// `None` = it is of another type.
    pub(super) provider: Option<Provider>,
}

/// An external processor.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) backend: BackendReference,
    pub(super) authority: Option<String>,
    pub(super) retry: Option<GrpcRetryPolicy>,
    pub(super) fail_open: bool,
    /// `None` = Envoy's default (KG-1).
    pub(super) mode: Option<ProcessingMode>,
    pub(super) allow_mode_override: bool,
    pub(super) allowed_override_modes: Vec<ProcessingMode>,
    pub(super) message_timeout: Option<Duration>,
    pub(super) max_message_timeout: Option<Duration>,
    pub(super) stat_prefix: String,
    pub(super) route_cache_action: RouteCacheAction,
    pub(super) forwarding_namespaces: MetadataNamespaces,
    pub(super) request_attributes: Attributes,
    pub(super) stage: Stage,
    /// Where each setting is written.
    pub(super) sources: BTreeMap<&'static str, Place>,
}

static SPEC: Schema = Schema {
    name: "GatewayExtensionSpec",
    title: "",
    fields: &[
        read("type", "", "Accepted: what is given below says the type."),
        read("extProc", "", "An external processor."),
        read("extAuth", "", "Not implemented."),
        read("rateLimit", "", "Not implemented."),
        read("jwt", "", "Not implemented."),
        read("oauth2", "", "Not implemented."),
    ],
    unsupported: &[],
};

static EXT_PROC: Schema = Schema {
    name: "ExtProcProvider",
    title: "",
    fields: &[
        read("grpcService", "", "The processor. Required."),
        read("backendRef", "", "The processor, in the oldest form."),
        read("authority", "", "`:authority` of the calls, in the oldest form."),
        read("failOpen", "true", "Continue without the processor when it fails."),
        read("processingMode", "headers both ways", "What is sent to the processor."),
        read("allowProcessingModeOverride", "false", "Let the processor change the mode."),
        read("allowedProcessingModeOverrides", "[]", "Modes it may change to; empty = any."),
        read("messageTimeout", "200ms", "How long an answer may take, at least 1ms."),
        read("maxMessageTimeout", "0s", "Maximum time a processor may ask for; absent = none."),
        read("statPrefix", "", "Added to the names of the statistics."),
        read(
            "routeCacheAction",
            "FromResponse",
            "When routes are matched again: FromResponse, Clear or Retain.",
        ),
        read("metadataOptions", "{}", "Metadata that is sent to the processor."),
        read("requestAttributes", "[]", "Attributes sent with the first message about the request."),
        read("filterStage", "After AuthZ", "Position among the other filters."),
    ],
    unsupported: &[],
};

static GRPC_SERVICE: Schema = Schema {
    name: "ExtGrpcService",
    title: "",
    fields: &[
        read("backendRef", "", "Where the processor is. Required."),
        read("authority", "host and port of the backend", "`:authority` of the calls."),
        read("requestTimeout", "none", "Accepted; as in Envoy it does not limit the stream."),
        read(
            "retry",
            "none",
            "Accepted; kgateway names no condition, and without one Envoy tries nothing again.",
        ),
    ],
    unsupported: &[],
};

static BACKEND_REF: Schema = Schema {
    name: "BackendRef",
    title: "",
    fields: &[
        read("group", "the core group", "API group."),
        read("kind", "Service", "Service or Backend."),
        read("name", "", "Name. Required."),
        read("namespace", "that of the extension", "Namespace; another one needs a ReferenceGrant."),
        read("port", "", "Port of the service; not for a Backend."),
        harmless("weight", "there is one backend"),
    ],
    unsupported: &[],
};

static RETRY: Schema = Schema {
    name: "ExtGrpcServiceRetry",
    title: "",
    fields: &[read("attempts", "1", "Tries after the first."), read("backoff", "", "Time between tries.")],
    unsupported: &[],
};

static BACKOFF: Schema = Schema {
    name: "ExtGrpcServiceBackoff",
    title: "",
    fields: &[
        read("baseInterval", "", "First interval. Required."),
        read("maxInterval", "10 times baseInterval", "Longest interval."),
    ],
    unsupported: &[],
};

static METADATA_OPTIONS: Schema = Schema {
    name: "MetadataOptions",
    title: "",
    fields: &[read("forwarding", "{}", "Namespaces that the processor sees.")],
    unsupported: &[],
};

static METADATA_NAMESPACES: Schema = Schema {
    name: "MetadataNamespaces",
    title: "",
    fields: &[
        read("typed", "[]", "Namespaces of typed metadata."),
        read("untyped", "[]", "Other namespaces."),
    ],
    unsupported: &[],
};

static FILTER_STAGE: Schema = Schema {
    name: "FilterStage",
    title: "",
    fields: &[
        read("stage", "AuthZ", "Fault, AuthN, AuthZ, RateLimit or Route."),
        read("predicate", "During", "Before, During or After."),
        read("weight", "0", "A higher weight runs earlier in the same place."),
    ],
    unsupported: &[],
};

static ROUTE_CACHE_ACTION: Enumeration<RouteCacheAction> = Enumeration {
    values: &[
        ("FromResponse", 0, Some(RouteCacheAction::Default)),
        ("Default", 0, Some(RouteCacheAction::Default)),
        ("Clear", 1, Some(RouteCacheAction::Clear)),
        ("Retain", 2, Some(RouteCacheAction::Retain)),
    ],
};

/// Places in the order of KG-30; those between are of filters that are not ours.
const AUTH_Z: u8 = 4;
const ROUTE: u8 = 8;
static STAGE: Enumeration<u8> = Enumeration {
    values: &[
        ("Fault", 0, Some(0)),
        ("AuthN", 1, Some(3)),
        ("AuthZ", 2, Some(AUTH_Z)),
        ("RateLimit", 3, Some(5)),
        ("Route", 4, Some(ROUTE)),
    ],
};

const AFTER: u8 = 2;
static PREDICATE: Enumeration<u8> =
    Enumeration { values: &[("Before", 0, Some(0)), ("During", 1, Some(1)), ("After", 2, Some(AFTER))] };

/// A place in kgateway's order (KG-30): stage, predicate, then the higher weight first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stage {
    stage: u8,
    predicate: u8,
    weight: i64,
}

/// KG-31
const DEFAULT_STAGE: Stage = Stage { stage: AUTH_Z, predicate: AFTER, weight: 0 };

impl Stage {
    /// The place among all filters. The weight of the extension's annotation counts before its own, where policies are
    /// combined (KG-22), and is 0 elsewhere.
    pub(super) fn position(self, extension_weight: i64) -> Position {
        let zone = if self.stage == ROUTE && self.predicate == AFTER {
            Zone::Upstream // KG-32
        } else if self.stage < AUTH_Z {
            Zone::Early
        } else {
            Zone::Late
        };
        // The complement turns the order round.
        let order = [self.stage.into(), self.predicate.into(), !extension_weight, !self.weight];
        Position { zone, order }
    }
}

/// Which setting of Envoy's filter a field is.
const SOURCES: [(&str, &str); 12] = [
    ("grpcService", "grpc_service"),
    ("backendRef", "grpc_service"),
    ("failOpen", "failure_mode_allow"),
    ("processingMode", "processing_mode"),
    ("allowProcessingModeOverride", "allow_mode_override"),
    ("allowedProcessingModeOverrides", "allowed_override_modes"),
    ("messageTimeout", "message_timeout"),
    ("maxMessageTimeout", "max_message_timeout"),
    ("statPrefix", "stat_prefix"),
    ("routeCacheAction", "route_cache_action"),
    ("metadataOptions", "metadata_options"),
    ("requestAttributes", "request_attributes"),
];

/// Reads an extension of a namespace.
pub(super) fn read_gateway_extension(value: &Value<'_>, namespace: &str) -> Option<GatewayExtension> {
    let spec = value.message(&SPEC)?;
    let kind = spec.string("type");
    let members = ["extProc", "extAuth", "rateLimit", "jwt", "oauth2"];
    let given = spec.one_of(&members);
    match (&*kind, &given) {
        ("ExtProc", None) => value.error("extProc must be set when type is ExtProc"),
        ("ExtProc", Some((name, _))) if *name != "extProc" => {
            value.error("extProc must be set when type is ExtProc");
        }
        ("" | "ExtProc" | "ExtAuth" | "RateLimit" | "JWT" | "OAuth2", _) => {}
        _ => value.error_with_help(
            format!("unknown value \"{kind}\" of type"),
            "ExtAuth, ExtProc, RateLimit, JWT or OAuth2",
        ),
    }
    match given {
        Some(("extProc", provider)) => {
            Some(GatewayExtension { provider: Some(read_provider(&provider, namespace)?) })
        }
        Some((name, other)) => {
            other.warning(
                format!("providers of type {name} are not implemented"),
                "policies that refer to it are invalid, and their routes answer 500",
            );
            Some(GatewayExtension { provider: None })
        }
        None => {
            value.error("one of extProc, extAuth, rateLimit, jwt and oauth2 has to be set");
            Some(GatewayExtension { provider: None })
        }
    }
}

fn read_provider(value: &Value<'_>, namespace: &str) -> Option<Provider> {
    let message = value.message(&EXT_PROC)?;
    let service = message.message("grpcService", &GRPC_SERVICE);
    // The oldest form has backendRef and authority here.
    let holder = service.as_ref().unwrap_or(&message);
    if service.is_none() && message.get("backendRef").is_none() {
        value.error("grpcService is required");
    }
    let backend = read_backend_ref(&holder.required("backendRef")?, namespace);
    if let Some(timeout) = service.as_ref().and_then(|service| service.get("requestTimeout")) {
        kubernetes_duration(&timeout);
    }
    let retry = service.as_ref().and_then(|service| service.get("retry"));
    let stat_prefix = message.get("statPrefix").and_then(|prefix| prefix.non_empty_string());
    let forwarding = message
        .message("metadataOptions", &METADATA_OPTIONS)
        .and_then(|options| options.message("forwarding", &METADATA_NAMESPACES));
    Some(Provider {
        backend: backend?,
        authority: Some(holder.string("authority")).filter(|authority| !authority.is_empty()),
        retry: retry.and_then(|retry| read_retry(&retry)),
        fail_open: message.boolean("failOpen", true),
        mode: message.get("processingMode").and_then(|mode| read_processing_mode(&mode)),
        allow_mode_override: message.boolean("allowProcessingModeOverride", false),
        allowed_override_modes: read_modes(&message),
        message_timeout: message.get("messageTimeout").and_then(|timeout| read_timeout(&timeout)),
        max_message_timeout: message.get("maxMessageTimeout").and_then(|timeout| read_timeout(&timeout)),
        stat_prefix: stat_prefix.unwrap_or_default(),
        route_cache_action: message.enumeration(
            "routeCacheAction",
            &ROUTE_CACHE_ACTION,
            RouteCacheAction::Default,
        ),
        forwarding_namespaces: forwarding.map_or_else(MetadataNamespaces::default, |namespaces| {
            MetadataNamespaces { typed: namespaces.strings("typed"), untyped: namespaces.strings("untyped") }
        }),
        request_attributes: read_attributes(&message),
        stage: message.get("filterStage").and_then(|stage| read_stage(&stage)).unwrap_or(DEFAULT_STAGE),
        sources: SOURCES
            .iter()
            .filter_map(|(field, setting)| Some((*setting, Place::of(&message.get(field)?))))
            .collect(),
    })
}

fn read_backend_ref(value: &Value<'_>, namespace: &str) -> Option<BackendReference> {
    let message = value.message(&BACKEND_REF)?;
    let (group, kind) = (message.string("group"), message.string("kind"));
    let kind = if kind.is_empty() { "Service".to_owned() } else { kind };
    let name = message.required_string("name");
    let port = message.get("port").and_then(|port| port_number(&port));
    match (&*group, &*kind, port) {
        ("", "Service", None) => value.error("port is required for a Service"),
        (GROUP, "Backend", Some(_)) => value.error(format!(
            "BackendRef to \"{name}\" includes a port. Do not specify a port when referencing a Backend resource, as it \
             defines its own port configuration"
        )),
        _ => {}
    }
    let own = message.string("namespace");
    let namespace = if own.is_empty() { namespace } else { &own };
    let object = ObjectRef::new(&group, &kind, &ObjectKey::new(namespace, name));
    Some(BackendReference { object, port, place: Place::of(value) })
}

fn read_retry(value: &Value<'_>) -> Option<GrpcRetryPolicy> {
    let message = value.message(&RETRY)?;
    value.no_effect(
        "retry",
        "kgateway sends Envoy no condition for retries, and without one Envoy tries nothing again",
    );
    // As kgateway writes it.
    let mut policy = GrpcRetryPolicy {
        retriable_codes: Vec::new(),
        retriable_statuses: Vec::new(),
        connect_failure: false,
        reset: false,
        refused_stream: false,
        num_retries: message.u32("attempts").unwrap_or(1),
        base_interval: Duration::from_millis(25),
        max_interval: Duration::from_millis(250),
    };
    let Some(backoff) = message.message("backoff", &BACKOFF) else { return Some(policy) };
    if let Some(base) = backoff.required("baseInterval").and_then(|base| kubernetes_duration(&base)) {
        policy.base_interval = base.max(Duration::from_millis(1));
        policy.max_interval = policy.base_interval.saturating_mul(10);
    }
    if let Some(value) = backoff.get("maxInterval")
        && let Some(max) = kubernetes_duration(&value)
    {
        if max < policy.base_interval {
            value.error("maxInterval must be greater than or equal to baseInterval");
        }
        policy.max_interval = max.max(policy.base_interval);
    }
    Some(policy)
}

fn read_timeout(value: &Value<'_>) -> Option<Duration> {
    let text = value.string()?;
    let Some(timeout) = parse_gateway_duration(&text) else {
        value.error("invalid timeout value");
        return None;
    };
    if timeout < Duration::from_millis(1) {
        value.error("timeout must be at least 1ms.");
    }
    Some(timeout)
}

/// A list of modes. Golden inputs of the original write a single one instead; that is read, too (CF-34).
fn read_modes(message: &Message<'_>) -> Vec<ProcessingMode> {
    let Some(value) = message.get("allowedProcessingModeOverrides") else { return Vec::new() };
    if value.is_mapping() {
        return read_processing_mode(&value).into_iter().collect();
    }
    value.list().iter().filter_map(read_processing_mode).collect()
}

fn read_attributes(message: &Message<'_>) -> Attributes {
    let mut expressions = Vec::new();
    for value in message.list("requestAttributes") {
        let Some(expression) = value.string() else { continue };
        match Attributes::parse_with([&expression], computed_attribute) {
            Ok(_) => expressions.push(expression),
            Err(error) => value.error(format!("the attribute \"{}\" {}", error.expression, error.reason)),
        }
    }
    Attributes::parse_with(expressions, computed_attribute).unwrap_or_default()
}

fn read_stage(value: &Value<'_>) -> Option<Stage> {
    let message = value.message(&FILTER_STAGE)?;
    let weight =
        message.get("weight").and_then(|weight| weight.integer(i64::from(i32::MIN)..=i64::from(i32::MAX)));
    Some(Stage {
        stage: message.enumeration("stage", &STAGE, AUTH_Z),
        predicate: message.enumeration("predicate", &PREDICATE, 1),
        weight: weight.unwrap_or(0),
    })
}
