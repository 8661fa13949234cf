//! Which SecurityPolicy applies where, and what it comes to.

use std::{collections::HashMap, sync::Arc};

use http::StatusCode;
use serde_json::{Value as Json, json};
use tollgate_ir::ServerValidation;
use tollgate_model::{
    cluster::{EndpointAddress, UpstreamProtocol},
    cors::CorsPolicy,
    tls::{ServerNameIndication, SubjectAltNameMatcher},
};

use super::{
    Configuration, Objects, ProxySettings, SecurityPolicy,
    backends::{Backends, Problem, Server},
    filter_order::position_of,
    processors::authority,
    security_policy::{ExtAuth, Jwks, Jwt, Service},
    settings::BackendSettings,
    tls::{self, Peer},
};
use crate::{
    envoy::{read_filter, read_override},
    kubernetes::{
        Metadata, Object, ObjectKey, Place,
        status::{ObjectStatus, PolicyStatus},
    },
    policies::{Ancestors, AttachedTarget, Attachments, NotAttached, World, levels},
    translation::{AppliedFilter, Position, Replacement, Site, Translator, Zone, cluster, endpoint},
};

const JWT_AUTHN: &str = "envoy.filters.http.jwt_authn";
const EXT_AUTHZ: &str = "envoy.filters.http.ext_authz";
const RBAC: &str = "envoy.filters.http.rbac";
/// What requests need, in the filter of a policy.
const REQUIREMENT: &str = "policy";

/// Which SecurityPolicy applies where.
#[derive(Debug)]
pub(super) struct Security {
    attachments: Attachments,
    /// The oldest first.
    policies: Vec<Arc<Object<SecurityPolicy>>>,
    /// What became of the targets of each.
    targets: Vec<Vec<AttachedTarget>>,
    /// What each comes to on a gateway.
    built: HashMap<(usize, usize), Result<Vec<AppliedFilter>, Problem>>,
}

impl Security {
    pub(super) fn new(translator: &Translator<'_>, world: &World) -> Self {
        let policies = translator.store.of::<Objects>().security_policies.by_age();
        let policies: Vec<_> = policies.into_iter().map(Arc::clone).collect();
        let mut attachments = Attachments::default();
        let mut targets = Vec::new();
        for (index, policy) in policies.iter().enumerate() {
            let expanded = world.expand(&policy.spec.targets, &policy.meta, translator);
            let attached = attachments.attach_alone(index, expanded, world);
            for target in attached.iter().filter(|target| target.result == Err(NotAttached::Conflicted)) {
                let message =
                    format!("{} has no effect: an older one has {}", policy.reference(), target.target);
                translator.diagnostics.warning(&policy.meta.place, message, None);
            }
            targets.push(attached);
        }
        Self { attachments, policies, targets, built: HashMap::new() }
    }

    fn choose(&self, site: &Site<'_>) -> Option<usize> {
        self.attachments.most_specific(&levels(site)).map(|(policy, _)| policy)
    }

    /// What the policy of a rule says about other origins.
    pub(super) fn cors(&self, site: &Site<'_>) -> Option<Arc<CorsPolicy>> {
        self.policies[self.choose(site)?].spec.cors.clone()
    }

    /// The filters that the policy of a rule asks for.
    pub(super) fn filters(
        &mut self,
        site: &Site<'_>,
        gateway: usize,
        settings: &ProxySettings,
        configuration: &Configuration,
        translator: &Translator<'_>,
    ) -> Result<Vec<AppliedFilter>, Replacement> {
        let Some(index) = self.choose(site) else { return Ok(Vec::new()) };
        let policy = &self.policies[index];
        let built = self.built.entry((index, gateway)).or_insert_with(|| {
            let name = site.gateway.object.key().to_string();
            let scope = Scope { policy, settings, configuration, translator, gateway: name };
            scope.build().inspect_err(|Problem { message, help, place }| {
                translator.diagnostics.error(place, message.clone(), help.clone());
            })
        });
        built.clone().map_err(|problem| Replacement {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            body: "",
            reason: format!("{} is invalid: {}", policy.reference(), problem.message),
            place: problem.place,
        })
    }

