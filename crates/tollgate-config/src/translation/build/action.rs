//! What the routes of a rule do.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use tollgate_ir::{Action, ClusterSpecifier, PerFilter, RouteAction, WeightedCluster};
use tollgate_model::{
    format::Format,
    header::{AppendAction, HeaderAddition, HeaderMutations},
    route::{
        DirectResponse, HostRewrite, PathRewrite, RedirectAction, RedirectPort, RequestMirrorPolicy,
        RetryBackOff, RetryPolicy, RouteMatch, SessionPersistence, WeightedAction,
    },
};

use super::{
    Builder,
    chain::Chain,
    filters::Filters as ChainFilters,
    rules::{RuleSite, not_supported},
};
use crate::{
    kubernetes::status::ParentReference,
    routing::{Filters, HeaderChanges, Match, PortOfRedirect, Redirect, Retry, Rule, Timeouts},
    translation::{
        AttachedRoute, BackendError, Controller, Gateway, Problem, Referring, Replacement, Route,
        settings::WEBSOCKET,
    },
};

/// Everything that the routes of a rule have in common.
pub(super) struct Prepared {
    pub(super) filters: PerFilter,
    does: Does,
    changes: Changes,
}

/// What is done with requests.
enum Does {
    Answer { status: StatusCode, body: Bytes },
    Redirect { redirect: Redirect, port: u16 },
    Forward(Box<Forward>),
}

/// How requests are forwarded.
struct Forward {
    shares: Vec<Share>,
    /// The answer of shares that lead nowhere.
    unusable: StatusCode,
    path: Option<PathRewrite>,
    host: Option<String>,
    append_x_forwarded_host: bool,
    timeout: Option<Duration>,
    /// Instead of the connection manager's; the inner `None` = no limit.
    idle_timeout: Option<Option<Duration>>,
    retry: Option<Arc<RetryPolicy>>,
    mirrors: Vec<RequestMirrorPolicy>,
    session_persistence: Option<SessionPersistence>,
}

/// A share of the requests.
struct Share {
    /// `None` = the backend cannot be used.
    cluster: Option<String>,
    weight: u32,
    changes: Changes,
    redirect: Option<(Redirect, u16)>,
    path: Option<PathRewrite>,
    host: Option<String>,
    /// What is different from the route's.
    filters: PerFilter,
    /// WebSockets are spoken with it.
    websocket: bool,
    /// It has something of its own.
    special: bool,
}

/// Changes of headers, with formats as the controller has them.
#[derive(Clone, Default)]
struct Changes {
    request: HeaderChanges,
    response: HeaderChanges,
    literal: bool,
}

impl Builder<'_, '_> {
    /// Prepares the routes of a rule, and notes how the rule fares.
    pub(super) fn prepare(
        &mut self,
        chain: &Chain<'_>,
        site: &RuleSite<'_>,
        filters: &ChainFilters,
    ) -> Prepared {
        let rule = &*site.rule;
        let controller = chain.gateway.controller;
        let mut unresolved = site.unresolved.clone();
        // Backends are looked at in any case: the status tells of all of them.
        let shares = self.shares(chain, site, filters, &mut unresolved);
        let mirrors = self.mirrors(site, &mut unresolved);
        self.note(site, unresolved);
        if let Some(Replacement { status, body, .. }) = &site.replaced {
            return Prepared {
                filters: PerFilter::default(),
                does: Does::Answer { status: *status, body: Bytes::from_static(body.as_bytes()) },
                changes: Changes::default(),
            };
        }
        let unusable = site.attached.route.api.unusable_backend;
        let total: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
        let does = match &rule.filters.redirect {
            Some(redirect) => Does::Redirect { redirect: redirect.clone(), port: chain.port },
            None if let Some((status, body)) = &rule.filters.direct_response => {
                Does::Answer { status: *status, body: body.clone() }
            }
            None if total == 0 => Does::Answer { status: unusable, body: Bytes::new() },
            None => Does::Forward(Box::new(Forward {
                shares,
                unusable,
                path: rule.filters.rewrite_path.clone(),
                host: rule.filters.rewrite_host.clone(),
                append_x_forwarded_host: controller.defaults.append_x_forwarded_host,
                timeout: request_timeout(rule, controller).unwrap_or_else(|| {
                    (controller.defaults.request_timeout)(site.attached.route.object.kind == "GRPCRoute")
                }),
                idle_timeout: idle_timeout(rule, controller),
                retry: retry_policy(rule, controller),
                mirrors,
                session_persistence: rule.session_persistence.clone(),
            })),
        };
        Prepared {
            filters: filters.overrides(rule.filters.cors.as_ref(), &site.processors, &site.filters),
            does,
            changes: Changes::of(&rule.filters, controller),
        }
    }

