//! TLS towards backends by BackendTLSPolicies (EG-60 to EG-66).

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use thiserror::Error;
use tollgate_ir::{ServerValidation, UpstreamTlsContext};
use tollgate_model::tls::{ServerNameIndication, SubjectAltNameMatcher};

use super::{Authorities, CertificateError, Translator, plain_tls};
use crate::{
    gateway_api::BackendTlsPolicy,
    kubernetes::{
        Object, ObjectRef, ObjectStore,
        status::{AncestorStatus, Conditions, ObjectStatus, ParentReference, PolicyStatus},
    },
};

/// What a policy asks of a backend.
#[derive(Debug, Clone)]
pub(crate) struct BackendTls {
    /// Server name to send.
    pub(crate) sni: String,
    pub(crate) validation: ServerValidation,
}

/// Why a policy cannot be used: connections must fail then (EG-63).
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{message}")]
pub(crate) struct BackendTlsError {
    pub(crate) policy: ObjectRef,
    pub(crate) message: String,
}

/// All policies, by what they are for, and who uses them.
#[derive(Debug, Default)]
pub(super) struct TlsPolicies {
    /// By target and section; the oldest policy first.
    by_target: HashMap<(ObjectRef, Option<String>), Vec<ObjectRef>>,
    uses: RefCell<Uses>,
}

/// Users of policies, with the policy that one has lost to.
type Uses = BTreeMap<ObjectRef, BTreeMap<(ParentReference, String), Option<ObjectRef>>>;

impl TlsPolicies {
    pub(super) fn new(store: &ObjectStore) -> Self {
        let mut by_target: HashMap<_, Vec<ObjectRef>> = HashMap::new();
        for policy in store.of::<crate::gateway_api::Objects>().backend_tls_policies.by_age() {
            for target in &policy.spec.targets {
                let policies = by_target.entry((target.object.clone(), target.section.clone())).or_default();
                policies.push(policy.reference());
            }
        }
        Self { by_target, uses: RefCell::default() }
    }

    /// The policy for a section of a backend: that of the section, else that of the whole; the oldest of several (EG-62).
    fn choose(&self, target: &ObjectRef, section: Option<&str>) -> Option<&[ObjectRef]> {
        if self.by_target.is_empty() {
            return None;
        }
        let of_section =
            section.and_then(|section| self.by_target.get(&(target.clone(), Some(section.to_owned()))));
        of_section.or_else(|| self.by_target.get(&(target.clone(), None))).map(Vec::as_slice)
    }
}

/// What the certificates of a policy are.
struct Trusted {
    authorities: Option<Authorities>,
    problems: Vec<CertificateError>,
}

