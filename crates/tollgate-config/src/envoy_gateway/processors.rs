//! From the entries of a policy to processors (6.4).

use std::{collections::HashMap, sync::Arc};

use extproc::Plan;
use http::StatusCode;
use tollgate_ir::{ExtProc, GrpcService};
use tollgate_model::processor::GrpcTarget;

use super::{
    Configuration, ENVOY_GATEWAY, ExtensionPolicy, ProxySettings,
    backends::{Backends, Problem, Server},
    ext_proc::{BackendRef, Entry},
    extension_policy::{ExtensionKind, OtherExtension},
    filter_order::position,
};
use crate::{
    envoy::MAX_RECEIVE_MESSAGE_LENGTH,
    kubernetes::{Object, Place},
    policies::Chosen,
    translation::{Applied, Position, Processor, Translator, Zone},
};

/// What a policy comes to on a gateway.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) applied: Vec<Applied>,
    pub(super) failures: Vec<Failure>,
}

/// An extension that cannot be had.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// `None` = the policy as a whole.
    pub(super) kind: Option<ExtensionKind>,
    pub(super) message: String,
    pub(super) place: Place,
    /// Requests go on without it.
    pub(super) fail_open: bool,
}

/// Makes processors, once for each policy and gateway.
#[derive(Debug, Default)]
pub(super) struct Processors(HashMap<(usize, Chosen), Arc<Built>>);

/// What processors are made from.
pub(super) struct Scope<'a> {
    pub(super) translator: &'a Translator<'a>,
    pub(super) configuration: &'a Configuration,
    pub(super) policies: &'a [Arc<Object<ExtensionPolicy>>],
    /// Settings of the gateway, and what tells it from others.
    pub(super) gateway: &'a ProxySettings,
    pub(super) gateway_name: String,
}

impl Processors {
    /// What the policies come to on a gateway.
    pub(super) fn get(&mut self, gateway: usize, chosen: Chosen, scope: &Scope<'_>) -> Arc<Built> {
        Arc::clone(self.0.entry((gateway, chosen)).or_insert_with(|| Arc::new(scope.build(chosen))))
    }
}

impl Scope<'_> {
    fn build(&self, chosen: Chosen) -> Built {
        let mut built = Built::default();
        let child = &self.policies[chosen.policy];
        let parent = chosen.parent.map(|parent| &self.policies[parent]);
        if self.is_refused(child, &mut built) {
            return built;
        }
        // What is wrong with a parent is no matter to a child that takes no processor from it.
        let takes = child.spec.ext_proc.is_empty();
        if takes && parent.is_some_and(|parent| self.is_refused(parent, &mut built)) {
            return built;
        }
        // EG-43: lists are taken over as a whole.
        let giver = |is_given: fn(&ExtensionPolicy) -> bool| match parent {
            Some(parent) if !is_given(&child.spec) => parent,
            _ => child,
        };
        for kind in [ExtensionKind::Wasm, ExtensionKind::Lua, ExtensionKind::DynamicModule] {
            let giver = match kind {
                ExtensionKind::Wasm => giver(|policy| has(policy, ExtensionKind::Wasm)),
                ExtensionKind::Lua => giver(|policy| has(policy, ExtensionKind::Lua)),
                _ => giver(|policy| has(policy, ExtensionKind::DynamicModule)),
            };
            for other in giver.spec.others.iter().filter(|other| other.kind == kind) {
                built.failures.extend(self.other(other));
            }
        }
        let giver = giver(|policy| !policy.ext_proc.is_empty());
        for (index, entry) in giver.spec.ext_proc.iter().enumerate() {
            match self.processor(child, giver, index, entry) {
                Ok(applied) => built.applied.push(applied),
                // An entry fails by its first problem (EG-50); the diagnostics have all of them.
                Err(problems) => built.failures.extend(problems.into_iter().take(1).map(|problem| {
                    let fail_open = entry.fail_open;
                    let kind = Some(ExtensionKind::ExtProc);
                    Failure { kind, message: problem.message, place: problem.place, fail_open }
                })),
            }
        }
        built.failures.sort_by_key(|failure| failure.kind);
        built
    }

    /// Whether an API server would have refused the policy (CF-13); what was wrong is reported already.
    fn is_refused(&self, policy: &Object<ExtensionPolicy>, built: &mut Built) -> bool {
        let entries = &policy.spec.ext_proc;
        let fail_open = !entries.is_empty() && entries.iter().all(|entry| entry.fail_open);
        built.failures.extend(policy.errors.iter().map(|error| Failure {
            kind: None,
            message: error.clone(),
            place: policy.meta.place.clone(),
            fail_open,
        }));
        !policy.errors.is_empty()
    }

    /// Extensions of other kinds are not run.
    fn other(&self, other: &OtherExtension) -> Option<Failure> {
        let message = format!("{:?} extensions are not supported by this gateway", other.kind);
        if other.fail_open {
            let help = "it is left out, as its failOpen asks for".to_owned();
            self.translator.diagnostics.warning(&other.place, message, Some(help));
            return None;
        }
        let help = "its routes answer 500: remove it, or set failOpen to true where that exists".to_owned();
        self.translator.diagnostics.error(&other.place, message.clone(), Some(help));
        Some(Failure { kind: Some(other.kind), message, place: other.place.clone(), fail_open: false })
    }

    fn processor(
        &self,
        policy: &Object<ExtensionPolicy>,
        giver: &Object<ExtensionPolicy>,
        index: usize,
        entry: &Entry,
    ) -> Result<Applied, Vec<Problem>> {
        let own = |name: &str, key: &crate::kubernetes::ObjectKey| {
            format!("{name}/{}/{}/extproc/{index}", key.namespace, key.name)
        };
        // EG-32
        let cluster_name = own("envoyextensionpolicy", &giver.meta.key).to_ascii_lowercase();
        let backends = Backends {
            translator: self.translator,
            configuration: self.configuration,
            policy: &giver.meta,
            gateway: self.gateway,
        };
        let server =
            Server { backends: &entry.backends, settings: &entry.settings, http2: true, place: &entry.place };
        let cluster = backends.cluster(cluster_name, &server).inspect_err(|problems| {
            for problem in problems {
                let Problem { place, message, help } = problem.clone();
                self.translator.diagnostics.error(&place, message, help);
            }
        })?;
        // Another gateway may reach the same processor otherwise.
        let cluster_name = self.translator.add_cluster(
            cluster,
            &self.gateway_name,
            entry.place.origin(Some(giver.reference().object_name())),
        );
        // EG-30
        let name = own("envoy.filters.http.ext_proc/envoyextensionpolicy", &policy.meta.key);
        let grpc_service = GrpcService {
            target: GrpcTarget::EnvoyGrpc(cluster_name),
            target_uri: None,
            authority: authority(&entry.backends, &giver.meta.key.namespace),
            initial_metadata: Vec::new(),
            max_receive_message_length: MAX_RECEIVE_MESSAGE_LENGTH,
            skip_envoy_headers: false,
            retry_policy: entry.settings.retry.clone(),
        };
        let settings = ExtProc { plan: Arc::new(plan(&name, entry)), grpc_service };
        Ok(Applied {
            processor: Arc::new(Processor {
                system: ENVOY_GATEWAY.name,
                position: Position {
                    zone: Zone::Middle,
                    order: [position(index, &self.gateway.filter_order), 0, 0, 0],
                },
                name,
                stat_prefix: String::new(),
                object: giver.reference(),
                place: entry.place.clone(),
            }),
            settings: Arc::new(settings),
            policy: policy.reference(),
            policy_place: policy.meta.place.clone(),
            sources: entry.sources.clone(),
        })
    }
}

