//! A processor that makes the mistake that the path of the request names. `processor.py` makes the same.

use extproc_server::{
    Status,
    raw::{
        Gone, Raw, RawExchange, continue_with,
        messages::{
            BodyMutation, BodyResponse, CommonResponse, Duration, HeaderMap, HeaderMutation, HeaderValue,
            HeaderValueOption, HeadersResponse, HttpStatus, ImmediateResponse, ProcessingMode,
            ProcessingRequest, ProcessingResponse, StreamedBodyResponse, StreamedImmediateResponse,
            body_mutation::Mutation, processing_request::Request, processing_response::Response,
        },
    },
};

const FULL_DUPLEX_STREAMED: i32 = 4;

/// The processor.
#[derive(Debug)]
pub(crate) struct Wrong;

/// What it does about a message.
enum Act {
    Say(Vec<ProcessingResponse>),
    /// The same, and it ends the stream.
    Leave(Vec<ProcessingResponse>),
    Fail,
}

impl Raw for Wrong {
    async fn run(self, exchange: RawExchange) -> Result<(), Status> {
        let (mut mistake, mut duplex) = (String::new(), false);
        while let Some(request) = exchange.next().await {
            if let Some(config) = &request.protocol_config {
                duplex = config.request_body_mode == FULL_DUPLEX_STREAMED;
            }
            if let Some(Request::RequestHeaders(head)) = &request.request {
                let path =
                    head.headers.iter().flat_map(|map| &map.headers).find(|header| header.key == ":path");
                let path = path.map(|header| String::from_utf8_lossy(&header.raw_value).into_owned());
                mistake = path.unwrap_or_default().trim_start_matches('/').to_owned();
            }
            let (replies, leaves) = match act(&mistake, &request, duplex) {
                Act::Say(replies) => (replies, false),
                Act::Leave(replies) => (replies, true),
                Act::Fail => return Err(Status::internal("the database is down")),
            };
            for reply in replies {
                if exchange.send(reply).await == Err(Gone) {
                    return Ok(());
                }
            }
            if leaves {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn act(mistake: &str, request: &ProcessingRequest, duplex: bool) -> Act {
    let right = right(request, duplex);
    match &request.request {
        _ if request.observability_mode && mistake != "answer-to-copy" => Act::Say(Vec::new()),
        Some(Request::RequestHeaders(_)) => in_headers(mistake, right),
        Some(Request::RequestBody(_)) => in_body(mistake, right),
        _ => Act::Say(vec![right]),
    }
}

/// What lets the message go on.
fn right(request: &ProcessingRequest, duplex: bool) -> ProcessingResponse {
    let common = match &request.request {
        Some(Request::RequestBody(body) | Request::ResponseBody(body)) if duplex => {
            streamed(&body.body, body.end_of_stream)
        }
        _ => CommonResponse::default(),
    };
    continue_with(request, common).expect("a message that is known")
}

fn streamed(body: &[u8], end_of_stream: bool) -> CommonResponse {
    let piece = StreamedBodyResponse { body: body.to_vec().into(), end_of_stream, ..Default::default() };
    with_body(Mutation::StreamedResponse(piece))
}

fn with_body(mutation: Mutation) -> CommonResponse {
    let body_mutation = Some(BodyMutation { mutation: Some(mutation) });
    CommonResponse { body_mutation, ..Default::default() }
}

fn with_header(header: HeaderValue) -> CommonResponse {
    let option = HeaderValueOption { header: Some(header), ..Default::default() };
    let header_mutation = Some(HeaderMutation { set_headers: vec![option], ..Default::default() });
    CommonResponse { header_mutation, ..Default::default() }
}

fn header(key: &str, value: &'static str) -> HeaderValue {
    HeaderValue { key: key.to_owned(), raw_value: value.into(), ..Default::default() }
}

fn says(response: Response) -> ProcessingResponse {
    ProcessingResponse { response: Some(response), ..Default::default() }
}

fn headers(common: CommonResponse) -> Act {
    Act::Say(vec![says(Response::RequestHeaders(HeadersResponse { response: Some(common) }))])
}

fn body(common: CommonResponse) -> ProcessingResponse {
    says(Response::RequestBody(BodyResponse { response: Some(common) }))
}

fn in_headers(mistake: &str, right: ProcessingResponse) -> Act {
    match mistake {
        "wrong-kind" => Act::Say(vec![body(CommonResponse::default())]),
        "second-reply" => Act::Say(vec![right.clone(), right]),
        "missing-reply" => Act::Leave(Vec::new()),
        "silence" => Act::Say(Vec::new()),
        "error" => Act::Fail,
        "empty-message" => Act::Say(vec![ProcessingResponse::default()]),
        "after-the-end" => {
            let status = Some(HttpStatus { code: 403 });
            let own = ImmediateResponse { status, ..Default::default() };
            Act::Leave(vec![says(Response::ImmediateResponse(own)), right])
        }
        "body-in-headers" => headers(with_body(Mutation::Body("new".into()))),
        "refused-header" => headers(with_header(header("host", "elsewhere"))),
        "invalid-header" => headers(with_header(header("x-a", "a\r\nb"))),
        "value-member" => headers(with_header(HeaderValue { value: "text".to_owned(), ..header("x-a", "") })),
        "trailers-member" => {
            let trailers = Some(HeaderMap { headers: vec![header("x-a", "1")] });
            headers(CommonResponse { trailers, ..Default::default() })
        }
        "reroute" => headers(CommonResponse { clear_route_cache: true, ..Default::default() }),
        "override" => {
            let mode_override = Some(ProcessingMode::default());
            Act::Say(vec![ProcessingResponse { mode_override, ..right }])
        }
        "timeout" => {
            let override_message_timeout = Some(Duration { seconds: 10, nanos: 0 });
            let wish = ProcessingResponse { override_message_timeout, ..Default::default() };
            Act::Say(vec![wish, right])
        }
        "streamed-immediate" => {
            Act::Say(vec![says(Response::StreamedImmediateResponse(StreamedImmediateResponse {
                response: Some(begun()),
            }))])
        }
        "status" => headers(CommonResponse { status: 7, ..Default::default() }),
        _ => Act::Say(vec![right]),
    }
}

/// The head of a response of its own that is sent in pieces.
fn begun() -> extproc_server::raw::messages::streamed_immediate_response::Response {
    use extproc_server::raw::messages::{HttpHeaders, streamed_immediate_response::Response};
    let headers = Some(HeaderMap { headers: vec![header(":status", "200")] });
    Response::HeadersResponse(HttpHeaders { headers, ..Default::default() })
}

fn in_body(mistake: &str, right: ProcessingResponse) -> Act {
    let unfinished = || body(streamed(b"bo", false));
    let finished = || body(streamed(b"b", true));
    match mistake {
        "unfinished" => Act::Leave(vec![unfinished()]),
        "no-end" => Act::Say(vec![unfinished()]),
        "behind-the-end" => Act::Say(vec![finished(), finished()]),
        "streamed-response" => Act::Say(vec![body(streamed(b"body", true))]),
        "plain-body" => Act::Say(vec![body(with_body(Mutation::Body("new".into())))]),
        "length" => Act::Say(vec![body(with_body(Mutation::Body("longer".into())))]),
        "late-headers" => Act::Say(vec![body(with_header(header("x-late", "1")))]),
        _ => Act::Say(vec![right]),
    }
}
