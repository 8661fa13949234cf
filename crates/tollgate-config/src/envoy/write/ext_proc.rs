//! External processing filters.

use std::{sync::Arc, time::Duration};

use extproc::{
    Attributes, BodySendMode, HeaderSendMode, MetadataNamespaces, Plan, ProcessingMode, RouteCacheAction,
    attributes::{MappedAttributeBuilder, MappedAttributes},
    mutation::MutationRules,
};
use serde_json::{Map, Value};
use tollgate_ir::{ExtProc, ExtProcOverrides, GrpcService, HttpFilter, MetadataOverrides};
use tollgate_model::{
    matching::StringMatcher,
    processor::{GrpcRetryPolicy, GrpcTarget},
    tls::{ServerValidation, TrustSource},
};

use super::{
    Writer,
    matchers::{header_value, regex, string_matcher},
    out::{Out, duration, extension},
    tls::{data_source, trusted_ca},
};
use crate::envoy::{
    cluster::TYPED_EXTENSION_CONFIG,
    ext_proc::{
        EXTERNAL_PROCESSOR, ROUTE_CACHE_ACTION,
        metadata::{METADATA_NAMESPACES, METADATA_OPTIONS},
        modes::{BODY_SEND_MODE, HEADER_SEND_MODE, PROCESSING_MODE},
        modifier::MAPPED_ATTRIBUTE_BUILDER,
        rules::{FORWARDING_RULES, LIST_STRING_MATCHER, MUTATION_RULES},
    },
    google_grpc::{CHANNEL_ARG, CHANNEL_ARGS, CHANNEL_CREDENTIALS, GOOGLE_GRPC, SSL_CREDENTIALS},
    grpc_service::{BACKOFF_STRATEGY, ENVOY_GRPC, GRPC_SERVICE, MAX_RECEIVE_MESSAGE_LENGTH, RETRY_POLICY},
    per_route::EXT_PROC_OVERRIDES,
    status::{HTTP_STATUS, STATUS_CODE},
};

/// The settings of a filter.
pub(super) fn external_processor(writer: &Writer<'_>, filter: &HttpFilter, settings: &ExtProc) -> Value {
    let plan = &*settings.plan;
    let usual = Plan::new("");
    let mut out = Out::new(&EXTERNAL_PROCESSOR);
    out.set("grpc_service", grpc_service(&settings.grpc_service));
    out.text("stat_prefix", &filter.stat_prefix);
    out.unless("failure_mode_allow", plan.failure_mode_allow, false);
    out.unless_empty("processing_mode", processing_mode(plan.processing_mode));
    if plan.allow_mode_override && plan.processing_mode != plan.filter_processing_mode {
        let what = "the processing mode that the processor may change differs from that of the filter: in Envoy it is the same";
        writer.cannot(&filter.origin, what);
    }
    out.list("request_attributes", attributes(&plan.request_attributes));
    out.list("response_attributes", attributes(&plan.response_attributes));
    out.timeout("message_timeout", Some(plan.message_timeout), Some(usual.message_timeout));
    out.timeout("max_message_timeout", Some(plan.max_message_timeout), Some(Duration::ZERO));
    if *plan.mutation_rules != MutationRules::default() {
        out.set("mutation_rules", mutation_rules(&plan.mutation_rules));
    }
    let mut forward = Out::new(&FORWARDING_RULES);
    if let Some(allowed) = &plan.forward_rules.allowed_headers {
        forward.set("allowed_headers", string_matchers(allowed));
    }
    if !plan.forward_rules.disallowed_headers.is_empty() {
        forward.set("disallowed_headers", string_matchers(&plan.forward_rules.disallowed_headers));
    }
    out.unless_empty("forward_rules", forward);
    out.unless("allow_mode_override", plan.allow_mode_override, false);
    let modes = plan.allowed_override_modes.iter();
    out.list("allowed_override_modes", modes.map(|mode| processing_mode(*mode).done()).collect());
    out.unless("disable_immediate_response", plan.disable_immediate_response, false);
    let options = &plan.metadata_options;
    let given = |namespaces: &MetadataNamespaces| {
        (*namespaces != MetadataNamespaces::default()).then(|| namespaces.clone())
    };
    let metadata = metadata_options(&MetadataOverrides {
        forwarding: given(&options.forwarding_namespaces),
        receiving: given(&options.receiving_namespaces),
        cluster_forwarding: given(&options.cluster_metadata_forwarding_namespaces),
    });
    out.unless_empty("metadata_options", metadata);
    out.unless("observability_mode", plan.observability_mode, false);
    out.timeout(
        "deferred_close_timeout",
        Some(plan.deferred_close_timeout),
        Some(usual.deferred_close_timeout),
    );
    let action = &plan.route_cache_action;
    out.name("route_cache_action", &ROUTE_CACHE_ACTION, action, &RouteCacheAction::Default);
    out.unless(
        "send_body_without_waiting_for_header_response",
        plan.send_body_without_waiting_for_header_response,
        false,
    );
    if plan.status_on_error != usual.status_on_error {
        let mut status = Out::new(&HTTP_STATUS);
        let code = plan.status_on_error.as_u16();
        status.set("code", STATUS_CODE.name_of(&code).map_or_else(|| Value::from(code), Value::from));
        out.set("status_on_error", status.done());
    }
    out.unless("allow_content_length_header", plan.allow_content_length_header, false);
    out.some("processing_request_modifier", plan.processing_request_modifier.as_ref().map(modifier));
    out.any()
}

