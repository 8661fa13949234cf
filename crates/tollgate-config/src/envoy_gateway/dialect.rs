//! What policies of Envoy Gateway mean for rules.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use http::StatusCode;
use tollgate_ir::Cluster;
use tollgate_model::tls::{ServerNameIndication, ServerValidation, UpstreamTlsSettings};

use super::{
    Configuration, GatewaySettings,
    attachment::Attachments,
    processors::{Processors, Scope},
    route_backend::destination,
    settings::BackendSettings,
    status,
    targets::Targets,
    tls::{self, Peer},
    world::{Target, World, levels, levels_of_listener},
};
use crate::{
    kubernetes::{Metadata, ObjectRef, Place, status::ObjectStatus},
    translation::{
        BackendError, BackendReference, ClientSettings, Controller, Destination, Dialect, ExtensionRef,
        Gateway, Listener, Replacement, RuleExtensions, Site, Translator,
    },
};

/// What policies of Envoy Gateway mean for rules.
pub(crate) struct EnvoyGateway<'a> {
    translator: &'a Translator<'a>,
    configuration: Configuration,
    /// Of each gateway.
    settings: Vec<GatewaySettings>,
    gateways: &'a [Gateway],
    indices: HashMap<ObjectRef, usize>,
    attachments: Attachments,
    /// What policies protect that are not implemented, or invalid: why it is not served, and where they are.
    protected: HashMap<Target, (String, Place)>,
    /// How clients are treated, of everything that has a policy for them.
    clients: HashMap<Target, ClientPolicy>,
    processors: Processors,
}

impl<'a> EnvoyGateway<'a> {
    /// Attaches all policies to what there is. Whoever made the gateways has said what is wrong with their parameters.
    pub(crate) fn new(
        translator: &'a Translator<'a>,
        configuration: Configuration,
        gateways: &'a [Gateway],
    ) -> Self {
        let world = World::new(gateways);
        let mut protected = protected(translator, &world);
        let clients = clients(translator, &world);
        for (target, (reason, place)) in disagreements(gateways, &clients) {
            translator.diagnostics.error(&place, reason.clone(), None);
            protected.entry(target).or_insert((reason, place));
        }
        let indices = gateways.iter().enumerate();
        let settings = gateways.iter().map(|gateway| GatewaySettings::of(translator, &gateway.object));
        Self {
            translator,
            configuration,
            settings: settings.map(|found| found.unwrap_or(GatewaySettings::DEFAULT)).collect(),
            gateways,
            indices: indices.map(|(index, gateway)| (gateway.object.clone(), index)).collect(),
            attachments: Attachments::new(translator, gateways, &world),
            protected,
            clients,
            processors: Processors::default(),
        }
    }

    /// Why a rule must not be served although no policy of ours is broken.
    fn unprotected(&self, site: &Site<'_>) -> Option<Replacement> {
        if self.protected.is_empty() {
            return None;
        }
        let (reason, place) = levels(site).iter().find_map(|(_, target)| self.protected.get(target))?;
        Some(Replacement {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            body: "",
            reason: reason.clone(),
            place: place.clone(),
        })
    }
}

/// What is not served because of policies that would protect it.
fn protected(translator: &Translator<'_>, world: &World) -> HashMap<Target, (String, Place)> {
    let objects = &translator.resources.envoy_gateway;
    let mut protected = HashMap::new();
    let mut protect = |targets: &Targets, meta: &Metadata, reason: String| {
        for target in world.expand(targets, meta, translator) {
            protected.entry(target).or_insert_with(|| (reason.clone(), meta.place.clone()));
        }
    };
    for policy in objects.security_policies.iter() {
        let reason = format!("{} is not implemented and must not be left out", policy.reference());
        protect(&policy.spec.targets, &policy.meta, reason);
    }
    let invalid = |policy: &ObjectRef, errors: &[String]| {
        errors.first().map(|error| format!("{policy} is invalid: {error}"))
    };
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

/// What a ClientTrafficPolicy says.
#[derive(Debug, Clone)]
struct ClientPolicy {
    settings: Arc<ClientSettings>,
    reference: ObjectRef,
    place: Place,
}

/// What ClientTrafficPolicies say; of two with the same target the older one applies.
fn clients(translator: &Translator<'_>, world: &World) -> HashMap<Target, ClientPolicy> {
    let mut clients = HashMap::new();
    for policy in translator.resources.envoy_gateway.client_traffic_policies.by_age() {
        // What an API server would have refused has no effect.
        let targets = world.expand(&policy.spec.targets, &policy.meta, translator);
        for target in targets.into_iter().filter(|_| policy.errors.is_empty()) {
            let known = world.get(&target.object);
            let exists = known.is_some_and(|known| {
                target.section.as_ref().is_none_or(|section| known.has_section(section))
            });
            let what = match &target.section {
                Some(section) => format!("{section} of {}", target.object),
                None => target.object.to_string(),
            };
            let message = if exists {
                match clients.entry(target) {
                    Entry::Vacant(free) => {
                        free.insert(ClientPolicy {
                            settings: Arc::clone(&policy.spec.settings),
                            reference: policy.reference(),
                            place: policy.meta.place.clone(),
                        });
                        continue;
                    }
                    Entry::Occupied(_) => {
                        format!("{} has no effect: an older one has {what}", policy.reference())
                    }
                }
            } else if known.is_none() && translator.resources.has(&target.object) {
                format!("{} is attached to nothing: no Gateway uses {what}", policy.reference())
            } else {
                // What does not exist is reported where it is named.
                continue;
            };
            translator.diagnostics.warning(&policy.meta.place, message, None);
        }
    }
    clients
}

/// The policy of a listener, the most specific one.
fn policy_of<'c>(
    clients: &'c HashMap<Target, ClientPolicy>,
    gateway: &Gateway,
    listener: &Listener,
) -> Option<&'c ClientPolicy> {
    levels_of_listener(gateway, listener).iter().find_map(|(_, target)| clients.get(target))
}

