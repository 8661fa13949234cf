//! What the objects mean.

use std::{borrow::Cow, sync::Arc};

use http::StatusCode;
use tollgate_ir::BareCluster;
use tollgate_model::cluster::EndpointAddress;

use super::{
    CONTROLLER,
    objects::{GROUP, Objects, PacePolicy},
};
use crate::{
    kubernetes::{
        Object,
        status::{ObjectStatus, PolicyStatus},
    },
    policies::{
        Ancestors, AttachedTarget, Attachments, Level, NotAttached, TargetView, World, levels,
        levels_of_listener,
    },
    routing::{BackendReference, Rule},
    translation::{
        BackendError, Destination, Dialect, Gateway, Listener, ListenerSettings, Referring, Replacement,
        RuleExtensions, Site, Translator, endpoint,
    },
};

/// What the objects mean.
pub(super) struct MadeUp<'a> {
    translator: &'a Translator<'a>,
    /// The oldest first.
    policies: Vec<Arc<Object<PacePolicy>>>,
    attachments: Attachments,
    targets: Vec<Vec<AttachedTarget>>,
}

impl<'a> MadeUp<'a> {
    pub(super) fn new(translator: &'a Translator<'a>, gateways: &[Gateway]) -> Self {
        let world = World::new(gateways);
        let policies = translator.store.of::<Objects>().policies.by_age();
        let policies: Vec<_> = policies.into_iter().map(Arc::clone).collect();
        let mut attachments = Attachments::default();
        let targets = policies.iter().enumerate().map(|(index, policy)| {
            let targets = world.expand(&policy.spec.targets, &policy.meta, translator);
            attachments.attach_alone(index, targets, &world)
        });
        let targets = targets.collect();
        Self { translator, policies, attachments, targets }
    }

    fn policy(&self, levels: &[(Level, TargetView<'_>)]) -> Option<&Object<PacePolicy>> {
        let (policy, _) = self.attachments.most_specific(levels)?;
        Some(&self.policies[policy])
    }
}

impl Dialect for MadeUp<'_> {
    fn rule(&self, site: &Site<'_>, rule: &mut Cow<'_, Rule>) {
        if let Some(timeout) = self.policy(&levels(site)).and_then(|policy| policy.spec.timeout) {
            rule.to_mut().timeouts.request = Some(Some(timeout));
        }
    }

    fn extend(&mut self, site: &Site<'_>) -> RuleExtensions {
        let broken = self.policy(&levels(site)).filter(|policy| !policy.errors.is_empty());
        let replaced = broken.map(|policy| Replacement {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            body: "",
            reason: format!("{} is invalid", policy.reference()),
            place: policy.meta.place.clone(),
        });
        RuleExtensions { replaced, ..RuleExtensions::default() }
    }

    fn listener(&self, gateway: &Gateway, listener: &Listener, settings: &mut ListenerSettings) {
        let policy = self.policy(&levels_of_listener(gateway, listener));
        settings.max_connections = policy.and_then(|policy| policy.spec.connections);
    }

    fn backend(
        &self,
        reference: &BackendReference,
        _: &Gateway,
    ) -> Option<Result<Destination, BackendError>> {
        let object = &reference.object;
        if object.group != GROUP || object.kind != "Host" {
            return None;
        }
        let host = self.translator.store.of::<Objects>().hosts.get(&object.key());
        let missing = || BackendError::NotFound(format!("Host {} not found", object.key()));
        Some(host.ok_or_else(missing).map(|host| Destination {
            object: None,
            endpoints: [endpoint(EndpointAddress::Socket(host.spec))].into(),
            app_protocol: None,
            section: None,
            tls: None,
        }))
    }

    fn cluster(&self, site: Referring<'_>, cluster: &mut BareCluster) {
        let route = TargetView { object: &site.route.object, section: None };
        let policy = self.attachments.at(route).first().map(|policy| &self.policies[*policy]);
        if let Some(timeout) = policy.and_then(|policy| policy.spec.connect_timeout) {
            cluster.connect_timeout = timeout;
        }
    }

    fn statuses(self: Box<Self>) -> Vec<ObjectStatus> {
        let Self { policies, targets, .. } = *self;
        let statuses = policies.iter().zip(targets).map(|(policy, targets)| {
            let mut ancestors = Ancestors::new(&policy.meta);
            for target in &targets {
                for ancestor in &target.ancestors {
                    let Some(conditions) = ancestors.get(ancestor) else { continue };
                    let (holds, reason) = match target.result {
                        Ok(()) => (true, "Accepted"),
                        Err(NotAttached::Conflicted) => (false, "Conflicted"),
                        Err(NotAttached::SectionNotFound) => (false, "TargetNotFound"),
                    };
                    conditions.set("Accepted", holds, reason, "", &policy.meta);
                }
            }
            let ancestors = ancestors.finish(CONTROLLER.name);
            ObjectStatus::new(policy.reference(), PolicyStatus { ancestors })
        });
        statuses.collect()
    }
}