    fn shares(
        &self,
        chain: &Chain<'_>,
        site: &RuleSite<'_>,
        filters: &ChainFilters,
        unresolved: &mut Option<Problem>,
    ) -> Vec<Share> {
        let rule = &*site.rule;
        let mut shares = Vec::with_capacity(rule.backends.len());
        for (index, backend) in rule.backends.iter().enumerate() {
            let referring = self.referring(site, ("backend", index));
            let mut found = self.translator.route_backend(&backend.reference, referring, &self.dialects);
            if let Some(extension) = self.unclaimed(&backend.extension_refs) {
                found = Err(BackendError::Invalid(not_supported(&extension).reason));
            }
            if let Err(error) = &found {
                self.translator.diagnostics.error(&backend.reference.place, error.to_string(), None);
                unresolved.get_or_insert_with(|| problem(error, referring));
            }
            if backend.weight == 0 {
                continue;
            }
            let own = &backend.filters;
            let changes = Changes::of(own, chain.gateway.controller);
            let processors = site.backends.get(&index);
            let special = processors.is_some()
                || own.redirect.is_some()
                || own.rewrite_host.is_some()
                || own.rewrite_path.is_some()
                || !changes.is_empty();
            shares.push(Share {
                websocket: found.as_ref().is_ok_and(|found| found.websocket),
                cluster: found.ok().map(|found| found.cluster),
                weight: backend.weight,
                changes,
                redirect: own.redirect.clone().map(|redirect| (redirect, chain.port)),
                path: own.rewrite_path.clone(),
                host: own.rewrite_host.clone(),
                filters: processors
                    .map(|processors| filters.instead(processors, &site.processors))
                    .unwrap_or_default(),
                special,
            });
        }
        shares
    }

    fn mirrors(&self, site: &RuleSite<'_>, unresolved: &mut Option<Problem>) -> Vec<RequestMirrorPolicy> {
        let rule = &*site.rule;
        let mut mirrors = Vec::new();
        for (index, mirror) in rule.filters.mirrors.iter().enumerate() {
            let referring = self.referring(site, ("mirror", index));
            match self.translator.route_backend(&mirror.reference, referring, &self.dialects) {
                Ok(found) => mirrors.push(RequestMirrorPolicy {
                    fraction: mirror.fraction,
                    ..RequestMirrorPolicy::new(found.cluster)
                }),
                Err(error) => {
                    self.translator.diagnostics.error(&mirror.reference.place, error.to_string(), None);
                    unresolved.get_or_insert_with(|| problem(&error, referring));
                }
            }
        }
        mirrors
    }

