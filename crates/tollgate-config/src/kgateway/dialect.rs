//! What policies of kgateway mean for rules (4.5, 4.8).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use extproc::{Plan, ProcessingMode};
use http::StatusCode;
use tollgate_ir::ExtProc;

use super::{
    GROUP,
    attachment::{Attached, is_policy},
    backend::destination,
    policy::ExtProcPolicy,
    processor::Processors,
    status,
};
use crate::{
    gateway_api::Referrer,
    kubernetes::{
        ObjectKey, ObjectRef, Place,
        status::{ObjectStatus, ParentReference},
    },
    policies::PolicyIndex,
    routing::{BackendReference, ExtensionRef},
    translation::{
        Applied, BackendError, Destination, Dialect, Gateway, Replacement, RuleExtensions, Site, Translator,
    },
};

/// KG-50
const REPLACED: &str = "invalid route configuration detected and replaced with a direct response.";

/// What policies of kgateway mean for rules.
pub(super) struct Kgateway<'a> {
    translator: &'a Translator<'a>,
    attached: Attached,
    processors: Processors,
    /// What is wrong with each policy.
    errors: Vec<Option<String>>,
    /// Where each policy was seen: by Gateway, whether it was in force somewhere and whether another took its place.
    pub(super) seen: BTreeMap<(PolicyIndex, ParentReference), Seen>,
}

/// What became of a policy at a Gateway.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen {
    pub(super) in_force: bool,
    pub(super) overridden: bool,
}

/// What applies to requests so far: modes of the providers that run.
type Providers = BTreeMap<ObjectKey, Enabled>;

/// A provider that a policy turned on.
#[derive(Debug, Clone)]
struct Enabled {
    policy: PolicyIndex,
    mode: Option<(ProcessingMode, Place)>,
}

impl<'a> Kgateway<'a> {
    /// Reads all policies and finds out what is wrong with them.
    pub(super) fn new(translator: &'a Translator<'a>, gateways: &[Gateway]) -> Self {
        let attached = Attached::new(translator, gateways);
        let mut processors = Processors::default();
        let errors = (0..attached.policies.len())
            .map(|index| find_error(index, &attached, &mut processors, translator))
            .collect();
        Self { translator, attached, processors, errors, seen: BTreeMap::new() }
    }

    /// Applies the policies of a level to what comes from above. Gives whether everything is turned off.
    fn apply_level(
        &mut self,
        level: &[PolicyIndex],
        gateway: &ParentReference,
        providers: &mut Providers,
    ) -> bool {
        let mut disabled = false;
        let mut combined: Vec<PolicyIndex> = Vec::new();
        for index in level {
            let Some(ext_proc) = &self.attached.policies[*index].spec.ext_proc else {
                self.seen.entry((*index, gateway.clone())).or_default().in_force = true;
                continue;
            };
            let seen = self.seen.entry((*index, gateway.clone())).or_default();
            // KG-21: of the policies of a level one has its extProc, KG-22: unless they are combined.
            if !combined.is_empty() && !self.translator.options.kgateway_deep_merge {
                seen.overridden = true;
                continue;
            }
            match ext_proc {
                ExtProcPolicy::Disable => {
                    disabled = true;
                    combined.push(*index);
                }
                ExtProcPolicy::Extension { name, namespace, mode, .. } => {
                    let own = &self.attached.policies[*index].meta.key.namespace;
                    let key = ObjectKey::new(namespace.as_deref().unwrap_or(own), &**name);
                    // KG-20: the more specific level has the last word, within one the first policy.
                    let of_this_level =
                        providers.get(&key).is_some_and(|known| level.contains(&known.policy));
                    if of_this_level {
                        seen.overridden = true;
                    } else {
                        providers.insert(key, Enabled { policy: *index, mode: mode.clone() });
                        combined.push(*index);
                    }
                }
            }
        }
        for index in &combined {
            let seen = self.seen.entry((*index, gateway.clone())).or_default();
            seen.in_force = true;
            seen.overridden |= combined.len() > 1;
        }
        disabled
    }

    /// The first thing that is wrong with one of the policies; merged ones taint as well (KG-52).
    fn taint<'i>(&self, mut policies: impl Iterator<Item = &'i PolicyIndex>) -> Option<Replacement> {
        policies.find_map(|index| {
            let error = self.errors[*index].as_ref()?;
            let policy = &self.attached.policies[*index];
            let key = &policy.meta.key;
            let reason = format!("{GROUP}/{}/{}/{}: {error}", policy.meta.kind, key.namespace, key.name);
            Some(replacement(reason, policy.meta.place.clone()))
        })
    }

    fn applied(&mut self, providers: &Providers) -> Vec<Applied> {
        let mut all = Vec::new();
        for (key, Enabled { policy, mode }) in providers {
            // What cannot be had is an error of its policy, which has been looked at.
            let Ok(built) = self.processors.get(key, self.translator) else { continue };
            let policy = &self.attached.policies[*policy];
            let mut sources = self
                .translator
                .store
                .of::<crate::kgateway::Objects>()
                .extensions
                .get(key)
                .and_then(|extension| extension.spec.provider.as_ref())
                .map(|provider| provider.sources.clone())
                .unwrap_or_default();
            let mut settings = Arc::clone(&built.settings);
            if let Some((mode, place)) = mode {
                let mut plan = Plan::clone(&settings.plan);
                plan.processing_mode = *mode;
                settings =
                    Arc::new(ExtProc { plan: Arc::new(plan), grpc_service: settings.grpc_service.clone() });
                sources.insert("processing_mode", place.clone());
            }
            all.push(Applied {
                processor: built.processor.clone(),
                settings,
                policy: policy.reference(),
                policy_place: policy.meta.place.clone(),
                sources,
            });
        }
        all
    }

    /// The policies that filters name; or what is answered because one of them is not there (KG-51).
    fn of_filters(&self, filters: &[ExtensionRef], namespace: &str) -> Result<Vec<PolicyIndex>, Replacement> {
        let ours = filters.iter().filter(|filter| is_policy(filter));
        ours.map(|filter| {
            self.attached.of_filter(filter, namespace).ok_or_else(|| {
                let key = ObjectKey::new(namespace, &*filter.name);
                let reason = format!("{GROUP}/{}/{key}: policy not found", filter.kind);
                self.translator.diagnostics.error(
                    &filter.place,
                    format!("{} {key} not found", filter.kind),
                    Some("the rule answers 500 until there is one".to_owned()),
                );
                replacement(reason, filter.place.clone())
            })
        })
        .collect()
    }
}

