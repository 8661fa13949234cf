//! Route tables.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tollgate_model::{
    header::AppendAction,
    route::{
        Action, ClusterSpecifier, HostRewrite, PathMatch, PathRewrite, RedirectPath, RedirectPort, Route,
        VirtualHost,
    },
};

use super::*;

fn with(routes: &str) -> Gateway {
    Gateway { routes: routes.into(), ..Gateway::default() }
}

fn matching(text: &str) -> Gateway {
    with(&format!("{{match: {{{text}}}, route: {{cluster: app}}}}"))
}

fn action(text: &str) -> Gateway {
    with(&format!("{{match: {{prefix: /}}, {text}}}"))
}

fn virtual_host(gateway: &Gateway) -> Arc<VirtualHost> {
    let snapshot = gateway.snapshot();
    let table = &snapshot.listeners[0].filter_chains[0].http.route_config;
    Arc::clone(table.virtual_hosts.iter().next().unwrap())
}

fn route(gateway: &Gateway) -> Arc<Route> {
    Arc::clone(&virtual_host(gateway).routes[0])
}

fn refused(gateway: &Gateway) -> String {
    let said = gateway.said();
    assert_eq!(said.len(), 1, "{said:?}");
    said[0].clone()
}

#[test]
fn paths_are_matched_in_four_ways() {
    let path = |text: &str| format!("{:?}", route(&matching(text)).route_match.path);
    assert_eq!(path("prefix: /a"), "Prefix { prefix: \"/a\", case_sensitive: true }");
    assert_eq!(path("path: /a, case_sensitive: false"), "Path { path: \"/a\", case_sensitive: false }");
    assert_eq!(
        path("path_separated_prefix: /a"),
        "PathSeparatedPrefix { prefix: \"/a\", case_sensitive: true }"
    );
    let PathMatch::SafeRegex(regex) = &route(&matching("safe_regex: {regex: '/a/{id}'}")).route_match.path
    else {
        panic!()
    };
    assert!(regex.is_match(b"/a/{id}"));
}

#[test]
fn conditions_are_read() {
    let route = route(&matching(
        "prefix: /, grpc: {}, headers: [{name: ':method', string_match: {exact: GET}}, {name: X-A}], \
         query_parameters: [{name: q, string_match: {prefix: a}}, {name: r}]",
    ));
    assert!(route.route_match.grpc);
    assert_eq!(route.route_match.headers.len(), 2);
    assert_eq!(route.route_match.query_parameters.len(), 2);
    assert!(route.route_match.query_parameters[1].value.is_none());
}