fn has(policy: &ExtensionPolicy, kind: ExtensionKind) -> bool {
    policy.others.iter().any(|other| other.kind == kind)
}

/// `<name>.<namespace>:<port>` of the first backend (EG-31).
pub(super) fn authority(backends: &[BackendRef], namespace: &str) -> String {
    let Some(first) = backends.first() else { return String::new() };
    let namespace = first.namespace.as_deref().unwrap_or(namespace);
    match first.port {
        Some(port) => format!("{}.{namespace}:{port}", first.name),
        None => format!("{}.{namespace}", first.name),
    }
}

fn plan(name: &str, entry: &Entry) -> Plan {
    let mut plan = Plan::new(name);
    plan.processing_mode = entry.mode;
    plan.filter_processing_mode = entry.mode;
    plan.failure_mode_allow = entry.fail_open;
    plan.message_timeout = entry.message_timeout.unwrap_or(plan.message_timeout);
    plan.allow_mode_override = entry.allow_mode_override;
    plan.observability_mode = entry.observe;
    plan.status_on_error = entry.status_on_error.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    plan.metadata_options = entry.metadata.clone();
    plan.request_attributes = entry.request_attributes.clone();
    plan.response_attributes = entry.response_attributes.clone();
    plan
}

impl Built {
    /// Why routes answer 500 (EG-50): one failed extension that must not be left out is enough.
    pub(super) fn fatal(&self) -> Option<&Failure> {
        self.failures.iter().find(|failure| !failure.fail_open)
    }

    /// What the status says about it; `None` when all is well. For routes extensions stand in the order in which they are
    /// run; for gateways processors come first.
    pub(super) fn message(&self, on_route: bool) -> Option<String> {
        let mut failures: Vec<&Failure> = self.failures.iter().collect();
        if !on_route {
            failures.sort_by_key(|failure| (failure.kind != Some(ExtensionKind::ExtProc), failure.kind));
        }
        let mut lines: Vec<String> = Vec::new();
        let mut last: Option<Option<ExtensionKind>> = None;
        for failure in failures {
            match failure.kind {
                Some(kind) if last != Some(Some(kind)) => {
                    lines.push(format!("{kind:?}: {}", failure.message));
                }
                _ => lines.push(failure.message.clone()),
            }
            last = Some(failure.kind);
        }
        let mut message = lines.join("\n");
        // What an API server would say ends as it ends.
        if last.flatten().is_some() && !message.ends_with(|last: char| last.is_ascii_punctuation()) {
            message.push('.');
        }
        Some(message).filter(|message| !message.is_empty())
    }
}