impl Dialect for Kgateway<'_> {
    fn claims(&self, extension: &ExtensionRef) -> bool {
        is_policy(extension)
    }

    fn extend(&mut self, site: &Site<'_>) -> RuleExtensions {
        let mut extensions = RuleExtensions::default();
        let namespace = &site.attached.route.object.namespace;
        let rule = site.rule();
        let filters = match self.of_filters(&rule.extension_refs, namespace) {
            Ok(filters) => filters,
            Err(replacement) => return RuleExtensions { replaced: Some(replacement), ..extensions },
        };
        if self.attached.policies.is_empty() {
            return extensions;
        }
        let levels = self.attached.levels(site, filters);
        let ancestor = ParentReference::to(&site.gateway.object);
        let mut providers = Providers::new();
        let mut disabled = false;
        for level in [&levels.gateway, &levels.listener, &levels.route] {
            disabled |= self.apply_level(level, &ancestor, &mut providers);
        }
        let all = [&levels.gateway, &levels.listener, &levels.route].into_iter().flatten();
        extensions.replaced = self.taint(all);
        // KG-23
        let inherited = if disabled { Providers::new() } else { providers };
        for (index, backend) in rule.backends.iter().enumerate() {
            let of_backend = match self.of_filters(&backend.extension_refs, namespace) {
                Ok(policies) if policies.is_empty() => continue,
                Ok(policies) => policies,
                Err(replacement) => {
                    extensions.replaced.get_or_insert(replacement);
                    continue;
                }
            };
            // KG-12
            let mut providers = inherited.clone();
            let off = self.apply_level(&of_backend, &ancestor, &mut providers);
            if extensions.replaced.is_none() {
                extensions.replaced = self.taint(of_backend.iter());
            }
            let applied = if off || disabled { Vec::new() } else { self.applied(&providers) };
            extensions.backends.insert(index, applied);
        }
        extensions.processors = self.applied(&inherited);
        extensions
    }

    fn backend(
        &self,
        reference: &BackendReference,
        _: &Gateway,
    ) -> Option<Result<Destination, BackendError>> {
        destination(reference, self.translator)
    }

    fn statuses(self: Box<Self>) -> Vec<ObjectStatus> {
        let Self { translator, attached, mut processors, errors, seen } = *self;
        let mut all = status::extensions(translator, &mut processors);
        let mut by_policy: HashMap<PolicyIndex, Vec<(ParentReference, Seen)>> = HashMap::new();
        for ((index, gateway), seen) in seen {
            by_policy.entry(index).or_default().push((gateway, seen));
        }
        all.extend(attached.policies.iter().enumerate().map(|(index, policy)| {
            let seen = by_policy.remove(&index).unwrap_or_default();
            status::policy(policy, errors[index].as_deref(), seen)
        }));
        all
    }
}

fn replacement(reason: String, place: Place) -> Replacement {
    Replacement { status: StatusCode::INTERNAL_SERVER_ERROR, body: REPLACED, reason, place }
}

/// What is wrong with a policy, if something is.
fn find_error(
    index: PolicyIndex,
    attached: &Attached,
    processors: &mut Processors,
    translator: &Translator<'_>,
) -> Option<String> {
    let policy = &attached.policies[index];
    if let Some(error) = policy.errors.first() {
        return Some(error.clone());
    }
    let Some(ExtProcPolicy::Extension { name, namespace, place, .. }) = &policy.spec.ext_proc else {
        return None;
    };
    let own = &policy.meta.key.namespace;
    let key = ObjectKey::new(namespace.as_deref().unwrap_or(own), &**name);
    let report = |error: String| {
        translator.diagnostics.error(place, error.clone(), None);
        Some(error)
    };
    let extension = ObjectRef::new(GROUP, "GatewayExtension", &key);
    let error = processors.get(&key, translator).err();
    // KG-43
    let from = Referrer { group: GROUP, kind: "TrafficPolicy", namespace: own };
    if error.is_none() && !translator.grants.permit(from, &extension) {
        return report(format!("{extension}: missing reference grant"));
    }
    error.and_then(report)
}
