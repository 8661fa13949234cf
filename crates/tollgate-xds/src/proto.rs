//! The messages of the protocol, as far as a client needs them. Who the client is (`Node`) stays the bytes that the bootstrap
//! gave.

use std::collections::BTreeMap;

use bytes::Bytes;

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Any {
    /// The type of the message, after a slash.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// `google.rpc.Status`: why a response was refused.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Status {
    /// A gRPC status.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// What is wrong.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// `envoy.service.discovery.v3.DiscoveryRequest`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DiscoveryRequest {
    /// The version that was accepted last; empty before the first one.
    #[prost(string, tag = "1")]
    pub version_info: String,
    /// An `envoy.config.core.v3.Node`; only in the first request of a stream.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub node: Option<Bytes>,
    /// Names of resources; none for all there are.
    #[prost(string, repeated, tag = "3")]
    pub resource_names: Vec<String>,
    /// The type of the resources.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// The response that this one answers; empty in the first request for a type on a stream.
    #[prost(string, tag = "5")]
    pub response_nonce: String,
    /// Why that response was refused.
    #[prost(message, optional, tag = "6")]
    pub error_detail: Option<Status>,
}

/// `envoy.service.discovery.v3.DiscoveryResponse`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DiscoveryResponse {
    /// The version of the resources.
    #[prost(string, tag = "1")]
    pub version_info: String,
    /// The resources, or `Resource`s around them.
    #[prost(message, repeated, tag = "2")]
    pub resources: Vec<Any>,
    /// Their type.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// What the answer names.
    #[prost(string, tag = "5")]
    pub nonce: String,
}

/// `envoy.service.discovery.v3.DeltaDiscoveryRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DeltaDiscoveryRequest {
    /// An `envoy.config.core.v3.Node`; only in the first request of a stream.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub node: Option<Bytes>,
    /// The type of the resources.
    #[prost(string, tag = "2")]
    pub type_url: String,
    /// Names that are wanted from now on.
    #[prost(string, repeated, tag = "3")]
    pub resource_names_subscribe: Vec<String>,
    /// Names that are not wanted any more.
    #[prost(string, repeated, tag = "4")]
    pub resource_names_unsubscribe: Vec<String>,
    /// What the client has already, with versions; only in the first request for a type on a stream.
    #[prost(btree_map = "string, string", tag = "5")]
    pub initial_resource_versions: BTreeMap<String, String>,
    /// The response that this one answers; empty if it answers none.
    #[prost(string, tag = "6")]
    pub response_nonce: String,
    /// Why that response was refused.
    #[prost(message, optional, tag = "7")]
    pub error_detail: Option<Status>,
}

/// `envoy.service.discovery.v3.DeltaDiscoveryResponse`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DeltaDiscoveryResponse {
    /// The version of all together; only for people.
    #[prost(string, tag = "1")]
    pub system_version_info: String,
    /// What is new or other than before.
    #[prost(message, repeated, tag = "2")]
    pub resources: Vec<Resource>,
    /// The type of the resources.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// What the answer names.
    #[prost(string, tag = "5")]
    pub nonce: String,
    /// Names of what is gone.
    #[prost(string, repeated, tag = "6")]
    pub removed_resources: Vec<String>,
}

/// `envoy.service.discovery.v3.Resource`: a resource with its name.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Resource {
    /// The version of this resource.
    #[prost(string, tag = "1")]
    pub version: String,
    /// The resource; absent in a mere sign of life.
    #[prost(message, optional, tag = "2")]
    pub resource: Option<Any>,
    /// Its name.
    #[prost(string, tag = "3")]
    pub name: String,
}

/// The type of a [`Resource`] that a state of the world has around resources.
pub(crate) const RESOURCE_TYPE: &str = "type.googleapis.com/envoy.service.discovery.v3.Resource";

/// A part of `envoy.config.core.v3.Node`: who a client is and what it runs.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Node {
    /// Its name.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The group that it belongs to.
    #[prost(string, tag = "2")]
    pub cluster: String,
    /// What it runs.
    #[prost(string, tag = "6")]
    pub user_agent_name: String,
    /// Of which version.
    #[prost(string, tag = "7")]
    pub user_agent_version: String,
    /// The same in parts, as it came.
    #[prost(bytes = "bytes", optional, tag = "8")]
    pub user_agent_build_version: Option<Bytes>,
    /// What it can do beyond the first version of the protocol.
    #[prost(string, repeated, tag = "10")]
    pub client_features: Vec<String>,
}

/// It takes `Resource`s around the resources of a state of the world.
const RESOURCE_IN_SOTW: &str = "xds.config.resource-in-sotw";

/// The node of the first message: what is configured (`message`, the bytes of a `Node`), and what it does not say: `id` and `cluster`
/// if there is no more, and what runs.
#[must_use]
pub fn node(message: &Bytes, id: &str, cluster: &str, version: &str) -> Bytes {
    use prost::Message as _;
    let known = Node::decode(message.clone()).unwrap_or_default();
    let says_version = !known.user_agent_version.is_empty() || known.user_agent_build_version.is_some();
    let says_feature = known.client_features.iter().any(|feature| feature == RESOURCE_IN_SOTW);
    let added = Node {
        id: if known.id.is_empty() { id.to_owned() } else { String::new() },
        cluster: if known.cluster.is_empty() { cluster.to_owned() } else { String::new() },
        user_agent_name: if known.user_agent_name.is_empty() { "tollgate".to_owned() } else { String::new() },
        user_agent_version: if says_version { String::new() } else { version.to_owned() },
        user_agent_build_version: None,
        client_features: if says_feature { Vec::new() } else { vec![RESOURCE_IN_SOTW.to_owned()] },
    };
    // Messages one after the other are one message.
    [message.to_vec(), added.encode_to_vec()].concat().into()
}