/// What is different on a route.
pub(super) fn overrides(overrides: &ExtProcOverrides) -> Value {
    let mut out = Out::new(&EXT_PROC_OVERRIDES);
    // An empty one has a meaning: it replaces the whole mode.
    out.some("processing_mode", overrides.processing_mode.map(|mode| processing_mode(mode).done()));
    let list = |list: &Option<Attributes>| list.as_ref().map(|list| Value::Array(attributes(list)));
    out.some("request_attributes", list(&overrides.request_attributes));
    out.some("response_attributes", list(&overrides.response_attributes));
    out.some("grpc_service", overrides.grpc_service.as_ref().map(grpc_service));
    out.unless_empty("metadata_options", metadata_options(&overrides.metadata_options));
    let metadata = overrides.grpc_initial_metadata.iter();
    out.list("grpc_initial_metadata", metadata.map(|(name, value)| header_value(name, value)).collect());
    out.some("failure_mode_allow", overrides.failure_mode_allow);
    out.some("processing_request_modifier", overrides.processing_request_modifier.as_ref().map(modifier));
    out.done()
}

fn processing_mode(mode: ProcessingMode) -> Out {
    let mut out = Out::new(&PROCESSING_MODE);
    let usual = HeaderSendMode::Default;
    out.name("request_header_mode", &HEADER_SEND_MODE, &mode.request_header_mode, &usual);
    out.name("response_header_mode", &HEADER_SEND_MODE, &mode.response_header_mode, &usual);
    out.name("request_body_mode", &BODY_SEND_MODE, &mode.request_body_mode, &BodySendMode::None);
    out.name("response_body_mode", &BODY_SEND_MODE, &mode.response_body_mode, &BodySendMode::None);
    out.name("request_trailer_mode", &HEADER_SEND_MODE, &mode.request_trailer_mode, &usual);
    out.name("response_trailer_mode", &HEADER_SEND_MODE, &mode.response_trailer_mode, &usual);
    out
}

fn attributes(attributes: &Attributes) -> Vec<Value> {
    attributes.expressions().map(Value::from).collect()
}

fn mutation_rules(rules: &MutationRules) -> Value {
    let mut out = Out::new(&MUTATION_RULES);
    out.unless("allow_all_routing", rules.allow_all_routing, false);
    out.unless("allow_envoy", rules.allow_envoy, false);
    out.unless("disallow_system", rules.disallow_system, false);
    out.unless("disallow_all", rules.disallow_all, false);
    out.some("allow_expression", rules.allow_expression.as_ref().map(regex));
    out.some("disallow_expression", rules.disallow_expression.as_ref().map(regex));
    out.unless("disallow_is_error", rules.disallow_is_error, false);
    out.done()
}

fn string_matchers(matchers: &[StringMatcher]) -> Value {
    let mut out = Out::new(&LIST_STRING_MATCHER);
    out.list("patterns", matchers.iter().map(string_matcher).collect());
    out.done()
}

fn metadata_options(options: &MetadataOverrides) -> Out {
    let namespaces = |namespaces: &Option<MetadataNamespaces>| {
        let namespaces = namespaces.as_ref()?;
        let mut out = Out::new(&METADATA_NAMESPACES);
        let texts = |texts: &[String]| texts.iter().map(|text| Value::from(&**text)).collect();
        out.list("untyped", texts(&namespaces.untyped));
        out.list("typed", texts(&namespaces.typed));
        Some(out.done())
    };
    let mut out = Out::new(&METADATA_OPTIONS);
    out.some("forwarding_namespaces", namespaces(&options.forwarding));
    out.some("receiving_namespaces", namespaces(&options.receiving));
    out.some("cluster_metadata_forwarding_namespaces", namespaces(&options.cluster_forwarding));
    out
}

