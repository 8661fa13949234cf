//! HTTPRoute and ReferenceGrant: a table of rules and of what is seen (sections 9.6, 9.8 and 10.1).

use super::world::{GATEWAY, World, route};

/// A rule set on a host of its own, and requests to it.
struct Case {
    /// As `supportedFeatures` names it, and what of it.
    feature: &'static str,
    rules: &'static str,
    /// Request line, headers of the request by `; `, facts as [`Seen::check`](super::world::Seen::check) reads them.
    requests: &'static [(&'static str, &'static str, &'static str)],
}

const CASES: &[Case] = &[
    Case {
        feature: "HTTPRoute",
        rules: "  - backendRefs: [{name: one, port: 80}]",
        requests: &[("GET /anything?a=b", "", "status=200; backend=one; path=/anything?a=b; method=GET")],
    },
    Case {
        feature: "HTTPRoute exact and prefix paths",
        rules: "  - {matches: [{path: {type: Exact, value: /exact}}], backendRefs: [{name: one, port: 80}]}
  - {matches: [{path: {value: /prefix}}, {path: {value: /slash/}}], backendRefs: [{name: two, port: 80}]}
  - {matches: [{path: {value: /prefix/deeper}}], backendRefs: [{name: one, port: 80}]}",
        requests: &[
            ("GET /exact", "", "status=200; backend=one"),
            ("GET /exact/", "", "status=404"),
            ("GET /Exact", "", "status=404"),
            ("GET /prefix", "", "status=200; backend=two"),
            ("GET /prefix/", "", "status=200; backend=two"),
            ("GET /prefix/a", "", "status=200; backend=two"),
            ("GET /prefixed", "", "status=404"),
            ("GET /slash", "", "status=200; backend=two"),
            ("GET /prefix/deeper/a", "", "status=200; backend=one"),
        ],
    },
    Case {
        feature: "HTTPRoute regular expressions",
        rules: "  - {matches: [{path: {type: RegularExpression, value: '/v[0-9]+|/w'}}], backendRefs: [{name: one, port: 80}]}
  - {matches: [{headers: [{name: version, type: RegularExpression, value: 'a+'}]}], backendRefs: [{name: two, port: 80}]}",
        requests: &[
            ("GET /v12", "", "status=200; backend=one"),
            ("GET /v12/a", "", "status=404"),
            ("GET /", "version: aa", "status=200; backend=two"),
            ("GET /", "version: ab", "status=404"),
        ],
    },
    Case {
        feature: "HTTPRoute header matching and its precedence",
        rules: "  - {matches: [{headers: [{name: version, value: one}]}], backendRefs: [{name: one, port: 80}]}
  - {matches: [{headers: [{name: Version, value: one}, {name: color, value: blue}]}], backendRefs: [{name: two, port: 80}]}",
        requests: &[
            ("GET /", "version: one", "status=200; backend=one"),
            ("GET /", "VERSION: one; color: blue", "status=200; backend=two"),
            ("GET /", "version: One", "status=404"),
            ("GET /", "color: blue", "status=404"),
        ],
    },
    Case {
        feature: "HTTPRouteMethodMatching",
        rules: "  - {matches: [{method: POST}], backendRefs: [{name: one, port: 80}]}
  - {matches: [{method: GET, path: {value: /a}}], backendRefs: [{name: two, port: 80}]}",
        requests: &[
            ("POST /", "content-length: 0", "status=200; backend=one; method=POST"),
            ("GET /a", "", "status=200; backend=two"),
            ("GET /", "", "status=404"),
        ],
    },
    Case {
        feature: "HTTPRouteQueryParamMatching",
        rules: "  - {matches: [{queryParams: [{name: animal, value: whale}]}], backendRefs: [{name: one, port: 80}]}
  - {matches: [{queryParams: [{name: animal, value: whale}, {name: size, type: RegularExpression, value: 'x+l'}]}], backendRefs: [{name: two, port: 80}]}",
        requests: &[
            ("GET /?animal=whale", "", "status=200; backend=one"),
            ("GET /?animal=whale&animal=cat", "", "status=200; backend=one"),
            ("GET /?animal=cat&animal=whale", "", "status=404"),
            ("GET /?size=xxl&animal=whale", "", "status=200; backend=two"),
            ("GET /?Animal=whale", "", "status=404"),
        ],
    },
    Case {
        feature: "HTTPRoute RequestHeaderModifier",
        rules: "  - backendRefs: [{name: one, port: 80}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: X-Set, value: new}]
        add: [{name: X-Add, value: second}]
        remove: [X-Remove]",
        requests: &[(
            "GET /",
            "x-set: old; x-add: first; x-remove: gone; x-kept: kept",
            "status=200; >x-set=new; >x-add=first,second; >x-remove; >x-kept=kept",
        )],
    },
    Case {
        feature: "HTTPRouteResponseHeaderModification",
        rules: "  - backendRefs: [{name: one, port: 80}]
    filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier:
        set: [{name: x-replaced, value: by the gateway}]
        add: [{name: x-added, value: '100%'}]
        remove: [x-backend]",
        requests: &[("GET /", "", "status=200; <x-replaced=by the gateway; <x-added=100%; <x-backend")],
    },
    Case {
        feature: "HTTPRoute RequestRedirect",
        rules: "  - {matches: [{path: {value: /host}}], filters: [{type: RequestRedirect, requestRedirect: {hostname: example.org}}]}
  - {matches: [{path: {value: /status}}], filters: [{type: RequestRedirect, requestRedirect: {hostname: example.org, statusCode: 301}}]}",
        requests: &[
            ("GET /host?a=b", "", "status=302; <location=http://example.org:8080/host?a=b"),
            ("GET /status", "", "status=301; <location=http://example.org:8080/status"),
        ],
    },
    Case {
        feature: "HTTPRouteSchemeRedirect and HTTPRoutePortRedirect",
        rules: "  - {matches: [{path: {value: /scheme}}], filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: example.org}}]}
  - {matches: [{path: {value: /port}}], filters: [{type: RequestRedirect, requestRedirect: {hostname: example.org, port: 8443}}]}
  - {matches: [{path: {value: /both}}], filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: example.org, port: 8443}}]}
  - {matches: [{path: {value: /usual}}], filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: example.org, port: 443}}]}
  - {matches: [{path: {value: /eighty}}], filters: [{type: RequestRedirect, requestRedirect: {hostname: example.org, port: 80}}]}",
        requests: &[
            ("GET /scheme", "", "status=302; <location=https://example.org/scheme"),
            ("GET /port", "", "status=302; <location=http://example.org:8443/port"),
            ("GET /both", "", "status=302; <location=https://example.org:8443/both"),
            ("GET /usual", "", "status=302; <location=https://example.org/usual"),
            ("GET /eighty", "", "status=302; <location=http://example.org/eighty"),
        ],
    },
    Case {
        feature: "HTTPRoutePathRedirect",
        rules: "  - {matches: [{path: {value: /prefix}}], filters: [{type: RequestRedirect, requestRedirect: {hostname: a.b, port: 80, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}]}
  - {matches: [{path: {value: /full}}], filters: [{type: RequestRedirect, requestRedirect: {hostname: a.b, port: 80, path: {type: ReplaceFullPath, replaceFullPath: /all}}}]}",
        requests: &[
            ("GET /prefix/lemon", "", "status=302; <location=http://a.b/new/lemon"),
            ("GET /prefix", "", "status=302; <location=http://a.b/new"),
            ("GET /full/lemon", "", "status=302; <location=http://a.b/all"),
        ],
    },
    Case {
        feature: "HTTPRoute303RedirectStatusCode, HTTPRoute307RedirectStatusCode and HTTPRoute308RedirectStatusCode",
        rules: "  - {matches: [{path: {value: /a}}], filters: [{type: RequestRedirect, requestRedirect: {hostname: a.b, statusCode: 303}}]}
  - {matches: [{path: {value: /b}}], filters: [{type: RequestRedirect, requestRedirect: {hostname: a.b, statusCode: 307}}]}
  - {matches: [{path: {value: /c}}], filters: [{type: RequestRedirect, requestRedirect: {hostname: a.b, statusCode: 308}}]}",
        requests: &[("GET /a", "", "status=303"), ("GET /b", "", "status=307"), ("GET /c", "", "status=308")],
    },
    Case {
        feature: "HTTPRouteHostRewrite and HTTPRoutePathRewrite",
        rules: "  - {matches: [{path: {value: /host}}], filters: [{type: URLRewrite, urlRewrite: {hostname: inner.example}}], backendRefs: [{name: one, port: 80}]}
  - {matches: [{path: {value: /prefix}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}], backendRefs: [{name: one, port: 80}]}
  - {matches: [{path: {value: /other}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /xyz/}}}], backendRefs: [{name: one, port: 80}]}
  - {matches: [{path: {value: /full}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /all}}}], backendRefs: [{name: one, port: 80}]}",
        requests: &[
            ("GET /host/a", "", "status=200; host=inner.example; path=/host/a"),
            ("GET /prefix", "", "status=200; path=/"),
            ("GET /prefix/bar?a=b", "", "status=200; path=/bar?a=b"),
            ("GET /other/bar", "", "status=200; path=/xyz/bar"),
            ("GET /other", "", "status=200; path=/xyz/"),
            ("GET /full/bar?a=b", "", "status=200; path=/all?a=b"),
        ],
    },
    Case {
        feature: "HTTPRouteRequestTimeout and HTTPRouteBackendTimeout",
        rules: "  - {matches: [{path: {value: /never/request}}], timeouts: {request: 50ms}, backendRefs: [{name: one, port: 80}]}
  - {matches: [{path: {value: /never/backend}}], timeouts: {request: 30s, backendRequest: 50ms}, backendRefs: [{name: one, port: 80}]}
  - {matches: [{path: {value: /off}}], timeouts: {request: 0s}, backendRefs: [{name: one, port: 80}]}",
        requests: &[
            ("GET /never/request", "", "status=504"),
            ("GET /never/backend", "", "status=504"),
            ("GET /off", "", "status=200"),
        ],
    },
    Case {
        feature: "HTTPRouteBackendRequestHeaderModification, HTTPRouteBackendURLRewrite and HTTPRouteBackendRequestRedirect",
        rules: "  - matches: [{path: {value: /headers}}]
    backendRefs: [{name: one, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-set, value: backend}], remove: [x-gone]}}]}]
  - matches: [{path: {value: /rewrite}}]
    backendRefs: [{name: two, port: 80, filters: [{type: URLRewrite, urlRewrite: {hostname: two.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}]}]
  - matches: [{path: {value: /redirect}}]
    backendRefs: [{name: two, port: 80, filters: [{type: RequestRedirect, requestRedirect: {hostname: elsewhere.example, port: 80}}]}]",
        requests: &[
            ("GET /headers", "x-set: old; x-gone: a", "status=200; backend=one; >x-set=backend; >x-gone"),
            ("GET /rewrite/a", "", "status=200; backend=two; host=two.example; path=/new/a"),
            ("GET /redirect", "", "status=302; <location=http://elsewhere.example/redirect"),
        ],
    },
    Case {
        feature: "HTTPRouteBackendProtocolH2C",
        rules: "  - backendRefs: [{name: h2c, port: 80}]",
        requests: &[("GET /", "", "status=200; backend=h2c")],
    },
    Case {
        feature: "HTTPRouteNamedRouteRule",
        rules: "  - {name: first, matches: [{path: {value: /a}}], backendRefs: [{name: one, port: 80}]}
  - {name: second, backendRefs: [{name: two, port: 80}]}",
        requests: &[("GET /a", "", "backend=one"), ("GET /b", "", "backend=two")],
    },
    Case {
        feature: "HTTPRoute backends that cannot be used",
        rules: "  - {matches: [{path: {value: /lost}}], backendRefs: [{name: lost, port: 80}]}
  - {matches: [{path: {value: /kind}}], backendRefs: [{group: unknown.io, kind: Thing, name: one, port: 80}]}
  - {matches: [{path: {value: /none}}]}
  - {matches: [{path: {value: /zero}}], backendRefs: [{name: one, port: 80, weight: 0}]}
  - {matches: [{path: {value: /empty}}], backendRefs: [{name: empty, port: 80}]}
  - {matches: [{path: {value: /extension}}], filters: [{type: ExtensionRef, extensionRef: {group: unknown.io, kind: Thing, name: a}}], backendRefs: [{name: one, port: 80}]}",
        requests: &[
            ("GET /lost", "", "status=500; backend"),
            ("GET /kind", "", "status=500; backend"),
            ("GET /none", "", "status=500"),
            ("GET /zero", "", "status=500; backend"),
            ("GET /empty", "", "status=503; backend"),
            ("GET /extension", "", "status=500; backend"),
        ],
    },
    Case {
        feature: "ReferenceGrant",
        rules: "  - {matches: [{path: {value: /permitted}}], backendRefs: [{name: one, namespace: other, port: 80}]}
  - {matches: [{path: {value: /forbidden}}], backendRefs: [{name: two, namespace: other, port: 80}]}",
        requests: &[
            ("GET /permitted", "", "status=200; backend=one"),
            ("GET /forbidden", "", "status=500; backend"),
        ],
    },
];

