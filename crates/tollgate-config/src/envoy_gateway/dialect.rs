//! What policies of Envoy Gateway mean for rules.

use std::{borrow::Cow, collections::HashMap};

use http::StatusCode;
use tollgate_ir::{BareCluster, ServerValidation, UpstreamTlsContext};
use tollgate_model::tls::ServerNameIndication;

use super::{
    CONTROLLER, Configuration, Objects, ProxySettings,
    attachment::Attached,
    clients::Clients,
    patches,
    processors::{Processors, Scope},
    route_backend::destination,
    security::Security,
    settings::BackendSettings,
    status,
    tls::{self, Peer},
};
use crate::{
    gateway_api,
    kubernetes::{Metadata, ObjectRef, Place, status::ObjectStatus},
    policies::{Attachments, Target, Targets, World, levels},
    routing::{BackendReference, Rule},
    translation::{
        BackendError, Destination, Dialect, Gateway, Listener, ListenerSettings, Patchable, Referring,
        Replacement, RuleExtensions, Site, Translator,
    },
};

/// What policies of Envoy Gateway mean for rules.
pub(super) struct EnvoyGateway<'a> {
    translator: &'a Translator<'a>,
    configuration: Configuration,
    /// Of each gateway.
    settings: Vec<ProxySettings>,
    gateways: &'a [Gateway],
    indices: HashMap<ObjectRef, usize>,
    attached: Attached,
    protected: Protected,
    clients: Clients,
    security: Security,
    processors: Processors,
    /// What became of patches.
    patches: Vec<ObjectStatus>,
}

impl<'a> EnvoyGateway<'a> {
    /// Attaches all policies to what there is. Whoever made the gateways has said what is wrong with their parameters.
    pub(super) fn new(translator: &'a Translator<'a>, gateways: &'a [Gateway]) -> Self {
        report_own_merging(translator, gateways);
        let world = World::new(gateways);
        let mut protected = protected(translator, &world);
        let clients = Clients::new(translator, &world);
        for (target, (reason, place)) in clients.disagreements(gateways) {
            translator.diagnostics.error(&place, reason.clone(), None);
            protected.add(target, reason, place);
        }
        let indices = gateways.iter().enumerate();
        let settings = gateways.iter().map(|gateway| ProxySettings::of(translator, &gateway.object));
        Self {
            translator,
            configuration: Configuration::in_force(translator),
            settings: settings.map(Result::unwrap_or_default).collect(),
            gateways,
            indices: indices.map(|(index, gateway)| (gateway.object.clone(), index)).collect(),
            attached: Attached::new(translator, gateways, &world),
            protected,
            clients,
            security: Security::new(translator, &world),
            processors: Processors::default(),
            patches: Vec::new(),
        }
    }

    /// Why a rule must not be served although no policy of ours is broken.
    fn unprotected(&self, site: &Site<'_>) -> Option<Replacement> {
        let Protected { attachments, reasons } = &self.protected;
        if attachments.is_empty() {
            return None;
        }
        let (first, _) = attachments.most_specific(&levels(site))?;
        let (reason, place) = &reasons[first];
        Some(Replacement {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            body: "",
            reason: reason.clone(),
            place: place.clone(),
        })
    }
}

/// Whether a gateway is one of Envoy Gateway.
fn is_ours(gateway: &Gateway) -> bool {
    gateway.controller.is(&CONTROLLER)
}

/// Only the class of a gateway can say that its gateways share their ports.
fn report_own_merging(translator: &Translator<'_>, gateways: &[Gateway]) {
    let objects = translator.store.of::<gateway_api::Objects>();
    let asked =
        |gateway: &&Gateway| is_ours(gateway) && gateway.settings.merge_gateways && gateway.merged.is_none();
    for gateway in gateways.iter().filter(asked) {
        let object = objects.gateways.get(&gateway.object.key());
        if let Some(own) = object.and_then(|object| object.spec.parameters.as_ref()) {
            let message = "mergeGateways has no effect in the parameters of one Gateway";
            let help = "refer to the EnvoyProxy from the GatewayClass".to_owned();
            translator.diagnostics.warning(&own.place, message, Some(help));
        }
    }
}

/// What policies protect that are not implemented, or invalid: why it is not served, and where they are.
#[derive(Debug, Default)]
struct Protected {
    attachments: Attachments,
    reasons: Vec<(String, Place)>,
}

impl Protected {
    fn add(&mut self, target: Target, reason: String, place: Place) {
        self.attachments.attach(self.reasons.len(), target);
        self.reasons.push((reason, place));
    }
}

