//! Clusters of services that only patches name: in Istio every service has its own.

use std::sync::Arc;

use tollgate_ir::BareCluster;
use tollgate_model::{
    cluster::{Endpoint, UpstreamProtocol},
    http_connection_manager::Http2Options,
};

use crate::{
    istio::{CONTROLLER, service_key, speaks_http2},
    kubernetes::{ObjectRef, Place},
    patching::{ClusterKey, ConfigPatch, cluster_names},
    translation::{Translator, bare_cluster, is_http2},
};

/// Adds the clusters that the patches of an object name and that nobody else has made.
pub(super) fn add(patches: &[ConfigPatch], policy: &ObjectRef, place: &Place, translator: &Translator<'_>) {
    let mut names = Vec::new();
    for value in patches.iter().filter_map(|patch| patch.value.as_ref()) {
        cluster_names(value, &mut names);
    }
    for (name, grpc) in names {
        let Some(key) = ClusterKey::parse(name).filter(|key| key.subset.is_empty()) else { continue };
        if translator.has_cluster(name) {
            continue;
        }
        let Some((endpoints, http2, service)) = reach(key, policy, translator) else { continue };
        if grpc && !http2 {
            let message = format!(
                "port {} of {} is not declared as HTTP/2, and gRPC is spoken with it: HTTP/2 is used anyway",
                key.port, key.host
            );
            let help = "Istio itself would speak HTTP/1.1: name the port grpc".to_owned();
            translator.diagnostics.warning(place, message, Some(help));
        }
        let protocol = match http2 || grpc {
            true => UpstreamProtocol::Http2(Http2Options::default()),
            false => UpstreamProtocol::Http1 { enable_trailers: false },
        };
        let tls = match service {
            Some((object, section)) => {
                let found = translator.processor_tls(&object, section.as_deref(), policy, CONTROLLER.name);
                match found {
                    Ok(tls) => tls,
                    Err(error) => {
                        translator.diagnostics.error(place, error, None);
                        continue;
                    }
                }
            }
            None => None,
        };
        let mut built = BareCluster { tls, ..bare_cluster(name.to_owned(), &endpoints, protocol) };
        (CONTROLLER.defaults.cluster)(&mut built);
        translator.add_shared(built, &endpoints, "envoyfilter", place.origin(Some(policy.object_name())));
    }
}

type Reached = (Arc<[Endpoint]>, bool, Option<(ObjectRef, Option<String>)>);

/// Where a host is, and whether HTTP/2 is spoken there; `None` = it is not known.
fn reach(key: ClusterKey<'_>, policy: &ObjectRef, translator: &Translator<'_>) -> Option<Reached> {
    let service = service_key(key.host, &policy.namespace, &translator.options.cluster_domain);
    if let Some(service) = service
        && let Ok(found) = translator.service_endpoints(&service, key.port)
    {
        let section = Some(found.port.name.clone()).filter(|name| !name.is_empty());
        let object = ObjectRef::new("", "Service", &service);
        return Some((found.endpoints, speaks_http2(found.port), Some((object, section))));
    }
    let entry = translator.service_entry(key.host)?;
    let port = entry.port(key.port)?;
    let http2 = is_http2(port.app_protocol().as_deref()).unwrap_or(false);
    Some((entry.endpoints(key.host, port).into(), http2, None))
}
