//! What the router does with a request: forward it, redirect it, answer it.

use std::time::{Duration, Instant, SystemTime};

use extproc::{Direction, RequestHeaders, ResponseHeaders, remove_fields};
use http::{HeaderMap, HeaderValue, Method};
use tollgate_model::{
    http_connection_manager::{HttpConnectionManager, ProxyName},
    route::{
        Action, DirectResponse, HostRewrite, PathRewrite, RedirectAction, RedirectPath, Route, RouteAction,
        WeightedAction, split_path,
    },
};

use super::{core::Core, mirror::Mirrors, tries::Tries, upgrade::Upgrade};
use crate::{
    arrival::arrive,
    configuration::WorkerRoute,
    connection_manager::{
        EnvoyHeaders, finish_response, replace_host, replace_path, router_request, router_response,
        tell_attempt, tell_timeout,
    },
    format::{FormatContext, evaluate_header, write_text},
    header_names::KEEP_ALIVE,
    local_reply::LocalReply,
    proxy_status,
    route_headers::HeaderLevels,
    session::Session,
    stats::HttpMetric,
    stream_info::{Protocol, ResponseFlags, VIA_UPSTREAM},
    upstream::{Choice, UpstreamFailure, UpstreamRequest, WorkerCluster},
};

/// A new path with the query of the request; none of nothing.
fn with_query(mut path: Vec<u8>, request: &RequestHeaders) -> Option<HeaderValue> {
    if path.is_empty() {
        return None;
    }
    let whole = request.path.as_bytes();
    let (before_query, _) = split_path(whole);
    path.extend_from_slice(&whole[before_query.len()..]);
    HeaderValue::from_bytes(&path).ok()
}

/// A request on its way upstream.
pub(super) struct Forward {
    pub(super) upstream: UpstreamRequest,
    pub(super) tries: Option<Box<Tries>>,
    pub(super) mirrors: Option<Mirrors>,
}

impl Core {
    /// What happens on arrival of a request, before any filter sees it.
    pub(super) fn prepare(&mut self) -> Result<(), LocalReply> {
        let Self { worker, configuration, messages, info, decision, .. } = self;
        let chain = configuration.chain.filter_chain();
        let began = configuration.shows.route_resolution.then(Instant::now);
        let drawn = decision.drawn();
        let arrived = arrive(&mut messages.request, chain, &info.connection, worker.own_address, drawn);
        if let Some(began) = began {
            info.route_resolution_time += Instant::now().saturating_duration_since(began);
        }
        let route = arrived.route.map(|found| configuration.routes.get(&found));
        let prepared = arrived.prepared;
        self.take_route(route);
        let prepared = prepared.map_err(|refused| *refused)?;
        self.upgrade = if prepared.upgrade { Upgrade::Asked } else { Upgrade::None };
        if prepared.upgrade {
            self.count_http(HttpMetric::DownstreamCxUpgradesTotal);
        }
        self.info.remote_address = prepared.remote_address;
        Ok(())
    }

    /// The request has passed the chain: an upstream request is begun, or the answer is known.
    pub(super) fn decide_route(&mut self, end_stream: bool, now: Instant) -> Result<Forward, LocalReply> {
        let Some(selected) = self.info.route.clone() else {
            self.report_no_route();
            return Err(LocalReply::route_not_found());
        };
        if self.messages.request.method == Method::CONNECT {
            // Routes take no tunnels: a processor has made one of an ordinary request.
            return Err(LocalReply::not_a_tunnel());
        }
        match &selected.route.action {
            Action::Route(action) => match self.decision.share(&selected.route).map(|share| &share.action) {
                Some(WeightedAction::Redirect(redirect)) => Err(self.redirect(redirect, &selected.route)),
                Some(WeightedAction::DirectResponse(direct)) => Err(self.direct(direct)),
                Some(WeightedAction::Cluster(_)) | None => self.forward(action, &selected, end_stream, now),
            },
            Action::Redirect(redirect) => Err(self.redirect(redirect, &selected.route)),
            Action::DirectResponse(direct) => Err(self.direct(direct)),
            Action::NonForwarding => Err(LocalReply::non_forwarding()),
        }
    }

    fn direct(&self, direct: &DirectResponse) -> LocalReply {
        self.count_http(HttpMetric::RqDirectResponse);
        let reply = LocalReply::direct(direct);
        match &direct.body_format {
            Some(format) => self.formatted(reply, format),
            None => reply,
        }
    }

