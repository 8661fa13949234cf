//! The samples, in every mode that they support.

use extproc_server::{BodySendMode, Code, test::TestGateway};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use std::io::Write;

use super::{
    events::events, instructions::instructions, layers::layers, log::log, mark::mark, pick::pick,
    redact::redact, route::route, token::token,
};

fn instructed(json: &str) -> TestGateway {
    let gateway = TestGateway::new(instructions).bodies(BodySendMode::None).every_mode();
    gateway.post("/", "body").header("instructions", json).header("user-agent", "curl").upstream("response")
}

#[tokio::test(start_paused = true)]
async fn headers_are_added_and_removed() {
    let json =
        r#"{"ADDHEADERS":{"a":"1"},"removeHeaders":["instructions","user-agent"],"setbody":null,"delay":{}}"#;
    for played in instructed(json).play().await {
        let upstream = played.upstream().expect("a request");
        assert_eq!(
            (upstream.header("a"), upstream.header("user-agent")),
            ("1".into(), String::new()),
            "{played}"
        );
        assert_eq!((upstream.header("instructions"), upstream.text()), (String::new(), "body"), "{played}");
    }
    for json in ["null", "{}"] {
        for played in instructed(json).play().await {
            assert_eq!(played.upstream().expect("a request").header("user-agent"), "curl", "{played}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_are_replaced() {
    let gateway =
        instructed(r#"{"setBody":"hello"}"#).upstream_header("instructions", r#"{"setBody":"bye"}"#);
    for played in gateway.play().await {
        let upstream = played.upstream().expect("a request");
        assert_eq!(
            (upstream.text(), upstream.header("content-type")),
            ("hello", "text/plain".into()),
            "{played}"
        );
        assert_eq!(played.client().text(), "bye", "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_instruction_is_an_error() {
    let wrong = [
        "",
        "{",
        "{}}",
        "[]",
        "7",
        r#""text""#,
        r#"{"addHeaders":["a"]}"#,
        r#"{"addHeaders":{"a":1}}"#,
        r#"{"removeHeaders":"a"}"#,
        r#"{"removeHeaders":[1]}"#,
        r#"{"setBody":{}}"#,
    ];
    for json in wrong {
        for played in TestGateway::new(instructions).get("/").header("instructions", json).play().await {
            assert_eq!(played.status().map(|status| status.code()), Some(Code::InvalidArgument), "{json}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_marked() {
    let gateway = TestGateway::new(mark)
        .header("x-request-client-header", "original")
        .attribute("xds.route_name", "a-route")
        .attribute("request.path", "/myapp")
        .metadata("envoy.filters.http.rbac", json!({"enforced_engine_result": "allowed"}));
    for played in gateway.get("/myapp").bodies(BodySendMode::None).every_mode().play().await {
        let upstream = played.upstream().expect("a request");
        assert_eq!(upstream.header("x-request-ext-processed"), "true", "{played}");
        assert_eq!(upstream.header("x-request-xds-route-name"), "a-route", "{played}");
        assert_eq!(upstream.header("x-request-client-header"), "mutated", "{played}");
        assert_eq!(upstream.header("x-request-client-header-received"), "original", "{played}");
        let client = played.client();
        assert_eq!(client.header("x-response-ext-processed"), "true", "{played}");
        assert_eq!(client.header("x-response-xds-route-name"), "a-route", "{played}");
        assert_eq!(client.header("x-response-rbac-result-metadata"), "allowed", "{played}");
        assert_eq!(client.header("x-response-request-path"), "/myapp", "{played}");
        let written = json!({"ext-proc-emitted-metadata": "received", "request_cost_set_by_ext_proc": 10});
        assert_eq!(played.metadata("io.envoyproxy.gateway.e2e"), written, "{played}");
    }
    for played in TestGateway::new(mark).get("/").play().await {
        assert_eq!(played.client().header("x-response-request-path"), "", "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn members_are_hidden() {
    let gateway = || TestGateway::new(redact(vec!["password".to_owned()])).every_mode().get("/");
    let json = r#"{"users":[{"name":"ann","password":{"a":1}}]}"#;
    for played in gateway().upstream_header("content-type", "application/json").upstream(json).play().await {
        assert_eq!(played.client().text(), r#"{"users":[{"name":"ann","password":"***"}]}"#, "{played}");
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(json.as_bytes()).expect("compressed");
    let gateway_of_gzip = gateway().upstream_header("content-encoding", "gzip");
    let gateway_of_gzip = gateway_of_gzip.upstream_header("content-type", "application/json");
    for played in gateway_of_gzip.upstream(gzip.finish().expect("compressed")).play().await {
        assert_eq!(played.client().text(), r#"{"users":[{"name":"ann","password":"***"}]}"#, "{played}");
        assert_eq!(played.client().header("content-encoding"), "", "{played}");
    }
    for played in gateway().upstream(json).play().await {
        assert_eq!(played.client().text(), json, "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_opens() {
    let gateway = || {
        let tokens = ["right".to_owned()].into();
        TestGateway::new(token(tokens))
            .bodies(BodySendMode::None)
            .every_mode()
            .post("/", "body")
            .upstream("response")
    };
    for played in gateway().header("authorization", "Bearer right").play().await {
        let upstream = played.upstream().expect("a request");
        assert_eq!((upstream.text(), upstream.header("authorization")), ("body", String::new()), "{played}");
    }
    for gateway in [
        gateway(),
        gateway().header("authorization", "Bearer wrong"),
        gateway().header("authorization", "right"),
    ] {
        for played in gateway.play().await {
            assert_eq!((played.client().status(), played.upstream()), (401, None), "{played}");
            assert_eq!(played.client().header("www-authenticate"), "Bearer", "{played}");
            assert_eq!(played.details(), Some("no_valid_token"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_change() {
    let gateway = || TestGateway::new(events("secret".to_owned(), "***".to_owned())).every_mode().get("/");
    let stream = "id: 1\ndata: a secret\n\n: alive\n\ndata: another\n\n";
    for played in gateway().upstream_header("content-type", "text/event-stream").upstream(stream).play().await
    {
        assert_eq!(played.client().text(), "id: 1\ndata: a ***\n\n: alive\n\ndata: another\n\n", "{played}");
    }
    for played in gateway().upstream(stream).play().await {
        assert_eq!(played.client().text(), stream, "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_choose_routes() {
    let gateway = |body: &'static str| {
        let handler = route("model".to_owned(), http::HeaderName::from_static("x-model"));
        let gateway =
            TestGateway::new(handler).bodies(BodySendMode::Buffered).bodies(BodySendMode::FullDuplexStreamed);
        gateway.post("/", body).header("content-type", "application/json").header("x-model", "forged")
    };
    for played in gateway(r#"{"model":"large"}"#).play().await {
        let upstream = played.upstream().expect("a request");
        assert_eq!(
            (upstream.header("x-model"), upstream.text()),
            ("large".into(), r#"{"model":"large"}"#),
            "{played}"
        );
        assert_eq!(played.rerouted(), 1, "{played}");
    }
    for body in ["no JSON", "{}", r#"{"model":1}"#] {
        for played in gateway(body).play().await {
            let upstream = played.upstream().expect("a request");
            assert_eq!((upstream.header("x-model"), upstream.text()), (String::new(), body), "{played}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_changes_nothing() {
    let gateway = || TestGateway::new(log).post("/", "body").upstream("response");
    let gateways = [
        gateway().bodies(BodySendMode::None).bodies(BodySendMode::Streamed),
        gateway().bodies(BodySendMode::None).bodies(BodySendMode::Streamed).observed(),
    ];
    for gateway in gateways {
        for played in gateway.play().await {
            assert_eq!(
                (played.upstream().expect("a request").text(), played.client().text()),
                ("body", "response"),
                "{played}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn layers_are_processors() {
    for played in
        TestGateway::new(layers()).bodies(BodySendMode::None).every_mode().get("/").upstream("x").play().await
    {
        assert_eq!(played.upstream().expect("a request").header("via"), "tollgate", "{played}");
        assert_eq!(played.client().header("x-content-type-options"), "nosniff", "{played}");
    }
}

#[tokio::test(start_paused = true)]
async fn endpoints_are_picked() {
    let endpoints = ["127.0.0.1:1", "127.0.0.1:2"].map(|text| text.parse().expect("an address"));
    for played in
        TestGateway::new(pick(endpoints.into())).bodies(BodySendMode::None).every_mode().get("/").play().await
    {
        let header = played.upstream().expect("a request").header("x-gateway-destination-endpoint");
        // The one before has ended.
        assert_eq!(header, "127.0.0.1:1", "{played}");
        assert_eq!(played.metadata("envoy.lb"), json!({"x-gateway-destination-endpoint": header}));
    }
    for played in TestGateway::new(pick(Vec::new())).get("/").play().await {
        assert_eq!(played.client().status(), 503, "{played}");
    }
}