    fn referring<'s>(&self, site: &'s RuleSite<'_>, role: (&'static str, usize)) -> Referring<'s> {
        let AttachedRoute { route, parent, .. } = site.attached;
        Referring { gateway: site.gateway, route, parent, rule: site.rule_index, role }
    }

    /// Looks at the references of a route that no listener serves, for its status.
    pub(super) fn note_references(&mut self, gateway: &Gateway, route: &Route, parent: &ParentReference) {
        let mut unresolved = None;
        for (rule, of_rule) in route.rules.iter().enumerate().filter(|(_, rule)| rule.invalid.is_none()) {
            let backends = of_rule.backends.iter().map(|backend| &backend.reference).enumerate();
            let mirrors = of_rule.filters.mirrors.iter().map(|mirror| &mirror.reference).enumerate();
            let all = backends.map(|found| ("backend", found)).chain(mirrors.map(|found| ("mirror", found)));
            for (role, (index, reference)) in all {
                let referring = Referring { gateway, route, parent, rule, role: (role, index) };
                let found = self.translator.permitted_destination(reference, referring, &self.dialects);
                if let Err(error) = found {
                    self.translator.diagnostics.error(&reference.place, error.to_string(), None);
                    unresolved.get_or_insert_with(|| problem(&error, referring));
                }
            }
        }
        let outcomes = self.built.outcomes.entry(route.object.clone()).or_default();
        let outcome = outcomes.entry(parent.clone()).or_default();
        if outcome.unresolved.is_none() {
            outcome.unresolved = unresolved;
        }
    }

    /// Notes for the status how a rule fares.
    fn note(&mut self, site: &RuleSite<'_>, unresolved: Option<Problem>) {
        let outcomes = self.built.outcomes.entry(site.attached.route.object.clone()).or_default();
        let outcome = outcomes.entry(site.attached.parent.clone()).or_default();
        outcome.rules = site.attached.route.rules.len();
        if outcome.unresolved.is_none() {
            outcome.unresolved = unresolved;
        }
        if let Some(replaced) = &site.replaced {
            outcome.replaced.insert(site.rule_index, replaced.reason.clone());
            let message = format!("this rule answers {}: {}", replaced.status.as_u16(), replaced.reason);
            let place = &site.attached.route.rules[site.rule_index].place;
            let help = Some(format!("fix {}", replaced.place));
            self.translator.diagnostics.consequence(place, message, help, &replaced.place);
        }
    }
}

impl Prepared {
    pub(super) fn action(&self) -> Action {
        match &self.does {
            Does::Answer { status, body } => {
                Action::DirectResponse(DirectResponse::new(*status, body.clone()))
            }
            Does::Redirect { redirect, port } => Action::Redirect(Box::new(redirect_action(redirect, *port))),
            Does::Forward(forward) => forward.action(),
        }
    }

    pub(super) fn headers(&self) -> HeaderMutations {
        self.changes.mutations()
    }
}

impl Forward {
    fn action(&self) -> Action {
        let cluster = match self.shares.as_slice() {
            [Share { cluster: Some(cluster), special: false, .. }] => {
                ClusterSpecifier::Cluster(cluster.clone())
            }
            [Share { cluster: None, .. }] => {
                return Action::DirectResponse(answer(self.unusable));
            }
            shares => ClusterSpecifier::WeightedClusters(
                shares.iter().map(|share| share.weighted(self.unusable)).collect(),
            ),
        };
        Action::Route(Box::new(RouteAction {
            cluster_not_found_response_code: StatusCode::INTERNAL_SERVER_ERROR,
            path_rewrite: self.path.clone(),
            host_rewrite: self.host.clone().map(HostRewrite::Literal),
            append_x_forwarded_host: self.append_x_forwarded_host,
            timeout: self.timeout,
            idle_timeout: self.idle_timeout,
            upgrade_configs: if self.shares.iter().any(|share| share.websocket) {
                vec![(WEBSOCKET.to_owned(), true)]
            } else {
                Vec::new()
            },
            retry_policy: self.retry.clone(),
            request_mirror_policies: self.mirrors.clone(),
            session_persistence: self.session_persistence.clone(),
            ..RouteAction::new(cluster)
        }))
    }
}

impl Share {
    fn weighted(&self, unusable: StatusCode) -> WeightedCluster {
        let action = match (&self.redirect, &self.cluster) {
            (Some((redirect, port)), _) => WeightedAction::Redirect(redirect_action(redirect, *port)),
            (None, Some(cluster)) => WeightedAction::Cluster(cluster.clone()),
            (None, None) => WeightedAction::DirectResponse(answer(unusable)),
        };
        WeightedCluster {
            headers: self.changes.mutations(),
            host_rewrite_literal: self.host.clone(),
            path_rewrite: self.path.clone(),
            ..WeightedCluster::new(action, self.weight, self.filters.clone())
        }
    }
}

fn answer(status: StatusCode) -> DirectResponse {
    DirectResponse::new(status, Bytes::new())
}