/// Answers for scripts of other origins.
const CORS: &[Case] = &[
    Case {
        feature: "HTTPRouteCORS",
        rules: "  - backendRefs: [{name: one, port: 80}]
    filters:
    - type: CORS
      cors: {allowOrigins: ['https://*.example.com', 'https://a.test'], allowMethods: [GET, PUT], allowHeaders: [x-one, x-two], exposeHeaders: [x-three], allowCredentials: true, maxAge: 60}",
        requests: &[
            (
                "OPTIONS /",
                "origin: https://b.example.com; access-control-request-method: PUT",
                "status=200; <access-control-allow-origin=https://b.example.com; <access-control-allow-methods=GET, PUT; \
                 <access-control-allow-headers=x-one, x-two; <access-control-allow-credentials=true; \
                 <access-control-max-age=60; backend",
            ),
            (
                "GET /",
                "origin: https://a.test",
                "status=200; <access-control-allow-origin=https://a.test; <access-control-expose-headers=x-three; backend=one",
            ),
            ("GET /", "origin: https://b.test", "status=200; <access-control-allow-origin; backend=one"),
            (
                "OPTIONS /",
                "origin: https://b.test; access-control-request-method: PUT",
                "<access-control-allow-origin; backend",
            ),
        ],
    },
];

const GRANT: &str = "---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: grant, namespace: other}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: '', kind: Service, name: one}]
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_feature_does_what_it_says() {
    check(CASES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cross_origin_requests_are_answered() {
    check(CORS).await;
}

async fn check(cases: &[Case]) {
    let mut text = format!("{GATEWAY}{GRANT}");
    for (number, case) in cases.iter().enumerate() {
        text += &route("HTTPRoute", &format!("case-{number}"), &format!("case-{number}.test"), case.rules);
    }
    let world = World::start(&text).await;
    for (number, case) in cases.iter().enumerate() {
        for (line, headers, facts) in case.requests {
            let (method, path) = line.split_once(' ').expect("a method and a path");
            let headers: Vec<(&str, &str)> =
                headers.split("; ").filter_map(|header| header.split_once(": ")).collect();
            let seen = tokio::task::block_in_place(|| {
                world.request("http", method, &format!("case-{number}.test"), path, &headers)
            });
            seen.check(facts, &format!("{}: {line}", case.feature));
        }
    }
}

/// Shares of the traffic, those of backends that do not exist included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_have_their_shares() {
    let rules = "  - backendRefs: [{name: one, port: 80, weight: 6}, {name: two, port: 80, weight: 3}, {name: lost, port: 80}]";
    let world =
        World::start(&format!("{GATEWAY}{}", route("HTTPRoute", "shares", "shares.test", rules))).await;
    let mut counts = std::collections::BTreeMap::new();
    const REQUESTS: usize = 400;
    for _ in 0..REQUESTS {
        let seen = tokio::task::block_in_place(|| world.get("shares.test", "/"));
        let who = seen.told("backend").map_or_else(|| seen.status.to_string(), str::to_owned);
        *counts.entry(who).or_insert(0_usize) += 1;
    }
    // More than six standard deviations.
    for (who, share) in [("one", 0.6), ("two", 0.3), ("500", 0.1)] {
        let found = counts.get(who).copied().unwrap_or_default() as f64 / REQUESTS as f64;
        assert!((found - share).abs() < 0.15, "{who}: {counts:?}");
    }
}
