//! Who is asked for resources that are not in the bootstrap.

use serde_json::{Value, json};
use tollgate_ir::GoogleCluster;
use tollgate_model::management::{ApiSource, Management, ResourceSource, Server};

use super::{ext_proc::grpc_service, out::Out};
use crate::envoy::{
    bootstrap::DYNAMIC_RESOURCES,
    config_source::CONFIG_SOURCE,
    management::{API_CONFIG_SOURCE, API_TYPE, INITIAL_FETCH_TIMEOUT},
};

pub(super) fn dynamic_resources(management: &Management<GoogleCluster>) -> Out {
    let mut out = Out::new(&DYNAMIC_RESOURCES);
    out.some("ads_config", management.ads.as_ref().map(api_source));
    out.some("cds_config", management.clusters.as_ref().map(config_source));
    out.some("lds_config", management.listeners.as_ref().map(config_source));
    out
}

fn config_source(source: &ResourceSource<GoogleCluster>) -> Value {
    let mut out = Out::new(&CONFIG_SOURCE);
    match &source.server {
        Server::Aggregated => out.set("ads", json!({})),
        Server::Own(own) => out.set("api_config_source", api_source(own)),
    }
    out.set("resource_api_version", "V3");
    out.timeout("initial_fetch_timeout", source.initial_fetch_timeout, Some(INITIAL_FETCH_TIMEOUT));
    out.done()
}

fn api_source(source: &ApiSource<GoogleCluster>) -> Value {
    let mut out = Out::new(&API_CONFIG_SOURCE);
    out.some("api_type", API_TYPE.name_of(&source.variant));
    out.set("transport_api_version", "V3");
    out.list("grpc_services", vec![grpc_service(&source.service)]);
    out.done()
}
