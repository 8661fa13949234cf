//! Parts of the request path alone: codec, mutation, routing, exchange. `cargo bench -p bench` runs them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use divan::{Bencher, black_box};
use extproc::{
    Direction, ForwardRules, Messages, MutationRules, Plan, RequestHeaders, ResponseHeaders,
    codec::{Decoder, Envelope, HeadersRef, encode_body, encode_headers},
    exchange::Exchange,
    messages::{
        CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption, HeadersResponse, ProcessingResponse,
        processing_response::Response,
    },
    metadata::MetadataContext,
    mutation::{Policy, Target, apply},
    sim::Transaction,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use prost::Message as _;
use tollgate_model::route::{
    Action, ClusterSpecifier, RequestFacts, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost,
    VirtualHosts,
};

fn main() {
    divan::main();
}

fn request(fields: usize) -> RequestHeaders {
    let mut map = HeaderMap::new();
    for index in 0..fields {
        let name = HeaderName::try_from(format!("x-field-{index}")).expect("valid");
        map.append(name, "a value of some thirty letters.".parse().expect("valid"));
    }
    RequestHeaders {
        method: Method::GET,
        scheme: http::HeaderValue::from_static("http"),
        authority: http::HeaderValue::from_static("bench.example.com"),
        path: http::HeaderValue::from_static("/api/v1/items/42?page=2&order=name"),
        fields: map,
    }
}

fn envelope() -> Envelope<'static> {
    Envelope {
        protocol_config: None,
        attributes: None,
        metadata_context: MetadataContext::default(),
        observability_mode: false,
    }
}

fn mutation() -> HeaderMutation {
    let set = |key: &str, value: &'static str| HeaderValueOption {
        header: Some(HeaderValue { key: key.into(), raw_value: value.into(), ..Default::default() }),
        append_action: 2,
        ..Default::default()
    };
    HeaderMutation {
        set_headers: vec![set("x-bench-tenant", "42"), set("x-bench-class", "standard")],
        ..Default::default()
    }
}

fn headers_reply(direction: Direction, mutation: Option<HeaderMutation>) -> Bytes {
    let reply = HeadersResponse {
        response: Some(CommonResponse { header_mutation: mutation, ..Default::default() }),
    };
    let response = match direction {
        Direction::Request => Response::RequestHeaders(reply),
        Direction::Response => Response::ResponseHeaders(reply),
    };
    ProcessingResponse { response: Some(response), ..Default::default() }.encode_to_vec().into()
}

#[divan::bench(args = [6, 20])]
fn encode_request_headers(bencher: Bencher<'_, '_>, fields: usize) {
    let (request, rules) = (request(fields), ForwardRules::default());
    bencher.bench_local(|| {
        let mut out = BytesMut::new();
        encode_headers(
            &mut out,
            Direction::Request,
            HeadersRef::Request(black_box(&request)),
            true,
            &rules,
            &envelope(),
        );
        out
    });
}

#[divan::bench(args = [4096, 65_536])]
fn encode_body_piece(bencher: Bencher<'_, '_>, size: usize) {
    let body = Bytes::from(vec![7; size]);
    bencher.bench_local(|| {
        let mut out = BytesMut::new();
        let body = black_box(&body).clone().into();
        let payload = encode_body(&mut out, Direction::Request, body, false, &envelope());
        (out, payload)
    });
}

/// A message of this size that comes in frames of 16 KiB.
#[divan::bench(args = [100, 4096, 65_536])]
fn decode_message(bencher: Bencher<'_, '_>, size: u32) {
    let mut framed = vec![0];
    framed.extend(size.to_be_bytes());
    framed.resize(framed.len() + size as usize, 7);
    let framed = Bytes::from(framed);
    bencher.bench_local(|| {
        let mut decoder = Decoder::new(1 << 20);
        let mut found = None;
        for start in (0..framed.len()).step_by(16_384) {
            decoder.push(framed.slice(start..framed.len().min(start + 16_384)));
            found = decoder.next().expect("valid");
        }
        found.expect("a message")
    });
}

#[divan::bench(args = [6, 20])]
fn set_two_headers(bencher: Bencher<'_, '_>, fields: usize) {
    let (request, mutation, rules) = (request(fields), mutation(), MutationRules::default());
    let policy = Policy {
        rules: &rules,
        header_prefix: "x-envoy",
        replace_message: false,
        content_length_removed: false,
        max_count: 100,
        max_bytes: 60 * 1024,
    };
    bencher.with_inputs(|| request.clone()).bench_local_refs(|request| {
        apply(black_box(&mutation), Target::Request(request), &policy).expect("allowed")
    });
}

/// The last of so many hosts.
#[divan::bench(args = [10, 100, 1000, 10_000])]
fn find_route(bencher: Bencher<'_, '_>, hosts: usize) {
    let all = (1..hosts)
        .map(|index| virtual_host(format!("other-{index}.example.com")))
        .chain([virtual_host("bench.example.com".to_owned())])
        .collect();
    let virtual_hosts = VirtualHosts::new(all).expect("no domain twice");
    let table = RouteConfiguration { virtual_hosts, ..Default::default() };
    let request = request(6);
    bencher.bench_local(|| {
        table
            .find(black_box(&request), RequestFacts::default())
            .map(|found| found.virtual_host_index)
            .expect("a route")
    });
}

fn virtual_host(domain: String) -> Arc<VirtualHost> {
    let action = RouteAction::new(ClusterSpecifier::Cluster("upstream".into()));
    let route = Route::new(RouteMatch::any(), Action::Route(Box::new(action)));
    Arc::new(VirtualHost::new(domain.clone(), vec![domain], vec![Arc::new(route)]))
}

/// Both heads with their replies, without the network.
#[divan::bench(args = [6, 20])]
fn exchange_of_headers(bencher: Bencher<'_, '_>, fields: usize) {
    let plan = Arc::new(Plan { message_timeout: Duration::from_secs(5), ..Plan::new("ext_proc") });
    let request = request(fields);
    let response = ResponseHeaders { status: StatusCode::OK, fields: request.fields.clone() };
    let replies =
        [headers_reply(Direction::Request, Some(mutation())), headers_reply(Direction::Response, None)];
    let now = Instant::now();
    bencher
        .with_inputs(|| Transaction {
            messages: Messages {
                request: request.clone(),
                request_trailers: None,
                response: Some(response.clone()),
                response_trailers: None,
            },
            ..Transaction::default()
        })
        .bench_local_refs(|transaction| {
            let mut exchange = Exchange::new(plan.clone());
            for (direction, reply) in [Direction::Request, Direction::Response].into_iter().zip(&replies) {
                exchange.handle_headers(direction, true, now, transaction);
                while let Some(action) = exchange.poll_action() {
                    black_box(action);
                }
                exchange.handle_message(reply.clone().into(), now, transaction);
                while let Some(action) = exchange.poll_action() {
                    black_box(action);
                }
            }
            exchange
        });
}
