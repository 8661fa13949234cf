use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use extproc_server::messages::{HeaderMap, HttpBody, Metadata, processing_response::Response as Reply};

use super::*;

fn ask(request: ProcessingRequest) -> ProcessingResponse {
    let answer = pin!(async { Mark.process(request).await });
    match answer.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer.unwrap(),
        Poll::Pending => panic!("it waits for nothing"),
    }
}

fn headers(fields: &[(&str, &str)]) -> HttpHeaders {
    let field = |(key, value): &(&str, &str)| HeaderValue {
        key: (*key).to_owned(),
        raw_value: value.as_bytes().to_vec().into(),
        ..Default::default()
    };
    let headers = fields.iter().map(field).collect();
    HttpHeaders { headers: Some(HeaderMap { headers }), ..Default::default() }
}

fn strings(values: &[(&str, &str)]) -> Struct {
    let value = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    Struct { fields: values.iter().map(|(key, text)| ((*key).to_owned(), value(text))).collect() }
}

/// The headers that are set, one on a line.
fn marks(response: &ProcessingResponse) -> Vec<String> {
    let Some(Reply::RequestHeaders(reply) | Reply::ResponseHeaders(reply)) = &response.response else {
        panic!("{response:?}")
    };
    let mutation = reply.response.as_ref().unwrap().header_mutation.as_ref().unwrap();
    let fields = mutation.set_headers.iter().map(|option| option.header.as_ref().unwrap());
    fields.map(|field| format!("{}: {}", field.key, String::from_utf8_lossy(&field.raw_value))).collect()
}

#[test]
fn requests_are_marked() {
    let fields = headers(&[(":method", "GET"), ("x-request-client-header", "original")]);
    let answer = ask(ProcessingRequest {
        request: Some(Request::RequestHeaders(fields)),
        attributes: [(ATTRIBUTES.to_owned(), strings(&[("xds.route_name", "a-route")]))].into(),
        ..Default::default()
    });
    assert_eq!(
        marks(&answer),
        [
            "x-request-ext-processed: true",
            "x-request-xds-route-name: a-route",
            "x-request-client-header: mutated",
            "x-request-client-header-received: original",
        ]
    );
    let emitted = Kind::StringValue("received".to_owned());
    assert_eq!(answer.dynamic_metadata, Some(written("ext-proc-emitted-metadata", emitted)));
}

#[test]
fn what_was_not_sent_is_left_out() {
    let answer =
        ask(ProcessingRequest { request: Some(Request::RequestHeaders(headers(&[]))), ..Default::default() });
    assert_eq!(marks(&answer), ["x-request-ext-processed: true", "x-request-xds-route-name: "]);
}

#[test]
fn responses_are_marked() {
    let authorization = strings(&[("enforced_engine_result", "allowed")]);
    let metadata = Metadata {
        filter_metadata: [("envoy.filters.http.rbac".to_owned(), authorization)].into(),
        ..Default::default()
    };
    let answer = ask(ProcessingRequest {
        request: Some(Request::ResponseHeaders(headers(&[(":status", "200")]))),
        attributes: [(ATTRIBUTES.to_owned(), strings(&[("request.path", "/myapp")]))].into(),
        metadata_context: Some(metadata),
        ..Default::default()
    });
    assert_eq!(
        marks(&answer),
        [
            "x-response-ext-processed: true",
            "x-response-xds-route-name: ",
            "x-response-rbac-result-metadata: allowed",
            "x-response-request-path: /myapp",
        ]
    );
}

#[test]
fn bodies_go_on_as_they_are() {
    let answer = ask(ProcessingRequest {
        request: Some(Request::ResponseBody(HttpBody::default())),
        ..Default::default()
    });
    let Some(Reply::ResponseBody(reply)) = answer.response else { panic!("{answer:?}") };
    assert_eq!(reply.response, Some(CommonResponse::default()));
    assert_eq!(answer.dynamic_metadata, None);
}
