//! Policies say which requests pass.

use std::{net::IpAddr, sync::Arc};

use extproc::{
    Direction,
    messages::{Struct, Value},
};
use http::{HeaderMap, StatusCode};
use ipnet::IpNet;
use tollgate_model::{
    filter::{
        Rbac as Settings, RbacAction, RbacCondition as Condition, RbacEngine, RbacMetadataSource, RbacPolicy,
        RbacRules,
    },
    matching::StringMatcher,
    route::split_path,
};

use super::{Action, Context, Filter, FilterPlace};
use crate::{
    attributes::with_attributes,
    certificate,
    local_reply::LocalReply,
    stats::RbacMetric as Metric,
    stream_info::ResponseFlags,
    transaction::{chain::Part, core::Core},
};

/// Where the filter notes what it decided.
const NAMESPACE: &str = "envoy.filters.http.rbac";
/// Where it notes what the action to log found.
const COMMON_NAMESPACE: &str = "envoy.common";
const LOG_HINT: &str = "access_log_hint";

/// The filter at work on one request.
#[derive(Debug)]
pub(in crate::transaction) struct Rbac {
    settings: Arc<Settings>,
}

/// What rules say about a request.
struct Decision<'a> {
    allowed: bool,
    /// The policy that matched.
    policy: Option<&'a str>,
    /// Whether it is to be logged, if the rules say that.
    log: Option<bool>,
}

impl Rbac {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, _core: &Core) -> Self {
        Self { settings: Arc::clone(settings) }
    }

    /// Gives the answer to a request that does not pass.
    fn request(&self, cx: &mut Context<'_>) -> Option<LocalReply> {
        let settings = Arc::clone(&self.settings);
        let mut notes = Struct::default();
        if let Some(rules) = &settings.shadow_rules {
            let decision = decide(rules, cx.core);
            let metric = if decision.allowed { Metric::ShadowAllowed } else { Metric::ShadowDenied };
            self.tally(rules, &decision, metric, cx);
            note(&mut notes, rules, "shadow", &decision);
        }
        let refused = settings.rules.as_ref().and_then(|rules| {
            let decision = decide(rules, cx.core);
            let metric = if decision.allowed { Metric::Allowed } else { Metric::Denied };
            self.tally(rules, &decision, metric, cx);
            note(&mut notes, rules, "enforced", &decision);
            if let Some(hint) = decision.log {
                let hint = Struct { fields: [(LOG_HINT.to_owned(), Value::bool(hint))].into() };
                let _ = cx.core.info.metadata.set(COMMON_NAMESPACE, hint);
            }
            (!decision.allowed).then(|| refusal(decision.policy))
        });
        if !notes.fields.is_empty() {
            // Names of policies are not longer than what the metadata of a request may be.
            let _ = cx.core.info.metadata.set(NAMESPACE, notes);
        }
        refused
    }

    /// Counts a decision, by policy too where that is wanted.
    fn tally(&self, rules: &RbacRules, decision: &Decision<'_>, metric: Metric, cx: &Context<'_>) {
        let stats = &cx.core.configuration.stats;
        stats.count_filter(&rules.stat_prefix, metric, 1);
        if let (true, Some(policy)) = (self.settings.track_per_rule_stats, decision.policy) {
            let own = match &*rules.stat_prefix {
                "" => format!("policy.{policy}"),
                prefix => format!("{prefix}.policy.{policy}"),
            };
            stats.count_filter(&own, metric, 1);
        }
    }
}

/// Writes a decision down under the names that rules have.
fn note(notes: &mut Struct, rules: &RbacRules, kind: &str, decision: &Decision<'_>) {
    let prefix = &rules.stat_prefix;
    if let Some(policy) = decision.policy {
        notes.fields.insert(format!("{prefix}{kind}_effective_policy_id"), Value::string(policy));
    }
    let result = if decision.allowed { "allowed" } else { "denied" };
    notes.fields.insert(format!("{prefix}{kind}_engine_result"), Value::string(result));
}

fn refusal(policy: Option<&str>) -> LocalReply {
    // Details have no white space.
    let policy = policy.unwrap_or("none").replace(|letter: char| letter.is_ascii_whitespace(), "_");
    LocalReply {
        status: StatusCode::FORBIDDEN,
        fields: HeaderMap::new(),
        body: bytes::Bytes::from_static(b"RBAC: access denied"),
        grpc_status: None,
        details: format!("rbac_access_denied_matched_policy[{policy}]").into(),
        flags: ResponseFlags::default(),
    }
}