fn redirect_action(redirect: &Redirect, listener_port: u16) -> RedirectAction {
    let port = match redirect.port {
        PortOfRedirect::UnlessUsual(port) => {
            let of_scheme = redirect.scheme.map(|scheme| if scheme == "https" { 443 } else { 80 });
            RedirectPort::UnlessDefault(port.or(of_scheme).unwrap_or(listener_port))
        }
        PortOfRedirect::Always(port) => RedirectPort::Always(port),
        PortOfRedirect::OfListener => RedirectPort::Always(listener_port),
        PortOfRedirect::OfRequest => RedirectPort::OfRequest,
    };
    RedirectAction {
        scheme: redirect.scheme.map(str::to_owned),
        host: redirect.hostname.clone(),
        port,
        path: redirect.path.clone(),
        response_code: redirect.status,
        strip_query: false,
    }
}

/// What is wrong with a reference to a backend, in the words of the controller.
fn problem(error: &BackendError, site: Referring<'_>) -> Problem {
    let controller = site.gateway.controller;
    Problem::new(error.reason(controller), (controller.words.backend_message)(error, site))
}

/// How long requests of a rule may take; the outer `None` = it does not say it.
fn request_timeout(rule: &Rule, controller: &Controller) -> Option<Option<Duration>> {
    let Timeouts { request, backend_request } = rule.timeouts;
    let of_backend =
        backend_request.filter(|_| controller.defaults.limits_requests_by_tries && rule.retry.is_none());
    of_backend.or(request)
}

/// How long a stream may stand still; the outer `None` = as long as everywhere.
fn idle_timeout(rule: &Rule, controller: &Controller) -> Option<Option<Duration>> {
    let least = controller.defaults.least_idle_timeout?;
    let request = request_timeout(rule, controller)?;
    Some(request.map(|request| request.max(least)))
}

fn retry_policy(rule: &Rule, controller: &Controller) -> Option<Arc<RetryPolicy>> {
    let per_try_timeout = rule.timeouts.backend_request.flatten();
    let policy = match &rule.retry {
        Some(Retry::Policy(policy)) if per_try_timeout.is_none() => return Some(Arc::clone(policy)),
        Some(Retry::Policy(policy)) => RetryPolicy { per_try_timeout, ..RetryPolicy::clone(policy) },
        Some(Retry::Statuses { codes, attempts, backoff }) => {
            let back_off = backoff.filter(|interval| !interval.is_zero());
            let back_off = back_off.map_or_else(RetryBackOff::default, |interval| RetryBackOff {
                base_interval: interval,
                max_interval: interval.saturating_mul(10),
            });
            let retries = (controller.defaults.retries)(codes);
            let num_retries = attempts.unwrap_or(retries.num_retries);
            RetryPolicy { num_retries, per_try_timeout, back_off, ..retries }
        }
        None => (controller.defaults.unasked_retries)(per_try_timeout)?,
    };
    Some(Arc::new(policy))
}

impl Changes {
    fn of(filters: &Filters, controller: &Controller) -> Self {
        Self {
            request: filters.request_headers.clone(),
            response: filters.response_headers.clone(),
            literal: !controller.defaults.expands_header_values,
        }
    }

    fn is_empty(&self) -> bool {
        [&self.request, &self.response]
            .iter()
            .all(|changes| changes.set.is_empty() && changes.add.is_empty() && changes.remove.is_empty())
    }

    fn mutations(&self) -> HeaderMutations {
        let additions = |changes: &HeaderChanges| {
            let set = changes.set.iter().map(|pair| (pair, AppendAction::OverwriteIfExistsOrAdd));
            let add = changes.add.iter().map(|pair| (pair, AppendAction::AppendIfExistsOrAdd));
            let all = set.chain(add).map(|((name, value), append_action)| HeaderAddition {
                name: name.clone(),
                value: self.format(value),
                append_action,
                keep_empty_value: true,
            });
            all.collect()
        };
        HeaderMutations {
            request_add: additions(&self.request),
            request_remove: self.request.remove.clone(),
            response_add: additions(&self.response),
            response_remove: self.response.remove.clone(),
        }
    }

    fn format(&self, value: &str) -> Format {
        let parsed = if self.literal { None } else { Format::parse(value).ok() };
        parsed.unwrap_or_else(|| Format::literal(value))
    }
}

impl Match {
    /// The match as the data plane has it.
    pub(super) fn to_model(&self) -> RouteMatch {
        RouteMatch {
            path: self.path.clone(),
            headers: self.headers.clone(),
            query_parameters: self.query_parameters.clone(),
            grpc: false,
            more: None,
        }
    }
}
