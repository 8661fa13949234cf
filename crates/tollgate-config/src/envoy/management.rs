//! Management servers: who is asked for resources (`dynamic_resources`).

use std::time::Duration;

use tollgate_ir::GoogleCluster;
use tollgate_model::management::{ApiSource, Management, ResourceSource, Server, Variant};

use super::{
    Scope,
    config_source::{CONFIG_SOURCE, VERSION},
    grpc_service::read_grpc_service,
    needs::Needs,
};
use crate::schema::{Enumeration, Message, Schema, Value, harmless, read, refused, unimplemented};

const OVER_GRPC: &str = "servers are asked over gRPC";

pub(super) static API_CONFIG_SOURCE: Schema = Schema {
    name: "envoy.config.core.v3.ApiConfigSource",
    title: "",
    fields: &[
        read("api_type", "", "GRPC or DELTA_GRPC. Required."),
        read("transport_api_version", "V3", "V3."),
        read("grpc_services", "", "The server; one."),
        harmless(
            "set_node_on_first_message_only",
            "the node is always in the first message of a stream only",
        ),
        harmless("refresh_delay", OVER_GRPC),
        harmless("request_timeout", OVER_GRPC),
        unimplemented("rate_limit_settings", "requests to the management server are not limited"),
        refused("cluster_names", "name the server in grpc_services"),
        refused("config_validators", "resources are checked by the reader"),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 1] = [&API_CONFIG_SOURCE];

pub(super) static API_TYPE: Enumeration<Variant> = Enumeration {
    values: &[
        ("DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE", 0, None),
        ("REST", 1, None),
        ("GRPC", 2, Some(Variant::StateOfTheWorld)),
        ("DELTA_GRPC", 3, Some(Variant::Delta)),
        ("AGGREGATED_GRPC", 5, None),
        ("AGGREGATED_DELTA_GRPC", 6, None),
    ],
};

/// Envoy's `initial_fetch_timeout`.
pub(super) const INITIAL_FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// Reads which management servers are asked; `None` when there is none. `fixed` are the resources in place.
pub(super) fn read_management(
    dynamic: Option<&Message<'_>>,
    fixed: Option<&Value<'_>>,
    scope: &Scope,
) -> Option<Management<GoogleCluster>> {
    let ads = dynamic.and_then(|dynamic| dynamic.get("ads_config"));
    let source = |name| {
        let source = dynamic?.get(name)?;
        is_from_server(&source).then(|| read_source(&source, ads.is_some(), scope))?
    };
    let (clusters, listeners) = (source("cds_config"), source("lds_config"));
    let needs = fixed.map(|fixed| Needs::of_static(fixed, scope)).unwrap_or_default();
    if let Some(fixed) = fixed.filter(|_| ads.is_none())
        && let Some(name) = needs.first_aggregated()
    {
        fixed.error_with_help(
            format!("\"{name}\" comes over an aggregated stream, and there is none"),
            "set dynamic_resources.ads_config, or use path_config_source",
        );
    }
    let ads = ads.and_then(|ads| read_api_source(&ads, scope));
    let needs = needs.into_list();
    let is_none = ads.is_none() && clusters.is_none() && listeners.is_none() && needs.is_empty();
    let clusters_in_place = scope.clusters.names().map(str::to_owned).collect();
    (!is_none).then_some(Management { ads, clusters, listeners, needs, clusters_in_place })
}

/// Whether a source of listeners or clusters is a management server.
pub(super) fn is_from_server(source: &Value<'_>) -> bool {
    ["ads", "api_config_source"].into_iter().any(|member| source.member(member).is_some())
}

fn read_source(source: &Value<'_>, has_ads: bool, scope: &Scope) -> Option<ResourceSource<GoogleCluster>> {
    let message = source.message(&CONFIG_SOURCE)?;
    message.enumeration("resource_api_version", &VERSION, ());
    let initial_fetch_timeout = message.timeout("initial_fetch_timeout", Some(INITIAL_FETCH_TIMEOUT));
    let kinds = ["ads", "api_config_source", "self", "path_config_source", "path"];
    let server = match message.required_one_of(&kinds)? {
        ("ads", value) => {
            if !has_ads {
                value.error("there is no dynamic_resources.ads_config");
            }
            Server::Aggregated
        }
        (_, api) => Server::Own(Box::new(read_api_source(&api, scope)?)),
    };
    Some(ResourceSource { server, initial_fetch_timeout })
}

/// Reads a management server.
pub(super) fn read_api_source(value: &Value<'_>, scope: &Scope) -> Option<ApiSource<GoogleCluster>> {
    let message = value.message(&API_CONFIG_SOURCE)?;
    message.enumeration("transport_api_version", &VERSION, ());
    let variant = message.required("api_type").and_then(|kind| kind.enumeration(&API_TYPE));
    let services = message.list("grpc_services");
    let [service] = &*services else {
        value.error("\"grpc_services\" has to name one server");
        return None;
    };
    let service = read_grpc_service(service, scope)?;
    if let tollgate_model::processor::GrpcTarget::EnvoyGrpc(cluster) = &service.target
        && scope.clusters.lacks(cluster)
    {
        value.error(format!("the cluster \"{cluster}\" has to be in static_resources"));
    }
    Some(ApiSource { variant: variant?, service })
}
