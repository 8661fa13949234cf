//! What routes say about external processing filters (sections 1 and 19 of the protocol rules).

use std::sync::Arc;

use extproc::{
    Attributes, MetadataNamespaces, MetadataOptions, Plan, ProcessingMode, attributes::MappedAttributeBuilder,
};
use serde::Serialize;
use tollgate_model::format::Format;

use crate::{ExtProc, GrpcService};

/// What is different on a route (`ExtProcOverrides`); what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ExtProcOverrides {
    /// Replaces the whole mode.
    #[serde(skip)]
    pub processing_mode: Option<ProcessingMode>,
    /// Replaces the list.
    #[serde(skip)]
    pub request_attributes: Option<Attributes>,
    /// Replaces the list.
    #[serde(skip)]
    pub response_attributes: Option<Attributes>,
    /// Another processor.
    pub grpc_service: Option<GrpcService>,
    /// Replaces the lists that are given.
    pub metadata_options: MetadataOverrides,
    /// Added to the metadata of the calls; the same key is replaced.
    pub grpc_initial_metadata: Vec<(String, Format)>,
    /// Fail open or closed.
    pub failure_mode_allow: Option<bool>,
    /// Replaced as a whole.
    #[serde(skip)]
    pub processing_request_modifier: Option<MappedAttributeBuilder>,
}

/// `MetadataOptions` of a route: what is absent keeps what a less specific level says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MetadataOverrides {
    /// Sent to the processor.
    #[serde(skip)]
    pub forwarding: Option<MetadataNamespaces>,
    /// Accepted from the processor.
    #[serde(skip)]
    pub receiving: Option<MetadataNamespaces>,
    /// Sent to the processor, of the chosen cluster.
    #[serde(skip)]
    pub cluster_forwarding: Option<MetadataNamespaces>,
}

impl MetadataOverrides {
    /// Replaces the lists that are given.
    pub fn apply(self, options: &mut MetadataOptions) {
        let replace = |list: &mut MetadataNamespaces, with| {
            if let Some(with) = with {
                *list = with;
            }
        };
        replace(&mut options.forwarding_namespaces, self.forwarding);
        replace(&mut options.receiving_namespaces, self.receiving);
        replace(&mut options.cluster_metadata_forwarding_namespaces, self.cluster_forwarding);
    }

    fn fold(self, more: Self) -> Self {
        Self {
            forwarding: more.forwarding.or(self.forwarding),
            receiving: more.receiving.or(self.receiving),
            cluster_forwarding: more.cluster_forwarding.or(self.cluster_forwarding),
        }
    }

    fn between(base: &MetadataOptions, wanted: &MetadataOptions) -> Self {
        let changed =
            |base: &MetadataNamespaces, wanted: &MetadataNamespaces| (base != wanted).then(|| wanted.clone());
        Self {
            forwarding: changed(&base.forwarding_namespaces, &wanted.forwarding_namespaces),
            receiving: changed(&base.receiving_namespaces, &wanted.receiving_namespaces),
            cluster_forwarding: changed(
                &base.cluster_metadata_forwarding_namespaces,
                &wanted.cluster_metadata_forwarding_namespaces,
            ),
        }
    }
}

impl ExtProcOverrides {
    /// What two levels say together, `more` being the more specific one.
    #[must_use]
    pub fn fold(self, more: Self) -> Self {
        let mut grpc_initial_metadata = self.grpc_initial_metadata;
        overlay(&mut grpc_initial_metadata, more.grpc_initial_metadata);
        Self {
            processing_mode: more.processing_mode.or(self.processing_mode),
            request_attributes: more.request_attributes.or(self.request_attributes),
            response_attributes: more.response_attributes.or(self.response_attributes),
            grpc_service: more.grpc_service.or(self.grpc_service),
            metadata_options: self.metadata_options.fold(more.metadata_options),
            grpc_initial_metadata,
            failure_mode_allow: more.failure_mode_allow.or(self.failure_mode_allow),
            processing_request_modifier: more
                .processing_request_modifier
                .or(self.processing_request_modifier),
        }
    }

    /// What applies where this is said about a filter with these settings.
    #[must_use]
    pub fn apply(self, settings: &ExtProc) -> ExtProc {
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
        if self.processing_request_modifier.is_some() {
            plan.processing_request_modifier = self.processing_request_modifier;
        }
        self.metadata_options.apply(&mut plan.metadata_options);
        let mut grpc_service = self.grpc_service.unwrap_or_else(|| settings.grpc_service.clone());
        overlay(&mut grpc_service.initial_metadata, self.grpc_initial_metadata);
        ExtProc { plan: Arc::new(plan), grpc_service }
    }

    /// The overrides that make `wanted` of `base`; `None` when overrides cannot do that, since some settings can only be those
    /// of the filter.
    #[must_use]
    pub fn between(base: &ExtProc, wanted: &ExtProc) -> Option<Self> {
        fn changed<T: PartialEq + Clone>(base: &T, wanted: &T) -> Option<T> {
            (base != wanted).then(|| wanted.clone())
        }
        let (from, to) = (&base.plan, &wanted.plan);
        let overrides = Self {
            processing_mode: changed(&from.processing_mode, &to.processing_mode),
            request_attributes: changed(&from.request_attributes, &to.request_attributes),
            response_attributes: changed(&from.response_attributes, &to.response_attributes),
            grpc_service: changed(&base.grpc_service, &wanted.grpc_service),
            metadata_options: MetadataOverrides::between(&from.metadata_options, &to.metadata_options),
            grpc_initial_metadata: Vec::new(),
            failure_mode_allow: changed(&from.failure_mode_allow, &to.failure_mode_allow),
            processing_request_modifier: to.processing_request_modifier.clone(),
        };
        (overrides.clone().apply(base) == *wanted).then_some(overrides)
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
