//! Dynamic metadata on the wire.

use std::collections::BTreeMap;

use super::{Any, Struct};

/// `envoy.config.core.v3.Metadata`: values by namespace.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Metadata {
    /// Untyped namespaces.
    #[prost(btree_map = "string, message", tag = "1")]
    pub filter_metadata: BTreeMap<String, Struct>,
    /// Typed namespaces.
    #[prost(btree_map = "string, message", tag = "2")]
    pub typed_filter_metadata: BTreeMap<String, Any>,
}