    pub(super) fn statuses(&self, configuration: &Configuration) -> Vec<ObjectStatus> {
        let mut statuses = Vec::new();
        for (index, policy) in self.policies.iter().enumerate() {
            let mut ancestors = Ancestors::new(&policy.meta);
            let failed = self.built.iter().filter(|((built, _), _)| *built == index);
            let failed = failed.filter_map(|(_, built)| built.as_ref().err()).map(|problem| &problem.message);
            let failed = policy.errors.iter().chain(failed).min().cloned();
            for target in &self.targets[index] {
                for ancestor in &target.ancestors {
                    let Some(conditions) = ancestors.get(ancestor) else { continue };
                    let (accepted, reason, text) = verdict(target, failed.as_deref());
                    conditions.set("Accepted", accepted, reason, text, &policy.meta);
                }
            }
            if !ancestors.is_empty() {
                let ancestors = ancestors.finish(&configuration.controller_name);
                statuses.push(ObjectStatus::new(policy.reference(), PolicyStatus { ancestors }));
            }
        }
        statuses
    }
}

fn verdict(target: &AttachedTarget, failed: Option<&str>) -> (bool, &'static str, String) {
    let object = &target.target.object;
    match (target.result, failed) {
        (Err(NotAttached::Conflicted), _) => {
            let text = format!(
                "Unable to target {} {}, another SecurityPolicy has already attached to it",
                object.kind, object.name
            );
            (false, "Conflicted", text)
        }
        (Err(NotAttached::SectionNotFound), _) => {
            let section = target.target.section.as_deref().unwrap_or_default();
            (false, "TargetNotFound", format!("No section name {section} found for {object}"))
        }
        (Ok(()), Some(failed)) => (false, "Invalid", failed.to_owned()),
        (Ok(()), None) => (true, "Accepted", "Policy has been accepted.".to_owned()),
    }
}

/// What the filters of a policy are made from.
struct Scope<'a> {
    policy: &'a Object<SecurityPolicy>,
    settings: &'a ProxySettings,
    configuration: &'a Configuration,
    translator: &'a Translator<'a>,
    /// What sets the gateway apart from others.
    gateway: String,
}

