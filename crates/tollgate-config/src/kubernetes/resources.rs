//! All objects, by kind.

use std::{collections::HashSet, rc::Rc};

use super::{Kind, Metadata, ObjectRef, Place, core};
use crate::{envoy_gateway, gateway_api, htnn, istio, kgateway, yaml::Node};

/// All objects of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    /// Every document that names an object, in their order.
    pub(super) documents: Vec<(Rc<Metadata>, Rc<Node>)>,
    names: HashSet<ObjectRef>,
    pub(super) unknown: Vec<Unknown>,
    pub(crate) core: core::Objects,
    pub(crate) gateway_api: gateway_api::Objects,
    pub(crate) envoy_gateway: envoy_gateway::Objects,
    pub(crate) kgateway: kgateway::Objects,
    pub(crate) htnn: htnn::Objects,
    pub(crate) istio: istio::Objects,
}

/// An object of a kind that does not exist, in a group that gateways are configured with.
#[derive(Debug)]
pub(crate) struct Unknown {
    /// Kind, namespace and name.
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Resources {
    /// Every document that names an object, in their order.
    pub(crate) fn documents(&self) -> &[(Rc<Metadata>, Rc<Node>)] {
        &self.documents
    }

    /// Adds a document that names an object.
    pub(super) fn add_document(&mut self, meta: Rc<Metadata>, node: Rc<Node>) {
        self.names.insert(ObjectRef::new(&meta.group, &meta.kind, &meta.key));
        self.documents.push((meta, node));
    }

    /// Whether there is a document for an object.
    pub(crate) fn has(&self, object: &ObjectRef) -> bool {
        self.names.contains(object)
    }

    /// Objects of kinds that do not exist.
    pub(crate) fn unknown(&self) -> &[Unknown] {
        &self.unknown
    }
}

/// Every kind that is read.
pub(super) fn kinds() -> impl Iterator<Item = &'static Kind> {
    [core::KINDS, gateway_api::KINDS, envoy_gateway::KINDS, kgateway::KINDS, htnn::KINDS, istio::KINDS]
        .into_iter()
        .flatten()
}
