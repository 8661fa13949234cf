use extproc_server::{
    Code,
    messages::{
        BodyResponse, HeadersResponse, HttpTrailers, TrailersResponse, processing_response::Response,
    },
};

use super::*;

fn ask(request: Request) -> Result<ProcessingResponse, Status> {
    let request = ProcessingRequest { request: Some(request), ..Default::default() };
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut answer = Box::pin(async { Instructions.process(request).await });
    match answer.as_mut().poll(&mut context) {
        std::task::Poll::Ready(answer) => answer,
        std::task::Poll::Pending => panic!("it waits for nothing"),
    }
}

fn headers(fields: &[(&str, &str)]) -> HttpHeaders {
    let headers = fields.iter().map(|(key, value)| header((*key).into(), (*value).into())).collect();
    HttpHeaders { headers: Some(HeaderMap { headers }), ..Default::default() }
}

fn response_to(json: &str) -> CommonResponse {
    match ask(Request::RequestHeaders(headers(&[(":method", "GET"), ("instructions", json)])))
        .unwrap()
        .response
    {
        Some(Response::RequestHeaders(HeadersResponse { response: Some(response) })) => response,
        other => panic!("{other:?}"),
    }
}

fn set_headers(response: &CommonResponse) -> Vec<(&str, &[u8])> {
    let mutation = response.header_mutation.as_ref().unwrap();
    let fields = mutation.set_headers.iter().map(|option| option.header.as_ref().unwrap());
    fields.map(|field| (field.key.as_str(), field.raw_value.as_ref())).collect()
}

#[test]
fn without_the_header_nothing_changes() {
    for fields in [&[][..], &[(":method", "GET"), ("instruction", "{}")]] {
        let answer = ask(Request::RequestHeaders(headers(fields))).unwrap();
        let continues = HeadersResponse { response: Some(CommonResponse::default()) };
        assert_eq!(answer.response, Some(Response::RequestHeaders(continues)));
    }
}

#[test]
fn headers_are_added_and_removed() {
    let response =
        response_to(r#"{"addHeaders":{"header3":"value3"},"removeHeaders":["instructions","user-agent"]}"#);
    assert_eq!(set_headers(&response), [("header3", &b"value3"[..])]);
    let mutation = response.header_mutation.unwrap();
    assert_eq!(mutation.remove_headers, ["instructions", "user-agent"]);
    assert!(mutation.set_headers.iter().all(|option| option.append.is_none()), "replaces");
    assert_eq!((response.status, response.body_mutation), (common_response::CONTINUE, None));
}

#[test]
fn names_match_without_case_and_unknown_ones_are_ignored() {
    let response = response_to(r#"{"ADDHEADERS":{"a":"1"},"setbody":null,"delay":{"x":[1]}}"#);
    assert_eq!(set_headers(&response), [("a", &b"1"[..])]);
    assert_eq!(response_to("null"), CommonResponse::default());
    assert_eq!(response_to("{}"), CommonResponse::default());
}

#[test]
fn a_body_replaces_the_one_of_the_message() {
    let response = response_to(r#"{"setBody":"hello"}"#);
    assert_eq!(response.status, common_response::CONTINUE_AND_REPLACE);
    assert_eq!(response.body_mutation, Some(mutation(Mutation::Body("hello".into()))));
    assert_eq!(set_headers(&response), [("content-type", &b"text/plain"[..])]);
}

#[test]
fn trailers_are_passed_on_in_their_field() {
    let trailers = response_to(r#"{"setTrailers":{"t":"v"}}"#).trailers.unwrap();
    assert_eq!(trailers.headers, [header("t".into(), "v".into())]);
}

#[test]
fn the_response_side_has_instructions_too() {
    let answer = ask(Request::ResponseHeaders(headers(&[("instructions", r#"{"addHeaders":{"a":"1"}}"#)])));
    let Some(Response::ResponseHeaders(HeadersResponse { response: Some(response) })) =
        answer.unwrap().response
    else {
        panic!("an answer to response headers")
    };
    assert_eq!(set_headers(&response), [("a", &b"1"[..])]);
}

#[test]
fn what_is_no_instruction_ends_the_exchange() {
    for json in [
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
        r#"{"setTrailers":1}"#,
    ] {
        let status = ask(Request::RequestHeaders(headers(&[("instructions", json)]))).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{json}");
    }
}

#[test]
fn bodies_are_echoed_as_pieces() {
    let body = HttpBody { body: "piece".into(), end_of_stream: true, ..Default::default() };
    let piece = StreamedBodyResponse { body: "piece".into(), end_of_stream: true, ..Default::default() };
    let response = CommonResponse {
        body_mutation: Some(mutation(Mutation::StreamedResponse(piece))),
        ..Default::default()
    };
    let expected = BodyResponse { response: Some(response) };
    assert_eq!(
        ask(Request::RequestBody(body.clone())).unwrap().response,
        Some(Response::RequestBody(expected.clone()))
    );
    assert_eq!(ask(Request::ResponseBody(body)).unwrap().response, Some(Response::ResponseBody(expected)));
}

#[test]
fn trailers_go_on() {
    let answer = ask(Request::ResponseTrailers(HttpTrailers::default())).unwrap();
    assert_eq!(answer.response, Some(Response::ResponseTrailers(TrailersResponse::default())));
}
