//! What a filter was configured to do.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use crate::{
    attributes::{Attributes, MappedAttributeBuilder},
    forward::ForwardRules,
    mode::ProcessingMode,
    mutation::MutationRules,
};

/// Every setting of an external processing filter that an exchange obeys: `ExternalProcessor` merged with the
/// per-route overrides (sections 1.1 and 19). Immutable and shared by all exchanges of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The filter's name in its chain; names the logging object (G-1).
    pub filter_name: String,
    /// What is sent on this route.
    pub processing_mode: ProcessingMode,
    /// The mode of the filter itself, the base of mode overrides (O-3).
    pub filter_processing_mode: ProcessingMode,
    /// Fail open (section 12). Default false.
    pub failure_mode_allow: bool,
    /// A spurious message obeys `failure_mode_allow` (true, the default) or always fails open (F-14).
    pub fail_close_spurious_response: bool,
    /// Per-message deadline. Default 200 ms; zero expires at once.
    pub message_timeout: Duration,
    /// Largest `override_message_timeout`. Default zero: overrides are ignored.
    pub max_message_timeout: Duration,
    /// What mutations may change.
    pub mutation_rules: Arc<MutationRules>,
    /// Which headers the processor sees.
    pub forward_rules: ForwardRules,
    /// Honour `mode_override` (O-1). Default false.
    pub allow_mode_override: bool,
    /// Modes an override may result in; empty = any (O-4).
    pub allowed_override_modes: Vec<ProcessingMode>,
    /// Immediate responses are spurious (I-13). Default false.
    pub disable_immediate_response: bool,
    /// Send, never wait (section 16). Default false.
    pub observability_mode: bool,
    /// How long the stream stays open behind an observed exchange. Default 5 s (V-6).
    pub deferred_close_timeout: Duration,
    /// When a reply makes the gateway match routes again (section 15).
    pub route_cache_action: RouteCacheAction,
    /// STREAMED bodies do not wait for the header reply (B-4.7). Default false.
    pub send_body_without_waiting_for_header_response: bool,
    /// Status of error replies. Default 500.
    pub status_on_error: StatusCode,
    /// Keep `content-length` where it would be removed (B-7.4). Default false.
    pub allow_content_length_header: bool,
    /// Dynamic metadata in and out (section 14).
    pub metadata_options: MetadataOptions,
    /// Attributes sent with the first message of the request direction (section 17).
    pub request_attributes: Attributes,
    /// Attributes sent with the first message of the response direction.
    pub response_attributes: Attributes,
    /// Replaces the attributes of a direction, with names of their own (U-1). Default none.
    pub processing_request_modifier: Option<MappedAttributeBuilder>,
    /// Prefix of the proxy's own headers, which mutations may not touch by default. Default `x-envoy`.
    pub header_prefix: String,
    /// Show empty pieces of a body that end nothing, too (B-4.11). Default false.
    pub send_empty_data: bool,
    /// Half-close and wait for the processor's own end instead of resetting (L-5 b). Default true (decision 5).
    pub graceful_grpc_close: bool,
}

impl Plan {
    /// The settings of a filter that says nothing but its name: Envoy's defaults (section 1.1).
    #[must_use]
    pub fn new(filter_name: impl Into<String>) -> Self {
        Self {
            filter_name: filter_name.into(),
            processing_mode: ProcessingMode::default(),
            filter_processing_mode: ProcessingMode::default(),
            failure_mode_allow: false,
            fail_close_spurious_response: true,
            message_timeout: Duration::from_millis(200),
            max_message_timeout: Duration::ZERO,
            mutation_rules: Arc::default(),
            forward_rules: ForwardRules::default(),
            allow_mode_override: false,
            allowed_override_modes: Vec::new(),
            disable_immediate_response: false,
            observability_mode: false,
            deferred_close_timeout: Duration::from_secs(5),
            route_cache_action: RouteCacheAction::Default,
            send_body_without_waiting_for_header_response: false,
            status_on_error: StatusCode::INTERNAL_SERVER_ERROR,
            allow_content_length_header: false,
            metadata_options: MetadataOptions::default(),
            request_attributes: Attributes::default(),
            response_attributes: Attributes::default(),
            processing_request_modifier: None,
            header_prefix: "x-envoy".to_owned(),
            send_empty_data: false,
            graceful_grpc_close: true,
        }
    }
}

/// When a reply makes the gateway match routes again (K-4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum RouteCacheAction {
    /// When the reply asks for it.
    #[default]
    Default,
    /// Whenever headers were changed.
    Clear,
    /// Never.
    Retain,
}

/// Dynamic metadata that travels with an exchange (section 14).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetadataOptions {
    /// Sent to the processor.
    pub forwarding_namespaces: MetadataNamespaces,
    /// Accepted from the processor.
    pub receiving_namespaces: MetadataNamespaces,
    /// Sent to the processor, taken from the selected upstream cluster.
    pub cluster_metadata_forwarding_namespaces: MetadataNamespaces,
}

/// Metadata namespaces by the way their values are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetadataNamespaces {
    /// Namespaces of `filter_metadata`.
    pub untyped: Vec<String>,
    /// Namespaces of `typed_filter_metadata`.
    pub typed: Vec<String>,
}