/// What is not served because of policies that would protect it.
fn protected(translator: &Translator<'_>, world: &World) -> Protected {
    let objects = translator.store.of::<Objects>();
    let mut protected = Protected::default();
    let mut protect = |targets: &Targets, meta: &Metadata, reason: String| {
        for target in world.expand(targets, meta, translator) {
            protected.add(target, reason.clone(), meta.place.clone());
        }
    };
    let invalid = |policy: &ObjectRef, errors: &[String]| {
        errors.first().map(|error| format!("{policy} is invalid: {error}"))
    };
    for policy in objects.security_policies.iter() {
        if let Some(reason) = invalid(&policy.reference(), &policy.errors) {
            protect(&policy.spec.targets, &policy.meta, reason);
        }
    }
    for policy in objects.client_traffic_policies.iter() {
        if let Some(reason) = invalid(&policy.reference(), &policy.errors) {
            protect(&policy.spec.targets, &policy.meta, reason);
        }
    }
    for policy in objects.backend_traffic_policies.iter() {
        if let Some(reason) = invalid(&policy.reference(), &policy.errors) {
            protect(&policy.spec.targets, &policy.meta, reason);
        }
    }
    protected
}

impl Dialect for EnvoyGateway<'_> {
    fn rule(&self, site: &Site<'_>, rule: &mut Cow<'_, Rule>) {
        if rule.filters.cors.is_none()
            && let Some(cors) = self.security.cors(site)
        {
            rule.to_mut().filters.cors = Some(cors);
        }
    }

    fn extend(&mut self, site: &Site<'_>) -> RuleExtensions {
        let mut extensions = RuleExtensions { replaced: self.unprotected(site), ..RuleExtensions::default() };
        if extensions.replaced.is_some() {
            return extensions;
        }
        let Some(&gateway) = self.indices.get(&site.gateway.object) else { return extensions };
        let settings = &self.settings[gateway];
        match self.security.filters(site, gateway, settings, &self.configuration, self.translator) {
            Ok(filters) => extensions.filters = filters,
            Err(replaced) => {
                extensions.replaced = Some(replaced);
                return extensions;
            }
        }
        let Some(chosen) = self.attached.choose(site) else { return extensions };
        let scope = Scope {
            translator: self.translator,
            configuration: &self.configuration,
            policies: &self.attached.policies,
            gateway: &self.settings[gateway],
            gateway_name: site.gateway.object.key().to_string(),
        };
        let built = self.processors.get(gateway, chosen, &scope);
        match built.fatal() {
            // EG-50
            Some(failure) => {
                let policy = self.attached.policies[chosen.policy].reference();
                extensions.replaced = Some(Replacement {
                    status: StatusCode::INTERNAL_SERVER_ERROR,
                    body: "",
                    reason: format!("{policy} is invalid: {}", failure.message),
                    place: failure.place.clone(),
                });
            }
            None => extensions.processors.clone_from(&built.applied),
        }
        extensions
    }

    fn listener(&self, gateway: &Gateway, listener: &Listener, settings: &mut ListenerSettings) {
        if let Some(policy) = self.clients.policy_of(gateway, listener) {
            policy.settings.apply(settings);
        }
    }

    fn backend(
        &self,
        reference: &BackendReference,
        gateway: &Gateway,
    ) -> Option<Result<Destination, BackendError>> {
        let settings = &self.settings[*self.indices.get(&gateway.object)?];
        destination(reference, settings, &self.configuration, is_ours(gateway), self.translator)
    }

    fn backend_tls(&self, gateway: &Gateway) -> Option<Result<UpstreamTlsContext, String>> {
        let settings = &self.settings[*self.indices.get(&gateway.object)?];
        let peer = Peer { sni: ServerNameIndication::Nothing, validation: ServerValidation::Nothing };
        is_ours(gateway).then(|| tls::settings(peer, None, settings, self.translator))
    }

    fn cluster(&self, site: Referring<'_>, cluster: &mut BareCluster) {
        let index = self.indices.get(&site.gateway.object).filter(|_| is_ours(site.gateway));
        if let Some(settings) = index.map(|index| &self.settings[*index]) {
            BackendSettings::default().look_up_names(&mut cluster.discovery, settings.ip_family);
        }
    }

    fn patch(&mut self, patchable: &mut Patchable<'_>) {
        self.patches = patches::apply(self.translator, self.gateways, &self.configuration, patchable);
    }

    fn statuses(self: Box<Self>) -> Vec<ObjectStatus> {
        let Self {
            translator,
            configuration,
            settings,
            gateways,
            attached,
            security,
            mut processors,
            patches,
            ..
        } = *self;
        let mut statuses = status::backends(translator, &configuration);
        statuses.extend(patches);
        statuses.extend(security.statuses(&configuration));
        statuses.extend(status::extension_policies(&attached, &configuration, |index, chosen, on_route| {
            let gateway = &gateways[index].object;
            let scope = Scope {
                translator,
                configuration: &configuration,
                policies: &attached.policies,
                gateway: &settings[index],
                gateway_name: gateway.key().to_string(),
            };
            processors.get(index, chosen, &scope).message(on_route)
        }));
        statuses
    }
}