impl Scope<'_> {
    fn build(&self) -> Result<Vec<AppliedFilter>, Problem> {
        let spec = &self.policy.spec;
        let mut filters = Vec::new();
        if let Some(jwt) = &spec.jwt {
            filters.push(self.jwt(jwt)?);
        }
        if let Some(service) = &spec.ext_auth {
            filters.push(self.ext_auth(service)?);
        }
        if let Some(said) = &spec.authorization {
            let settings = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"});
            let mut filter = self.filter(RBAC, RBAC.to_owned(), &settings, None)?;
            filter.said = said.clone();
            filters.push(filter);
        }
        Ok(filters)
    }

    fn meta(&self) -> &Metadata {
        &self.policy.meta
    }

    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { message: message.into(), help: None, place: self.meta().place.clone() }
    }

    fn key(&self) -> String {
        let ObjectKey { namespace, name } = &self.meta().key;
        format!("securitypolicy/{namespace}/{name}")
    }

    /// A filter that is off but where the policy applies.
    fn filter(
        &self,
        kind: &str,
        name: String,
        settings: &Json,
        said: Option<&Json>,
    ) -> Result<AppliedFilter, Problem> {
        let (files, options) = (self.translator.files, self.translator.options);
        let wrong = |error| self.problem(format!("{kind}: {error}"));
        let said = match said {
            Some(said) => read_override(said, files, options).map_err(wrong)?,
            None => tollgate_ir::Override::Enabled,
        };
        Ok(AppliedFilter {
            name: name.into(),
            position: Position {
                zone: Zone::Middle,
                order: [position_of(kind, 0, &self.settings.filter_order), 0, 0, 0],
            },
            settings: read_filter(settings, files, options).map_err(wrong)?,
            said,
            object: self.policy.reference(),
            place: self.meta().place.clone(),
        })
    }

    fn jwt(&self, jwt: &Jwt) -> Result<AppliedFilter, Problem> {
        let mut providers = serde_json::Map::new();
        let mut wanted = Vec::new();
        for (index, provider) in jwt.providers.iter().enumerate() {
            let mut settings = provider.settings.clone();
            match &provider.keys {
                Jwks::Inline(keys) => settings["local_jwks"] = json!({"inline_string": keys}),
                Jwks::ConfigMap(name, place) => {
                    settings["local_jwks"] = json!({"inline_string": self.keys_of(name, place)?});
                }
                Jwks::Remote(remote) => {
                    let name = format!("{}/jwt/{index}", self.key());
                    let cluster = if remote.backends.is_empty() {
                        self.server_of_uri(name, remote.https, &remote.host, remote.port, &remote.reach)?
                    } else {
                        let server = Server {
                            backends: &remote.backends,
                            settings: &remote.reach,
                            http2: false,
                            place: &remote.place,
                        };
                        self.server(name, &server)?
                    };
                    let mut keys = remote.settings.clone();
                    keys["http_uri"] = json!({"uri": remote.uri, "cluster": cluster, "timeout": "10s"});
                    settings["remote_jwks"] = keys;
                }
            }
            wanted.push(json!({"provider_name": provider.name}));
            providers.insert(provider.name.clone(), settings);
        }
        wanted.extend(jwt.otherwise.clone());
        let requirement = match wanted.len() {
            1 => wanted.swap_remove(0),
            _ => json!({"requires_any": {"requirements": wanted}}),
        };
        let settings = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": providers,
            "requirement_map": {REQUIREMENT: requirement},
        });
        let said = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
            "requirement_name": REQUIREMENT,
        });
        self.filter(JWT_AUTHN, format!("{JWT_AUTHN}/{}", self.key()), &settings, Some(&said))
    }

    /// The keys of a ConfigMap: those under `jwks`, else the first value.
    fn keys_of(&self, name: &str, place: &Place) -> Result<String, Problem> {
        let key = ObjectKey::new(&*self.meta().key.namespace, name);
        let problem = |message| Problem { message, help: None, place: place.clone() };
        let object = self.translator.store.core.config_maps.get(&key);
        let data = &object.ok_or_else(|| problem(format!("ConfigMap {key} not found")))?.spec.data;
        let keys = data.get("jwks").or_else(|| data.values().next()).cloned();
        keys.ok_or_else(|| problem(format!("JWKS data not found in ConfigMap {key}")))
    }

    fn ext_auth(&self, service: &ExtAuth) -> Result<AppliedFilter, Problem> {
        let grpc = matches!(service.service, Service::Grpc);
        let server = Server {
            backends: &service.backends,
            settings: &service.reach,
            http2: grpc,
            place: &service.place,
        };
        let cluster = self.server(format!("{}/extauth/0", self.key()), &server)?;
        let authority = authority(&service.backends, &self.meta().key.namespace);
        let mut settings = service.settings.clone();
        match &service.service {
            Service::Grpc => {
                settings["grpc_service"] = json!({
                    "envoy_grpc": {"cluster_name": cluster, "authority": authority},
                    "timeout": service.timeout,
                });
            }
            Service::Http { settings: of_http, path } => {
                let mut http = of_http.clone();
                let uri = format!("http://{authority}{path}");
                http["server_uri"] = json!({"uri": uri, "cluster": cluster, "timeout": service.timeout});
                settings["http_service"] = http;
            }
        }
        let said = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
            "check_settings": {"context_extensions": service.context_extensions},
        });
        self.filter(EXT_AUTHZ, format!("{EXT_AUTHZ}/{}", self.key()), &settings, Some(&said))
    }

    /// The cluster of a server that references lead to.
    fn server(&self, name: String, server: &Server<'_>) -> Result<String, Problem> {
        let backends = Backends {
            translator: self.translator,
            configuration: self.configuration,
            policy: self.meta(),
            gateway: self.settings,
        };
        let cluster = backends.cluster(name, server).map_err(|problems| {
            let first = problems.into_iter().next();
            first.unwrap_or_else(|| self.problem("no backendRefs found for external service"))
        })?;
        let origin = server.place.origin(Some(self.policy.reference().object_name()));
        Ok(self.translator.add_cluster(cluster, &self.gateway, origin))
    }

    /// The cluster of the server that a URI names. Its certificate is one that the operating system trusts.
    fn server_of_uri(
        &self,
        name: String,
        https: bool,
        host: &str,
        port: u16,
        reach: &BackendSettings,
    ) -> Result<String, Problem> {
        let address = match host.trim_matches(['[', ']']).parse() {
            Ok(address) => EndpointAddress::Socket(std::net::SocketAddr::new(address, port)),
            Err(_) => EndpointAddress::Dns { host: host.to_owned(), port },
        };
        let protocol = UpstreamProtocol::Http1 { enable_trailers: false };
        let mut built = cluster(name, vec![endpoint(address)], protocol);
        reach.apply(&mut built, self.settings.ip_family);
        if https {
            let trusted = self.translator.system_authorities();
            let trusted =
                trusted.ok_or_else(|| self.problem("the operating system trusts no certificate"))?;
            let names = vec![SubjectAltNameMatcher::DnsName(host.to_owned())];
            let peer = Peer {
                sni: ServerNameIndication::Fixed(host.to_owned()),
                validation: ServerValidation::Chain(self.translator.validation(&trusted, names)),
            };
            let tls = tls::settings(peer, None, &ProxySettings::default(), self.translator);
            built.tls = Some(Arc::new(tls.map_err(|error| self.problem(error))?));
        }
        let origin = self.meta().place.origin(Some(self.policy.reference().object_name()));
        Ok(self.translator.add_cluster(built, &self.gateway, origin))
    }
}