    fn redirect(&mut self, redirect: &RedirectAction, route: &Route) -> LocalReply {
        self.count_http(HttpMetric::RqRedirect);
        if let Some(path) = redirect.rewritten_path(&route.route_match.path, &self.messages.request) {
            let configuration = self.configuration.clone();
            replace_path(&mut self.messages.request, configuration.http(), path);
        }
        let formatted = match &redirect.path {
            Some(RedirectPath::Format(format)) => {
                let facts = FormatContext { info: &self.info, messages: &self.messages, logs: &[] };
                String::from_utf8(evaluate_header(format, &facts)).ok().filter(|path| !path.is_empty())
            }
            _ => None,
        };
        let with_path =
            formatted.map(|path| RedirectAction { path: Some(RedirectPath::Path(path)), ..redirect.clone() });
        let redirect = with_path.as_ref().unwrap_or(redirect);
        let forwarded_proto = self.messages.request.fields.get("x-forwarded-proto").cloned();
        let forwarded_proto = forwarded_proto.as_ref().map_or(&b""[..], |value| value.as_bytes());
        match redirect.location(&self.messages.request, forwarded_proto) {
            Some(location) => LocalReply::redirect(redirect.response_code, location),
            None => LocalReply::route_not_found(),
        }
    }

    fn forward(
        &mut self,
        action: &RouteAction,
        selected: &WorkerRoute,
        end_stream: bool,
        now: Instant,
    ) -> Result<Forward, LocalReply> {
        let not_found = || LocalReply::cluster_not_found(action.cluster_not_found_response_code);
        let cluster = self
            .decision
            .cluster_name(action, &self.messages.request)
            .and_then(|name| self.configuration.clusters.get(name))
            .ok_or_else(not_found)?;
        // Headers and logs may ask for it before there is an endpoint.
        self.info.upstream.attempt_count = 1;
        let rewritten = match cluster.forwards_to_hosts() {
            true => self.rewritten_host(action, selected),
            false => None,
        };
        let authority = rewritten.as_ref().map(HeaderValue::as_bytes);
        let choice = Choice { authority, ..self.choice() };
        let upstream = UpstreamRequest::start(&cluster, &choice, 1, now).map_err(|failure| {
            let reply = self.upstream_failure_reply(&failure);
            self.charge_upstream(reply.status);
            reply
        })?;
        self.tell_selected_host(&cluster, &upstream);
        let configuration = self.configuration.clone();
        let http = configuration.http();
        let limits = router_request(&mut self.messages.request, http, action);
        self.decision.timeout = limits.timeout;
        if selected.virtual_host.include_request_attempt_count {
            tell_attempt(&mut self.messages.request, http, 1);
        }
        self.change_headers(Direction::Request);
        self.note_upstream(&upstream);
        self.rewrite(action, &upstream, http);
        let tries = limits.retry_policy.map(|policy| {
            let limit = self.body_buffer_limit();
            Box::new(Tries::new(policy, limits.per_try_timeout, cluster, &upstream, limit, end_stream))
        });
        let mirrors = Mirrors::start(self, &action.request_mirror_policies, end_stream, now);
        Ok(Forward { upstream, tries, mirrors })
    }