fn decide<'a>(rules: &'a RbacRules, core: &Core) -> Decision<'a> {
    let (action, policy) = match &rules.engine {
        RbacEngine::Policies { action, policies } => {
            let found = policies.iter().find(|(_, policy)| matches(policy, core));
            (*action, found.map(|(name, _)| name.as_str()))
        }
        RbacEngine::Matcher(matcher) => match matcher.find(core.match_facts()) {
            Some(verdict) => (verdict.action, Some(verdict.name.as_str())),
            None => (RbacAction::Allow, None),
        },
    };
    match action {
        RbacAction::Allow => Decision { allowed: policy.is_some(), policy, log: None },
        RbacAction::Deny => Decision { allowed: policy.is_none(), policy, log: None },
        RbacAction::Log => Decision { allowed: true, policy, log: Some(policy.is_some()) },
    }
}

fn matches(policy: &RbacPolicy, core: &Core) -> bool {
    policy.permissions.iter().any(|condition| holds(condition, core))
        && policy.principals.iter().any(|condition| holds(condition, core))
        && policy.condition.as_ref().is_none_or(|expression| {
            with_attributes(&core.info, &core.messages, |attributes| expression.holds(attributes))
        })
}

fn holds(condition: &Condition, core: &Core) -> bool {
    let connection = &core.info.connection;
    match condition {
        Condition::Any => true,
        Condition::And(all) => all.iter().all(|condition| holds(condition, core)),
        Condition::Or(all) => all.iter().any(|condition| holds(condition, core)),
        Condition::Not(inner) => !holds(inner, core),
        Condition::Header(matcher) => matcher.matches(&core.messages.request),
        Condition::UrlPath(matcher) => {
            let (path, _) = split_path(core.messages.request.path.as_bytes());
            let end = path.iter().position(|byte| *byte == b'#').unwrap_or(path.len());
            matcher.matches(&path[..end])
        }
        Condition::Metadata { source: RbacMetadataSource::Dynamic, matcher } => {
            let found = matcher.find(|name| core.info.metadata.namespace(name));
            found.is_some_and(|value| matcher.matches(value))
        }
        Condition::Metadata { source: RbacMetadataSource::Route, matcher } => {
            core.info.route.as_ref().is_some_and(|route| {
                let found = matcher.find(|name| route.route.metadata.filter_metadata.get(name));
                found.is_some_and(|value| matcher.matches(value))
            })
        }
        Condition::DestinationIp(range) => is_in(range, connection.local_address.map(|own| own.ip())),
        Condition::DestinationPort(port) => connection.local_address.is_some_and(|own| own.port() == *port),
        Condition::DestinationPorts(ports) => {
            connection.local_address.is_some_and(|own| ports.contains(&u32::from(own.port())))
        }
        Condition::RequestedServerName(matcher) => {
            let name = connection.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
            matcher.matches(name.unwrap_or_default().as_bytes())
        }
        Condition::DirectRemoteIp(range) | Condition::SourceIp(range) => {
            is_in(range, connection.remote_address.map(|peer| peer.ip()))
        }
        Condition::RemoteIp(range) => is_in(range, core.info.remote_address.map(|client| client.ip())),
        Condition::Authenticated(name) => match (&connection.tls, name) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(tls), Some(matcher)) => has_name(tls.peer_certificate.as_deref(), matcher),
        },
    }
}

/// A client that has no address, on a Unix socket, is in no range.
fn is_in(range: &IpNet, address: Option<IpAddr>) -> bool {
    address.is_some_and(|address| range.contains(&address.to_canonical()) || range.contains(&address))
}

/// Whether one of the names of a certificate passes. Without a certificate the subject is empty.
fn has_name(presented: Option<&[u8]>, matcher: &StringMatcher) -> bool {
    let Some(presented) = presented else { return matcher.matches(b"") };
    certificate::uris(presented).iter().any(|name| matcher.matches(name.as_bytes()))
        || certificate::dns_names(presented).iter().any(|name| matcher.matches(name.as_bytes()))
        || matcher.matches(certificate::subject(presented).unwrap_or_default().as_bytes())
}

impl Filter for Rbac {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        if direction == Direction::Request
            && let Some(reply) = self.request(cx)
        {
            return Some(Action::Reply(Box::new(reply)));
        }
        Some(Action::Forward(direction, Part::Headers { end_stream }))
    }
}