fn modifier(builder: &MappedAttributeBuilder) -> Value {
    let map = |mapped: &MappedAttributes| {
        let entries = mapped.iter().map(|(name, text)| (name.to_owned(), Value::from(text)));
        Value::Object(entries.collect::<Map<_, _>>())
    };
    let mut out = Out::new(&MAPPED_ATTRIBUTE_BUILDER);
    for (name, mapped) in [
        ("mapped_request_attributes", &builder.mapped_request_attributes),
        ("mapped_response_attributes", &builder.mapped_response_attributes),
    ] {
        if !mapped.is_empty() {
            out.set(name, map(mapped));
        }
    }
    extension(&TYPED_EXTENSION_CONFIG, "envoy.http.ext_proc.mapped_attribute_builder", out.any())
}

pub(super) fn grpc_service(service: &GrpcService) -> Value {
    let mut out = Out::new(&GRPC_SERVICE);
    match &service.target {
        GrpcTarget::EnvoyGrpc(cluster) => {
            let mut envoy = Out::new(&ENVOY_GRPC);
            envoy.set("cluster_name", &**cluster);
            envoy.unless("authority", &*service.authority, &**cluster);
            let most = service.max_receive_message_length;
            envoy.unless("max_receive_message_length", most, MAX_RECEIVE_MESSAGE_LENGTH);
            envoy.unless("skip_envoy_headers", service.skip_envoy_headers, false);
            out.set("envoy_grpc", envoy.done());
        }
        GrpcTarget::GoogleGrpc(cluster) => out.set("google_grpc", google_grpc(service, cluster)),
    }
    let metadata = service.initial_metadata.iter();
    out.list("initial_metadata", metadata.map(|(name, value)| header_value(name, value)).collect());
    out.some("retry_policy", service.retry_policy.as_ref().map(retry_policy));
    out.done()
}

fn google_grpc(service: &GrpcService, cluster: &Arc<tollgate_ir::GoogleCluster>) -> Value {
    let mut out = Out::new(&GOOGLE_GRPC);
    out.some("target_uri", service.target_uri.as_deref());
    out.set("stat_prefix", cluster.name.strip_prefix("google_grpc.").unwrap_or(&cluster.name));
    if let Some(tls) = &cluster.tls {
        let mut ssl = Out::new(&SSL_CREDENTIALS);
        if let ServerValidation::Chain { trusted_ca: trusted, .. }
        | ServerValidation::ChainAndServerName { trusted_ca: trusted } = &tls.validation
            && *trusted.source() != TrustSource::System
        {
            ssl.set("root_certs", trusted_ca(trusted));
        }
        if let Some(identity) = &tls.certificate {
            ssl.set("cert_chain", data_source(identity.chain_source()));
            ssl.set("private_key", data_source(identity.key_source()));
        }
        let mut credentials = Out::new(&CHANNEL_CREDENTIALS);
        credentials.set("ssl_credentials", ssl.done());
        out.set("channel_credentials", credentials.done());
    }
    if let Some(keepalive) = cluster.protocol.http2_options().and_then(|options| options.keepalive.as_ref()) {
        let milliseconds = |time: Duration| {
            let mut argument = Out::new(&CHANNEL_ARG);
            argument.set("int_value", u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
            argument.done()
        };
        let mut args = Map::new();
        if let Some(interval) = keepalive.interval {
            args.insert("grpc.keepalive_time_ms".to_owned(), milliseconds(interval));
        }
        args.insert("grpc.keepalive_timeout_ms".to_owned(), milliseconds(keepalive.timeout));
        let mut arguments = Out::new(&CHANNEL_ARGS);
        arguments.set("args", args);
        out.set("channel_args", arguments.done());
    }
    out.done()
}

fn retry_policy(policy: &GrpcRetryPolicy) -> Value {
    let mut out = Out::new(&RETRY_POLICY);
    out.set("retry_on", crate::envoy::grpc_service::conditions(policy).join(","));
    out.set("num_retries", policy.num_retries);
    let mut back_off = Out::new(&BACKOFF_STRATEGY);
    back_off.set("base_interval", duration(policy.base_interval));
    back_off.set("max_interval", duration(policy.max_interval));
    out.set("retry_back_off", back_off.done());
    out.done()
}
