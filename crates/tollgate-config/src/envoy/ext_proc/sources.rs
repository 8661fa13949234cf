//! Where the settings of a processor are written.

use std::collections::BTreeMap;

use crate::{place::Place, schema::Message};

/// Those of a gRPC service: where it is overridden all of it is another one.
pub(in crate::envoy) const SERVICE_SOURCES: [&str; 4] =
    ["grpc_service", "initial_metadata", "retry_policy", "max_receive_message_length"];

/// Where each setting of a filter or of overrides is written, by its name. Members of `metadata_options` and of `grpc_service`
/// are settings of their own.
pub(in crate::envoy) fn read_sources(message: &Message<'_>) -> BTreeMap<&'static str, Place> {
    const METADATA: &[&str] =
        &["forwarding_namespaces", "receiving_namespaces", "cluster_metadata_forwarding_namespaces"];
    let mut sources = message.places();
    sources.remove("metadata_options");
    sources.extend(message.places_within(&["metadata_options"], METADATA));
    sources.extend(message.places_within(&["grpc_service"], &["initial_metadata", "retry_policy"]));
    sources.extend(message.places_within(&["grpc_service", "envoy_grpc"], &["max_receive_message_length"]));
    sources
}
