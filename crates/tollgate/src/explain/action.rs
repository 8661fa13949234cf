//! What a route does.

use extproc::RequestHeaders;
use serde_json::{Value, json};
use tollgate_model::{
    Snapshot,
    route::{
        Action, ClusterSpecifier, DirectResponse, HostRewrite, MirrorCluster, PathRewrite, RedirectAction,
        Route, RouteAction, WeightedAction, WeightedCluster,
    },
};

use super::{cluster, settings::duration};

/// Longest part of a body that is shown, in characters.
const BODY: usize = 60;

/// Describes what a route does with a request.
pub(super) fn describe(described: &mut Value, route: &Route, request: &RequestHeaders, snapshot: &Snapshot) {
    let action = match &route.action {
        Action::Route(action) => return forward(described, action, route, request, snapshot),
        Action::Redirect(redirect) => told_redirect(redirect, route, request),
        Action::DirectResponse(answer) => told_answer(answer),
        Action::NonForwarding => "answer 503 unless a filter answers".to_owned(),
    };
    described["action"] = json!(action);
}

fn forward(
    described: &mut Value,
    action: &RouteAction,
    route: &Route,
    request: &RequestHeaders,
    snapshot: &Snapshot,
) {
    let chosen = match &action.cluster {
        ClusterSpecifier::WeightedClusters(shares) => {
            described["action"] = json!(format!("one of {} shares by weight", shares.len()));
            None
        }
        ClusterSpecifier::Cluster(name) => Some(Some(name.as_str())),
        ClusterSpecifier::ClusterHeader(_) => {
            Some(action.cluster.choose(request, 0).map(|choice| choice.name))
        }
    };
    let not_found = action.cluster_not_found_response_code.as_u16();
    let from = match &action.cluster {
        ClusterSpecifier::ClusterHeader(header) => format!(", which the header {} names", header.as_str()),
        _ => String::new(),
    };
    match chosen {
        Some(Some(name)) if snapshot.clusters.contains_key(name) => {
            described["action"] = json!(format!("forward to the cluster {name}{from}"));
            described["endpoints"] = json!(cluster::endpoints(snapshot, name));
        }
        Some(Some(name)) => {
            described["action"] = json!(format!("answer {not_found}: there is no cluster {name}{from}"));
        }
        Some(None) => {
            described["action"] = json!(format!(
                "answer {not_found}: the cluster is not known{}",
                from.replace(", which", ":")
            ));
        }
        None => {}
    }
    described["upstream"] =
        json!(changes(action.path_rewrite.as_ref(), action.host_rewrite.as_ref(), None, route, request));
    described["timeout"] = json!(action.timeout.map(duration));
    if let Some(retry) = action.retry_policy.as_ref().filter(|retry| retry.num_retries > 0) {
        described["retries"] = json!(retry.num_retries);
    }
    let mirrors = action.request_mirror_policies.iter().map(|mirror| {
        let fraction = mirror.fraction;
        let share = match fraction.numerator >= fraction.denominator {
            true => "all".to_owned(),
            false => format!("{} of {}", fraction.numerator, fraction.denominator),
        };
        match &mirror.cluster {
            MirrorCluster::Named(name) => format!("{share} requests to the cluster {name}"),
            MirrorCluster::Header(header) => {
                format!("{share} requests to the cluster that the header {} names", header.as_str())
            }
        }
    });
    described["mirrors"] = mirrors.collect::<Vec<_>>().into();
}

/// Describes what becomes of a share of the requests.
pub(super) fn describe_share(
    described: &mut Value,
    share: &WeightedCluster,
    route: &Route,
    request: &RequestHeaders,
    snapshot: &Snapshot,
) {
    let Action::Route(action) = &route.action else { return };
    described["action"] = json!(match &share.action {
        WeightedAction::Cluster(name) if snapshot.clusters.contains_key(name) => {
            described["endpoints"] = json!(cluster::endpoints(snapshot, name));
            format!("forward to the cluster {name}")
        }
        WeightedAction::Cluster(name) => {
            let status = action.cluster_not_found_response_code.as_u16();
            format!("answer {status}: there is no cluster {name}")
        }
        WeightedAction::Redirect(redirect) => told_redirect(redirect, route, request),
        WeightedAction::DirectResponse(answer) => told_answer(answer),
    });
    if matches!(share.action, WeightedAction::Cluster(_)) {
        let path = share.path_rewrite.as_ref().or(action.path_rewrite.as_ref());
        let host = share.host_rewrite_literal.as_deref();
        described["upstream"] = json!(changes(path, action.host_rewrite.as_ref(), host, route, request));
    }
}

/// What is different for the upstream, in words. Header changes of the configuration and processors may change more.
fn changes(
    path: Option<&PathRewrite>,
    host: Option<&HostRewrite>,
    host_of_share: Option<&str>,
    route: &Route,
    request: &RequestHeaders,
) -> Vec<String> {
    let mut changes = Vec::new();
    if let Some(PathRewrite::Format(format)) = path {
        changes.push(format!("the path is what \"{}\" gives", format.source()));
    }
    let path = path.and_then(|rewrite| rewrite.rewrite(&route.route_match.path, &request.path));
    if let Some(path) = path.filter(|path| *path != request.path) {
        changes.push(format!("the path is \"{}\"", String::from_utf8_lossy(path.as_bytes())));
    }
    let host = match host {
        Some(HostRewrite::Auto) => Some("the name of the endpoint".to_owned()),
        Some(HostRewrite::Format(format)) => Some(format!("what \"{}\" gives", format.source())),
        Some(rewrite) => {
            rewrite.rewrite(request).map(|host| format!("\"{}\"", String::from_utf8_lossy(host.as_bytes())))
        }
        None => None,
    };
    let host = host.or_else(|| host_of_share.map(|host| format!("\"{host}\"")));
    changes.extend(host.map(|host| format!("the host is {host}")));
    changes
}

fn told_redirect(redirect: &RedirectAction, route: &Route, request: &RequestHeaders) -> String {
    let status = redirect.response_code.as_u16();
    let mut request = request.clone();
    if let Some(path) = redirect.rewritten_path(&route.route_match.path, &request) {
        request.path = path;
    }
    let proto = request.fields.get("x-forwarded-proto").map_or(&b""[..], |value| value.as_bytes());
    match redirect.location(&request, proto) {
        Some(location) => {
            format!("redirect with {status} to {}", String::from_utf8_lossy(location.as_bytes()))
        }
        None => "answer 404: the redirect has no valid location".to_owned(),
    }
}

fn told_answer(answer: &DirectResponse) -> String {
    let status = answer.status.as_u16();
    if answer.body.is_empty() {
        return format!("answer {status}");
    }
    let body = String::from_utf8_lossy(&answer.body);
    let line = body.trim().lines().next().unwrap_or_default();
    let shown: String = line.chars().take(BODY).collect();
    let more = if shown.len() < body.trim().len() { "…" } else { "" };
    format!("answer {status} with the text \"{shown}{more}\"")
}
