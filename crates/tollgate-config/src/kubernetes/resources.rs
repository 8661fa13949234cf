//! All objects, by kind.

use std::rc::Rc;

use super::{Kind, Metadata, core};
use crate::{envoy_gateway, gateway_api, htnn, istio, kgateway, yaml::Node};

/// All objects of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    /// Every document that names an object, in their order.
    pub(super) documents: Vec<(Rc<Metadata>, Rc<Node>)>,
    pub(crate) core: core::Objects,
    pub(crate) gateway_api: gateway_api::Objects,
    pub(crate) envoy_gateway: envoy_gateway::Objects,
    pub(crate) kgateway: kgateway::Objects,
    pub(crate) htnn: htnn::Objects,
    pub(crate) istio: istio::Objects,
}

/// Every kind that is read.
pub(super) fn kinds() -> impl Iterator<Item = &'static Kind> {
    [core::KINDS, gateway_api::KINDS, envoy_gateway::KINDS, kgateway::KINDS, htnn::KINDS, istio::KINDS]
        .into_iter()
        .flatten()
}
