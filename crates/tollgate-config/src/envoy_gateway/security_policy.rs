//! SecurityPolicy: what it says (6.1).

mod authorization;
mod cors;
mod ext_auth;
mod jwt;

use std::sync::Arc;

use tollgate_ir::Override;
use tollgate_model::cors::CorsPolicy;

use self::{authorization::read_authorization, cors::read_cors, ext_auth::read_ext_auth, jwt::read_jwt};
pub(super) use self::{
    ext_auth::{ExtAuth, Service},
    jwt::{Jwks, Jwt},
};
use super::{
    others::{NOT_LEFT_OUT, REFUSED},
    targets::read_targets,
};
use crate::{
    policies::Targets,
    schema::{Schema, Value, protects, read},
};

/// Who may make requests.
#[derive(Debug)]
pub(crate) struct SecurityPolicy {
    pub(super) targets: Targets,
    pub(super) cors: Option<Arc<CorsPolicy>>,
    pub(super) jwt: Option<Jwt>,
    pub(super) ext_auth: Option<ExtAuth>,
    /// What the filter `rbac` is told.
    pub(super) authorization: Option<Override>,
}

static SECURITY_POLICY: Schema = Schema {
    name: "SecurityPolicySpec",
    title: "",
    fields: &[
        read("targetRef", "", "Deprecated: one target."),
        read("targetRefs", "[]", "What the policy is attached to."),
        read("targetSelectors", "[]", "The same, by labels."),
        read("authorization", "", "Rules, the first one that matches counts."),
        read("cors", "", "Cross-origin resource sharing."),
        read("extAuth", "", "A service that is asked."),
        read("jwt", "", "Tokens that are wanted."),
        protects("mergeType", REFUSED),
        protects("apiKeyAuth", REFUSED),
        protects("basicAuth", REFUSED),
        protects("csrf", REFUSED),
        protects("oidc", REFUSED),
    ],
    unsupported: &[],
};

pub(super) fn read_security_policy(value: &Value<'_>) -> Option<SecurityPolicy> {
    let spec = value.message(&SECURITY_POLICY)?;
    spec.refuse_protections(NOT_LEFT_OUT);
    let jwt = spec.get("jwt").and_then(|jwt| read_jwt(&jwt));
    let providers: Vec<&str> = jwt.iter().flat_map(|jwt| &jwt.providers).map(|one| &*one.name).collect();
    Some(SecurityPolicy {
        targets: read_targets(&spec),
        cors: spec.get("cors").and_then(|cors| read_cors(&cors)),
        ext_auth: spec.get("extAuth").and_then(|service| read_ext_auth(&service)),
        authorization: spec.get("authorization").and_then(|rules| read_authorization(&rules, &providers)),
        jwt,
    })
}