impl Translator<'_> {
    /// TLS to a processor: used when a BackendTLSPolicy says so, for `user` (CF-33, KG-42).
    ///
    /// # Errors
    /// Why the policy is no good; then there must be no connection (EG-63).
    pub(crate) fn processor_tls(
        &self,
        target: &ObjectRef,
        section: Option<&str>,
        user: &ObjectRef,
        controller: &str,
    ) -> Result<Option<Arc<UpstreamTlsContext>>, String> {
        let Some(policy) = self.backend_tls(target, section, &ParentReference::to(user), controller) else {
            return Ok(None);
        };
        let policy = policy.map_err(|error| format!("{}: {}", error.policy, error.message))?;
        Ok(Some(Arc::new(UpstreamTlsContext {
            sni: ServerNameIndication::Fixed(policy.sni),
            validation: policy.validation,
            alpn_protocols: vec!["h2".to_owned()],
            ..plain_tls()
        })))
    }

    /// TLS towards a backend; `None` = nobody asks for it. `section` is the name of a service's port, or the number of a
    /// port of another backend. The use is noted for the status of the policy: by `ancestor`, written by `controller`.
    pub(crate) fn backend_tls(
        &self,
        target: &ObjectRef,
        section: Option<&str>,
        ancestor: &ParentReference,
        controller: &str,
    ) -> Option<Result<BackendTls, BackendTlsError>> {
        let [winner, losers @ ..] = self.tls_policies.choose(target, section)? else { return None };
        let mut uses = self.tls_policies.uses.borrow_mut();
        let user = (ancestor.clone(), controller.to_owned());
        uses.entry(winner.clone()).or_default().insert(user.clone(), None);
        for loser in losers {
            let users = uses.entry(loser.clone()).or_default();
            users.entry(user.clone()).or_insert_with(|| Some(winner.clone()));
        }
        let policy =
            self.store.of::<crate::gateway_api::Objects>().backend_tls_policies.get(&winner.key())?;
        let known = self.cache.validations.borrow().get(winner).cloned();
        let validation = known.unwrap_or_else(|| {
            let validation = self.server_validation(policy);
            self.cache.validations.borrow_mut().insert(winner.clone(), validation.clone());
            validation
        });
        Some(match validation {
            Ok(validation) => Ok(BackendTls { sni: policy.spec.hostname.clone(), validation }),
            Err(message) => Err(BackendTlsError { policy: winner.clone(), message }),
        })
    }

    fn server_validation(&self, policy: &Object<BackendTlsPolicy>) -> Result<ServerValidation, String> {
        if let Some(error) = policy.errors.first() {
            return Err(error.clone());
        }
        let Trusted { authorities, problems } = self.trusted(policy);
        let authorities = authorities.ok_or_else(|| match problems.first() {
            Some(problem) => problem.to_string(),
            None => "no valid CA certificate found in referenced resources".to_owned(),
        })?;
        let names = &policy.spec.subject_alt_names;
        let subject_alt_names = match names.is_empty() {
            true => vec![SubjectAltNameMatcher::DnsName(policy.spec.hostname.clone())],
            false => names.clone(),
        };
        Ok(ServerValidation::Chain(self.validation(&authorities, subject_alt_names)))
    }

    /// The certificates of every reference that can be used (EG-65).
    fn trusted(&self, policy: &Object<BackendTlsPolicy>) -> Trusted {
        if policy.spec.system_ca {
            return Trusted { authorities: self.system_authorities(), problems: Vec::new() };
        }
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for reference in &policy.spec.ca_certificates {
            match self.ca_certificates(&policy.meta.key.namespace, reference) {
                Ok(authorities) => found.push(authorities),
                Err(problem) => problems.push(problem),
            }
        }
        Trusted { authorities: Authorities::union(found), problems }
    }

    /// The statuses of all policies, and what is wrong with them.
    pub(super) fn backend_tls_statuses(&self) -> Vec<ObjectStatus> {
        let uses = self.tls_policies.uses.borrow();
        let policies = self.store.of::<crate::gateway_api::Objects>().backend_tls_policies.iter();
        policies
            .map(|policy| {
                let reference = policy.reference();
                let sound = self.policy_conditions(policy);
                let users = uses.get(&reference);
                if users.is_none() && policy.errors.is_empty() {
                    let message = "no route and no processor uses a backend that this policy targets";
                    self.diagnostics.info(&policy.meta.place, message, None);
                }
                let ancestors =
                    users.into_iter().flatten().take(16).map(|((ancestor, controller), lost_to)| {
                        let mut conditions = sound.clone();
                        if let Some(winner) = lost_to {
                            let message = format!("Policy conflicts with BackendTLSPolicy {}.", winner.key());
                            conditions.set("Accepted", false, "Conflicted", message, &policy.meta);
                        }
                        AncestorStatus {
                            ancestor_ref: ancestor.clone(),
                            controller_name: controller.clone(),
                            conditions,
                        }
                    });
                let ancestors = ancestors.collect();
                ObjectStatus::new(reference, PolicyStatus { ancestors })
            })
            .collect()
    }

    fn policy_conditions(&self, policy: &Object<BackendTlsPolicy>) -> Conditions {
        let meta = &policy.meta;
        let mut conditions = Conditions::default();
        if !policy.errors.is_empty() {
            conditions.set("Accepted", false, "Invalid", policy.errors.join("\n"), meta);
            return conditions;
        }
        let Trusted { authorities, problems } = self.trusted(policy);
        let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        match problems.contains(&CertificateError::UnsupportedKind) {
            _ if problems.is_empty() => {
                conditions.set(
                    "ResolvedRefs",
                    true,
                    "ResolvedRefs",
                    "Resolved all the Object references.",
                    meta,
                );
            }
            true => conditions.set("ResolvedRefs", false, "InvalidKind", &*text, meta),
            false => conditions.set("ResolvedRefs", false, "InvalidCACertificateRef", &*text, meta),
        }
        match authorities {
            Some(_) => conditions.set("Accepted", true, "Accepted", "Policy has been accepted.", meta),
            None => {
                let message = "no valid CA certificate found in referenced resources";
                let message = if text.is_empty() { message } else { &*text };
                conditions.set("Accepted", false, "NoValidCACertificate", message, meta);
            }
        }
        for problem in &problems {
            let place = &policy.spec.validation_place;
            self.diagnostics.error(place, problem.to_string(), None);
        }
        conditions
    }
}
