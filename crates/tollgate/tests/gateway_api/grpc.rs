//! GRPCRoute: matching, filters, weights and errors in gRPC's own form (9.7).

use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, time::timeout};

use super::world::{DEADLINE, GATEWAY, World, route};

/// What a client of gRPC sees.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    grpc_status: Option<String>,
    backend: Option<String>,
}

async fn call(world: &World, host: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let stream = TcpStream::connect(world.address("http")).await.expect("a connection");
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2 with prior knowledge");
    let driver = tokio::spawn(connection);
    let mut request = Request::post(format!("http://{host}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(String::new()).expect("a request");
    let response =
        timeout(DEADLINE, sender.send_request(request)).await.expect("in time").expect("a response");
    let header =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let answer = Answer {
        status: response.status().as_u16(),
        grpc_status: header("grpc-status"),
        backend: header("x-backend"),
    };
    driver.abort();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_matched_by_service_method_and_headers() {
    let rules = "  - name: exact
    matches: [{method: {service: a.Echo, method: Get}}, {method: {service: a.Whole}}, {method: {method: Anywhere}}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-backend, value: exact}]}}]
    backendRefs: [{name: grpc, port: 80}]
  - matches: [{method: {service: a.Echo, method: Get}, headers: [{name: version, value: two}]}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-backend, value: header}]}}]
    backendRefs: [{name: grpc, port: 80}]
  - matches: [{method: {type: RegularExpression, service: 'b\\..*', method: 'Put|Post'}}]
    backendRefs: [{name: h2c, port: 80}]
  - matches: [{method: {service: a.Lost}}]
    backendRefs: [{name: lost, port: 80}]
  - matches: [{method: {service: a.Empty}}]
    backendRefs: [{name: empty, port: 80}]";
    let text = format!("{GATEWAY}{}", route("GRPCRoute", "grpc", "grpc.test", rules));
    let world = World::start(&text).await;
    let answer = |status, grpc_status: Option<&str>, backend: Option<&str>| Answer {
        status,
        grpc_status: grpc_status.map(str::to_owned),
        backend: backend.map(str::to_owned),
    };
    for (path, headers, expected) in [
        ("/a.Echo/Get", &[][..], answer(200, None, Some("exact"))),
        ("/a.Echo/Get", &[("version", "two")], answer(200, None, Some("header"))),
        ("/a.Whole/Thing", &[], answer(200, None, Some("exact"))),
        ("/c.D/Anywhere", &[], answer(200, None, Some("exact"))),
        ("/b.X/Post", &[], answer(200, None, Some("h2c"))),
        // Unimplemented, over 200 as trailers only.
        ("/a.Echo/Put", &[], answer(200, Some("12"), None)),
        ("/a.Lost/Get", &[], answer(200, Some("2"), None)),
        ("/a.Empty/Get", &[], answer(200, Some("14"), None)),
    ] {
        assert_eq!(call(&world, "grpc.test", path, headers).await, expected, "{path} {headers:?}");
    }
}