    /// What the request says about the host it is to have.
    pub(super) fn choice(&self) -> Choice<'_> {
        Choice {
            session: self.decision.session.as_ref().and_then(Session::wanted),
            protocol: Some(self.info.protocol),
            request: Some(&self.messages.request),
            authority: None,
            metadata: Some(&self.info.metadata),
            original_destination: self.info.connection.original_destination,
            named: self.decision.named,
            picked: Some(&self.decision.picked),
            hashed: Some(self),
            routed: Some(self),
            tried: None,
            of: None,
        }
    }

    /// Tells in dynamic metadata which host was chosen, where its cluster asks for that.
    pub(super) fn tell_selected_host(&mut self, cluster: &WorkerCluster, upstream: &UpstreamRequest) {
        if let Some(key) = cluster.selected_host_key()
            && let Some(address) = &upstream.info().address
        {
            let metadata = &mut self.info.metadata;
            // An address more or less is never too much.
            let _ = metadata.merge(key.holding(address), std::slice::from_ref(&key.namespace));
        }
    }

    /// Makes the request head ready for another try.
    pub(super) fn prepare_retry(
        &mut self,
        upstream: &UpstreamRequest,
        per_try_timeout: Option<Duration>,
        now: Instant,
    ) {
        let configuration = self.configuration.clone();
        let http = configuration.http();
        let elapsed = self.info.last_upstream_tx.map(|end| now.saturating_duration_since(end));
        let request = &mut self.messages.request;
        let Some(selected) = &self.info.route else { return };
        if let Action::Route(action) = &selected.route.action {
            let limits = (self.decision.timeout, per_try_timeout);
            tell_timeout(request, http, action, limits, elapsed.unwrap_or_default());
        }
        if selected.virtual_host.include_request_attempt_count {
            tell_attempt(request, http, upstream.info().attempt_count);
        }
        if let Action::Route(action) = &selected.route.action
            && let Some(HostRewrite::Auto) = action.host_rewrite
            && let Some(host) = upstream.host_name().and_then(|name| HeaderValue::from_str(name).ok())
        {
            request.authority = host;
        }
    }

    /// Makes the header changes the route in force asks for.
    pub(super) fn change_headers(&mut self, direction: Direction) {
        let Self { configuration, messages, info, decision, .. } = self;
        let Some(selected) = info.route.as_ref().filter(|selected| !selected.route.own) else { return };
        let http = configuration.http();
        let weighted = decision.share(&selected.route);
        let levels = HeaderLevels::new(
            &http.route_config,
            &selected.virtual_host,
            &selected.route,
            weighted,
            &http.header_prefix,
        );
        match direction {
            Direction::Request => levels.change_request(messages, info),
            Direction::Response => levels.change_response(messages, info),
        }
    }

    /// The host that the request will have, where its endpoint does not decide about that.
    fn rewritten_host(&self, action: &RouteAction, selected: &WorkerRoute) -> Option<HeaderValue> {
        let of_route = match &action.host_rewrite {
            Some(HostRewrite::Format(format)) => {
                let mut host = Vec::new();
                let facts = FormatContext { info: &self.info, messages: &self.messages, logs: &[] };
                write_text(format, &facts, &mut host);
                HeaderValue::from_bytes(&host).ok().filter(|host| !host.is_empty())
            }
            Some(HostRewrite::Auto) | None => None,
            Some(rewrite) => rewrite.rewrite(&self.messages.request),
        };
        let of_share = || {
            let share = self.decision.share(&selected.route)?;
            HeaderValue::from_str(share.host_rewrite_literal.as_deref()?).ok()
        };
        of_route.or_else(of_share)
    }

    fn rewrite(&mut self, action: &RouteAction, upstream: &UpstreamRequest, http: &HttpConnectionManager) {
        let Some(selected) = &self.info.route else { return };
        let share = self.decision.share(&selected.route);
        let share_host = share.and_then(|share| share.host_rewrite_literal.as_deref());
        if let Some(host) = share_host.and_then(|host| HeaderValue::from_str(host).ok()) {
            // No trace of the old host is left, as in Envoy.
            self.messages.request.authority = host;
        }
        let facts = FormatContext { info: &self.info, messages: &self.messages, logs: &[] };
        let share_rewrite = share.and_then(|share| share.path_rewrite.as_ref());
        let rewrite = share_rewrite.or(action.path_rewrite.as_ref());
        let formatted_path = match rewrite {
            Some(PathRewrite::Format(format)) => {
                with_query(evaluate_header(format, &facts), &self.messages.request)
            }
            _ => None,
        };
        let formatted_host = match &action.host_rewrite {
            Some(HostRewrite::Format(format)) => {
                let mut host = Vec::new();
                write_text(format, &facts, &mut host);
                HeaderValue::from_bytes(&host).ok().filter(|host| !host.is_empty())
            }
            _ => None,
        };
        let request = &mut self.messages.request;
        let host = match &action.host_rewrite {
            Some(HostRewrite::Format(_)) => formatted_host,
            Some(HostRewrite::Auto) => upstream.host_name().and_then(|name| HeaderValue::from_str(name).ok()),
            Some(rewrite) => rewrite.rewrite(request),
            None => None,
        };
        if let Some(host) = host {
            replace_host(request, http, host, action.append_x_forwarded_host);
        }
        let route_match = &selected.route.route_match.path;
        let rewritten = rewrite.and_then(|rewrite| rewrite.rewrite(route_match, &request.path));
        if let Some(path) = formatted_path.or(rewritten) {
            replace_path(request, http, path);
        }
    }

    /// The route's timeout, unless the request asks for another one.
    pub(super) fn route_timeout(&self) -> Option<Duration> {
        self.decision.timeout
    }

    /// `Some` if the route has an idle timeout of its own.
    pub(super) fn route_idle_timeout(&self) -> Option<Option<Duration>> {
        self.route_action()?.idle_timeout
    }

    /// The upstream's response head arrived at the router.
    pub(super) fn take_response(&mut self, now: Instant) {
        let Some(mut head) = self.messages.response.take() else { return };
        self.info.response_code_details = Some(VIA_UPSTREAM);
        let service_time = self.info.last_upstream_tx.map(|complete| now.saturating_duration_since(complete));
        if self.info.protocol != Protocol::Http2 {
            // About the connection to the upstream. For clients of HTTP/2 it goes when the head does, as in Envoy.
            remove_fields(&mut head.fields, &[KEEP_ALIVE]);
        }
        router_response(&mut head, self.http(), service_time);
        self.tell_cookies(&mut head.fields);
        self.count_attempts_for_client(&mut head.fields);
        self.info.response_code = Some(head.status);
        self.messages.response = Some(head);
        self.change_headers(Direction::Response);
    }

    /// The response head is about to leave for the client.
    pub(super) fn finish_response(&mut self) {
        if self.decision.session.is_some() {
            self.tell_session();
        }
        let date = self.worker.date.value(SystemTime::now());
        if let Some(head) = &mut self.messages.response {
            let http = self.configuration.http();
            finish_response(head, &self.messages.request, http, date);
            if let Some(status) = &http.proxy_status {
                let name = match &status.name {
                    ProxyName::ServerName => &http.server_name,
                    ProxyName::NodeId => &self.configuration.snapshot.node.id,
                    ProxyName::Literal(name) => name,
                };
                proxy_status::tell(status, name, &self.info, head);
            }
        }
    }

    /// The client is told the endpoint that was chosen for its session, even if that gave no answer, as Envoy does.
    fn tell_session(&mut self) {
        let Self { messages, info, decision, .. } = self;
        if let Some(session) = &decision.session
            && let Some(Action::Route(action)) = info.route.as_ref().map(|selected| &selected.route.action)
            && let Some(persistence) = &action.session_persistence
            && let Some(address) = &info.upstream.address
            && let Some(head) = &mut messages.response
        {
            session.tell(persistence, address, &mut head.fields, SystemTime::now());
        }
    }

    /// Head and body of a local reply.
    pub(super) fn local_response(&mut self, reply: LocalReply) -> (ResponseHeaders, bytes::Bytes) {
        if let Some(replies) = self.http().local_replies.clone() {
            return self.mapped_response(reply, &replies);
        }
        let (head, body) = reply.into_response(self.asked_by());
        let replaced = self.messages.response.replace(head.clone());
        self.change_headers(Direction::Response);
        let head = std::mem::replace(&mut self.messages.response, replaced).unwrap_or(head);
        (head, body)
    }

    pub(super) fn note_upstream_failure(&mut self, failure: &UpstreamFailure, started: bool) {
        self.info.response_flags.insert(ResponseFlags::from_short_name(failure.response_flag()));
        self.info.response_code_details = Some(failure.details(started));
        if let Some(reason) = failure.transport_failure_reason() {
            self.info.upstream.transport_failure_reason = Some(reason.to_owned());
        }
    }

    pub(super) fn upstream_failure_reply(&self, failure: &UpstreamFailure) -> LocalReply {
        let retried = self.info.upstream.attempt_count > 1;
        self.reply_of_router(LocalReply::upstream_failure(failure, retried))
    }

    /// A reply that stands for the response of an upstream.
    pub(super) fn reply_of_router(&self, mut reply: LocalReply) -> LocalReply {
        self.count_attempts_for_client(&mut reply.fields);
        reply
    }

    /// Tells the client how many tries there were, where the virtual host says so.
    fn count_attempts_for_client(&self, fields: &mut HeaderMap) {
        let virtual_host = self.info.route.as_ref().map(|selected| &selected.virtual_host);
        if virtual_host.is_some_and(|virtual_host| virtual_host.include_attempt_count_in_response) {
            let names = EnvoyHeaders::of(&self.http().header_prefix);
            fields.insert(
                names.attempt_count.clone(),
                HeaderValue::from(self.info.upstream.attempt_count.max(1)),
            );
        }
    }
}