#[test]
fn forwarding_has_envoys_defaults() {
    let Action::Route(action) = &route(&Gateway::default()).action else { panic!() };
    assert!(matches!(&action.cluster, ClusterSpecifier::Cluster(name) if name == "app"));
    assert_eq!(action.cluster_not_found_response_code, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(action.timeout, Some(Duration::from_secs(15)));
    assert_eq!(action.idle_timeout, None);
    assert!(action.path_rewrite.is_none() && action.host_rewrite.is_none());
}

#[test]
fn forwarding_is_read() {
    let action = |text: &str| match &route(&action(&format!("route: {{cluster: app, {text}}}"))).action {
        Action::Route(action) => (action.timeout, action.idle_timeout, action.upgrade_configs.clone()),
        _ => panic!(),
    };
    assert_eq!(action("timeout: 0s, idle_timeout: 0s"), (None, Some(None), vec![]));
    assert_eq!(action("idle_timeout: 3s").1, Some(Some(Duration::from_secs(3))));
    let upgrades = action("upgrade_configs: [{upgrade_type: WebSocket, enabled: false}]").2;
    assert_eq!(upgrades, [("websocket".to_owned(), false)]);
}

#[test]
fn rewrites_are_read() {
    let rewrites = |text: &str| match &route(&action(&format!("route: {{cluster: app, {text}}}"))).action {
        Action::Route(action) => format!("{:?} {:?}", action.path_rewrite, action.host_rewrite),
        _ => panic!(),
    };
    assert_eq!(
        rewrites("prefix_rewrite: /b, host_rewrite_literal: h"),
        "Some(Prefix(\"/b\")) Some(Literal(\"h\"))"
    );
    assert_eq!(rewrites("auto_host_rewrite: true"), "None Some(Auto)");
    assert_eq!(rewrites("auto_host_rewrite: false"), "None None");
    let Action::Route(action) = &route(&action(
        "route: {cluster: app, regex_rewrite: {pattern: {regex: '^/(\\d+)'}, substitution: '/n\\1$'}}",
    ))
    .action
    else {
        panic!()
    };
    let Some(PathRewrite::Regex { pattern, substitution, .. }) = &action.path_rewrite else { panic!() };
    assert_eq!(&*pattern.replace_all(b"/12/x", substitution.as_bytes()), b"/n12$/x");
    let header = route(&Gateway {
        routes: "{match: {prefix: /}, route: {cluster: app, host_rewrite_header: X-Host}}".into(),
        ..Gateway::default()
    });
    let Action::Route(action) = &header.action else { panic!() };
    assert!(matches!(action.host_rewrite, Some(HostRewrite::Header(_))));
}

#[test]
fn redirects_and_direct_responses_are_read() {
    let Action::Redirect(redirect) = &route(&action(
        "redirect: {https_redirect: true, host_redirect: h, port_redirect: 8443, prefix_rewrite: /p, \
         response_code: PERMANENT_REDIRECT, strip_query: true}",
    ))
    .action
    else {
        panic!()
    };
    assert_eq!(redirect.scheme.as_deref(), Some("https"));
    assert_eq!((redirect.host.as_deref(), redirect.port), (Some("h"), RedirectPort::Always(8443)));
    assert!(matches!(&redirect.path, Some(RedirectPath::Prefix(prefix)) if prefix == "/p"));
    assert_eq!(redirect.response_code, StatusCode::PERMANENT_REDIRECT);
    assert!(redirect.strip_query);
    let Action::DirectResponse(response) =
        &route(&action("direct_response: {status: 418, body: {inline_bytes: aGVsbG8}}")).action
    else {
        panic!()
    };
    assert_eq!((response.status.as_u16(), &response.body[..]), (418, &b"hello"[..]));
    assert!(matches!(route(&action("non_forwarding_action: {}")).action, Action::NonForwarding));
}

#[test]
fn header_changes_are_read_at_every_level() {
    let change = |text: &str| {
        let headers = &virtual_host(&Gateway {
            virtual_host: format!(
                "domains: ['*'], request_headers_to_add: [{{header: {{key: X-A, value: v}}, {text}}}]"
            ),
            ..Gateway::default()
        })
        .headers;
        headers.request_add[0].append_action
    };
    assert_eq!(change(""), AppendAction::AppendIfExistsOrAdd);
    assert_eq!(change("append: false"), AppendAction::OverwriteIfExistsOrAdd);
    assert_eq!(change("append_action: ADD_IF_ABSENT"), AppendAction::AddIfAbsent);
    let route = route(&action(
        "route: {cluster: app}, request_headers_to_remove: [A], response_headers_to_remove: [B], \
         response_headers_to_add: [{header: {key: c, value: '%PROTOCOL%'}, keep_empty_value: true}]",
    ));
    assert_eq!(route.headers.request_remove[0], "a");
    assert_eq!(route.headers.response_remove[0], "b");
    assert_eq!(route.headers.response_add[0].value.source(), "%PROTOCOL%");
    assert!(route.headers.response_add[0].keep_empty_value);
}

#[test]
fn buffer_limits_come_from_the_most_specific_level() {
    let limit = |virtual_host: &str, fields: &str| {
        route(&Gateway {
            virtual_host: format!("{virtual_host} domains: ['*']"),
            routes: format!("{{match: {{prefix: /}}, route: {{cluster: app}}, {fields}}}"),
            ..Gateway::default()
        })
        .request_body_buffer_limit
    };
    assert_eq!(limit("", ""), None);
    assert_eq!(limit("per_request_buffer_limit_bytes: 5,", ""), Some(5));
    assert_eq!(limit("per_request_buffer_limit_bytes: 5,", "request_body_buffer_limit: '6'"), Some(6));
}

#[test]
fn clusters_have_to_exist() {
    assert_eq!(
        refused(&action("route: {cluster: ap}")),
        "error: there is no cluster \"ap\" [did you mean \"app\"?]"
    );
    let weighted = "route: {weighted_clusters: {clusters: [{name: nowhere, weight: 1}]}}";
    assert_eq!(
        refused(&action(weighted)),
        "error: there is no cluster \"nowhere\" [add it to static_resources.clusters]"
    );
    let lax = Gateway { table: "validate_clusters: false,".into(), ..action(weighted) };
    assert_eq!(
        lax.said(),
        [
            "warning: there is no cluster \"nowhere\"; requests get the reply for that [add it to static_resources.clusters]"
        ]
    );
}

#[test]
fn routes_that_cannot_work_are_refused() {
    let refused_match = |text: &str| refused(&matching(text));
    let missing = "error: one of \"prefix\", \"path\", \"path_separated_prefix\", \"safe_regex\", \"path_match_policy\" is missing";
    assert_eq!(refused_match("grpc: {}"), missing);
    assert_eq!(
        refused_match("prefix: /, path: /"),
        "error: \"prefix\" and \"path\" cannot be given together"
    );
    assert_eq!(refused_match("safe_regex: {regex: '('}"), "error: not a regular expression: unclosed group");
    assert_eq!(
        refused_match("safe_regex: {regex: 'a**'}"),
        "error: not a regular expression: a repetition cannot be repeated"
    );
    assert!(refused_match("path_separated_prefix: /a/").starts_with("error: must begin with a slash"));
    assert_eq!(refused_match("prefix: /, runtime_fraction: {}"), "error: \"default_value\" is missing");
    assert_eq!(refused_match("prefix: /, headers: [{name: 'a b'}]"), "error: \"a b\" is not a header name");
    assert_eq!(
        refused_match(
            "prefix: /, headers: [{name: a, string_match: {safe_regex: {regex: a}, ignore_case: true}}]"
        ),
        "error: \"ignore_case\" has no effect on \"safe_regex\" [begin the expression with (?i)]"
    );
    let refused_action = |text: &str| refused(&action(text));
    assert_eq!(
        refused_action("name: a"),
        "error: one of \"route\", \"redirect\", \"direct_response\", \"non_forwarding_action\" is missing"
    );
    assert_eq!(
        refused_action("route: {}"),
        "error: one of \"cluster\", \"cluster_header\", \"weighted_clusters\" is missing"
    );
    assert_eq!(
        refused_action("route: {weighted_clusters: {clusters: [{name: app}]}}"),
        "error: the sum of the weights must not be zero"
    );
    assert_eq!(
        refused_action("route: {cluster: app, prefix_rewrite: /a, regex_rewrite: {pattern: {regex: a}}}"),
        "error: \"prefix_rewrite\" and \"regex_rewrite\" cannot be given together"
    );
    assert_eq!(
        refused_action("route: {cluster: app, hash_policy: [{terminal: true}]}"),
        "error: one of \"header\", \"cookie\", \"connection_properties\", \"query_parameter\" is missing"
    );
    assert!(
        refused_action(
            "route: {cluster: app, hash_policy: [{header: {header_name: a}, filter_state: {key: a}}]}"
        )
        .starts_with("error: \"filter_state\" is not supported")
    );
    assert_eq!(
        refused_action("route: {cluster: app, host_rewrite_literal: \"a\\n\"}"),
        "error: must not contain line ends or NUL"
    );
    assert_eq!(refused_action("direct_response: {status: 199}"), "error: 199 is not between 200 and 599");
    let long = Gateway {
        table: "max_direct_response_body_size_bytes: 2,".into(),
        ..action("direct_response: {status: 200, body: {inline_string: abc}}")
    };
    assert_eq!(
        refused(&long),
        "error: the body has 3 bytes; at most 2 are allowed \
         [raise max_direct_response_body_size_bytes of the route configuration]"
    );
}

#[test]
fn header_changes_that_cannot_be_made_are_refused() {
    let host = |text: &str| {
        refused(&Gateway { virtual_host: format!("domains: ['*'], {text}"), ..Gateway::default() })
    };
    let add = |header: &str| host(&format!("request_headers_to_add: [{{header: {{{header}}}}}]"));
    assert_eq!(add("key: ':path', value: a"), "error: \":path\" cannot be changed here");
    assert_eq!(add("key: Host, value: a"), "error: \"Host\" cannot be changed here");
    assert_eq!(
        add("key: a, value: '100%'"),
        "error: not a format string: '%' begins no operator (write '%%' for a percent sign)"
    );
    assert_eq!(add("key: a, value: \"x\\r\\ny\""), "error: must not contain line ends or NUL");
    assert_eq!(host("response_headers_to_remove: [':status']"), "error: \":status\" cannot be changed here");
}

#[test]
fn virtual_hosts_have_domains_that_are_theirs_alone() {
    let domains =
        |text: &str| Gateway { virtual_host: format!("domains: {text}"), ..Gateway::default() }.said();
    assert_eq!(domains("[]"), ["error: \"domains\" is missing: the host names, or \"*\" for all"]);
    assert_eq!(domains("[a, A]"), ["error: the domain \"a\" is in the table twice"]);
    assert_eq!(domains("['a.*.b']"), ["error: a wildcard is one \"*\" at the beginning or the end"]);
    assert_eq!(domains("['*.a', '*-b.c', 'd.*', '*', e]"), Vec::<String>::new());
    let two = Gateway { routes: "]}, {name: host, domains: [other], routes: [".into(), ..Gateway::default() };
    assert_eq!(
        two.said(),
        ["warning: there are two virtual hosts named \"host\" \
          [their metrics are counted together; give them different names]"]
    );
}
