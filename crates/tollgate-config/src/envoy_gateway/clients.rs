//! Which ClientTrafficPolicy holds for which listener.

use std::{collections::BTreeMap, sync::Arc};

use super::{ClientSettings, ClientTrafficPolicy, Objects};
use crate::{
    kubernetes::{Object, ObjectRef, Place},
    policies::{AttachedTarget, Attachments, NotAttached, Target, World, levels_of_listener},
    translation::{Gateway, Listener, Translator},
};

/// How clients are treated where a policy says so.
#[derive(Debug)]
pub(super) struct Clients {
    attachments: Attachments,
    /// The oldest first.
    policies: Vec<ClientPolicy>,
}

/// What a ClientTrafficPolicy says.
#[derive(Debug)]
pub(super) struct ClientPolicy {
    pub(super) settings: Arc<ClientSettings>,
    reference: ObjectRef,
    place: Place,
}

impl Clients {
    /// Attaches all policies; of two with the same target the older one applies.
    pub(super) fn new(translator: &Translator<'_>, world: &World) -> Self {
        let mut clients = Self { attachments: Attachments::default(), policies: Vec::new() };
        let policies = translator.store.of::<Objects>().client_traffic_policies.by_age();
        // What an API server would have refused has no effect.
        for policy in policies.into_iter().filter(|policy| policy.errors.is_empty()) {
            clients.attach(policy, world, translator);
        }
        clients
    }

    fn attach(&mut self, policy: &Object<ClientTrafficPolicy>, world: &World, translator: &Translator<'_>) {
        let reference = policy.reference();
        let warn = |message: String| translator.diagnostics.warning(&policy.meta.place, message, None);
        let targets = world.expand(&policy.spec.targets, &policy.meta, translator);
        for target in &targets {
            // What does not exist is reported where it is named.
            if world.get(&target.object).is_none() && translator.store.has(&target.object) {
                warn(format!("{reference} is attached to nothing: no Gateway uses {target}"));
            }
        }
        for AttachedTarget { target, result, .. } in
            self.attachments.attach_alone(self.policies.len(), targets, world)
        {
            if result == Err(NotAttached::Conflicted) {
                warn(format!("{reference} has no effect: an older one has {target}"));
            }
        }
        self.policies.push(ClientPolicy {
            settings: Arc::clone(&policy.spec.settings),
            reference,
            place: policy.meta.place.clone(),
        });
    }

    /// The policy of a listener, the most specific one.
    pub(super) fn policy_of(&self, gateway: &Gateway, listener: &Listener) -> Option<&ClientPolicy> {
        let (policy, _) = self.attachments.most_specific(&levels_of_listener(gateway, listener))?;
        Some(&self.policies[policy])
    }

    /// Listeners whose policy cannot hold, because others are served with them that it is not for: those of cleartext at one
    /// port are served together, and a limit of connections holds for the whole port. Such a listener is not served.
    pub(super) fn disagreements(&self, gateways: &[Gateway]) -> Vec<(Target, (String, Place))> {
        let mut found = Vec::new();
        if self.attachments.is_empty() {
            return found;
        }
        let mut ports: BTreeMap<_, Vec<(&Listener, Option<&ClientPolicy>)>> = BTreeMap::new();
        for gateway in gateways {
            for listener in &gateway.listeners {
                let of_port = ports.entry((&*gateway.addresses, listener.port)).or_default();
                of_port.push((listener, self.policy_of(gateway, listener)));
            }
        }
        for ((_, port), listeners) in ports {
            for (listener, policy) in &listeners {
                let Some(policy) = policy else { continue };
                let disagree = |(other, theirs): &&(&Listener, Option<&ClientPolicy>)| {
                    let theirs = theirs.map(|theirs| &*theirs.settings);
                    let served_together = listener.tls.is_none() && other.tls.is_none();
                    disagree(&policy.settings, theirs, served_together)
                };
                let others: Vec<&str> =
                    listeners.iter().filter(disagree).map(|(other, _)| &*other.name).collect();
                if others.is_empty() {
                    continue;
                }
                let reason = format!(
                    "{} would also apply to other listeners of port {port}: {}",
                    policy.reference,
                    others.join(", ")
                );
                let own = Target { object: listener.owner.clone(), section: Some(listener.name.clone()) };
                found.push((own, (reason, policy.place.clone())));
            }
        }
        found
    }
}

/// Whether settings cannot hold for a listener because of those of another one of its port.
fn disagree(own: &ClientSettings, theirs: Option<&ClientSettings>, served_together: bool) -> bool {
    let limit = theirs.and_then(|theirs| theirs.max_connections);
    (served_together && !own.is_of_buffers_only() && theirs != Some(own))
        || (own.max_connections.is_some() && limit != own.max_connections)
}