/// Listeners whose policy cannot hold, because others are served with them that it is not for: those of cleartext at one
/// port are served together, and a limit of connections holds for the whole port. Such a listener is not served.
fn disagreements(
    gateways: &[Gateway],
    clients: &HashMap<Target, ClientPolicy>,
) -> Vec<(Target, (String, Place))> {
    let mut found = Vec::new();
    if clients.is_empty() {
        return found;
    }
    for gateway in gateways {
        for listener in &gateway.listeners {
            let Some(policy) = policy_of(clients, gateway, listener) else { continue };
            let settings = &policy.settings;
            let of_port = gateways
                .iter()
                .filter(|other| other.addresses == gateway.addresses)
                .flat_map(|other| other.listeners.iter().map(move |listener| (other, listener)))
                .filter(|(_, other)| other.port == listener.port);
            let mut others = Vec::new();
            for (other_gateway, other) in of_port {
                let theirs = policy_of(clients, other_gateway, other).map(|policy| &policy.settings);
                let limit = theirs.and_then(|theirs| theirs.max_connections);
                let served_together = listener.tls.is_none() && other.tls.is_none();
                let disagree = served_together && !settings.is_of_buffers_only() && theirs != Some(settings);
                if disagree || (settings.max_connections.is_some() && limit != settings.max_connections) {
                    others.push(other.name.as_str());
                }
            }
            if others.is_empty() {
                continue;
            }
            let reason = format!(
                "{} would also apply to other listeners of port {}: {}",
                policy.reference,
                listener.port,
                others.join(", ")
            );
            let own = Target { object: listener.owner.clone(), section: Some(listener.name.clone()) };
            found.push((own, (reason, policy.place.clone())));
        }
    }
    found
}

impl Dialect for EnvoyGateway<'_> {
    fn claims(&self, _: &ExtensionRef) -> bool {
        // HTTPRouteFilter is not implemented.
        false
    }

    fn extend(&mut self, site: &Site<'_>) -> RuleExtensions {
        let mut extensions = RuleExtensions { replaced: self.unprotected(site), ..RuleExtensions::default() };
        if extensions.replaced.is_some() {
            return extensions;
        }
        let Some(chosen) = self.attachments.choose(site) else { return extensions };
        let Some(&gateway) = self.indices.get(&site.gateway.object) else { return extensions };
        let scope = Scope {
            translator: self.translator,
            configuration: &self.configuration,
            policies: &self.attachments.policies,
            gateway: &self.settings[gateway],
            gateway_name: site.gateway.object.key().to_string(),
        };
        let built = self.processors.get(gateway, chosen, &scope);
        match built.fatal() {
            // EG-50
            Some(failure) => {
                let policy = self.attachments.policies[chosen.policy].reference();
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

    fn client_settings(&self, gateway: &Gateway, listener: &Listener) -> Option<&ClientSettings> {
        policy_of(&self.clients, gateway, listener).map(|policy| &*policy.settings)
    }

    fn backend(
        &self,
        reference: &BackendReference,
        gateway: &Gateway,
    ) -> Option<Result<Destination, BackendError>> {
        let settings = &self.settings[*self.indices.get(&gateway.object)?];
        destination(reference, settings, &self.configuration, self.translator)
    }

    fn backend_tls(&self, gateway: &Gateway) -> Option<Result<UpstreamTlsSettings, String>> {
        let settings = &self.settings[*self.indices.get(&gateway.object)?];
        let peer = Peer { sni: ServerNameIndication::Nothing, validation: ServerValidation::Nothing };
        let of_gateway = gateway.controller == Controller::EnvoyGateway;
        of_gateway.then(|| tls::settings(peer, None, settings, self.translator))
    }

    fn adapt(&self, gateway: &Gateway, cluster: &mut Cluster) {
        let settings = self.indices.get(&gateway.object).map(|index| &self.settings[*index]);
        if let (Controller::EnvoyGateway, Some(settings)) = (gateway.controller, settings) {
            BackendSettings::default().look_up_names(cluster, settings.ip_family);
        }
    }

    fn statuses(self: Box<Self>) -> Vec<ObjectStatus> {
        let Self { translator, configuration, settings, gateways, attachments, mut processors, .. } = *self;
        let mut statuses = status::backends(translator, &configuration);
        statuses.extend(status::extension_policies(
            &attachments,
            &configuration,
            |index, chosen, on_route| {
                let gateway = &gateways[index].object;
                let scope = Scope {
                    translator,
                    configuration: &configuration,
                    policies: &attachments.policies,
                    gateway: &settings[index],
                    gateway_name: gateway.key().to_string(),
                };
                processors.get(index, chosen, &scope).message(on_route)
            },
        ));
        statuses
    }
}
