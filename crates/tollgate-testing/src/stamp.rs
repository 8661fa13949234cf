//! A processor that changes everything it sees, differently for each request: what is lost, doubled or mixed up shows.

use extproc_server::{
    Status,
    raw::{
        Processor, continue_with,
        messages::{
            BodyMutation, CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption, HttpHeaders,
            ProcessingRequest, ProcessingResponse, StreamedBodyResponse, body_mutation::Mutation,
            processing_request::Request,
        },
    },
};

/// Where a message is: before the upstream, or after it.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// Before it.
    Request,
    /// After it.
    Response,
}

/// What a body of an exchange is changed with, in one direction.
pub fn key(id: u64, side: Side) -> u8 {
    let [low, ..] = (id * 31).to_le_bytes();
    match side {
        Side::Request => low | 1,
        Side::Response => low.wrapping_mul(7) | 2,
    }
}

/// What a processor writes into heads and trailers of an exchange, in one direction.
pub fn stamp(id: u64, side: Side) -> String {
    match side {
        Side::Request => format!("request {}", id * 3 + 1),
        Side::Response => format!("response {}", id * 5 + 2),
    }
}

/// Bytes that no other request has, of a length between 1 byte and 8 KiB.
pub fn body_of(id: u64) -> Vec<u8> {
    let mut state = id;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..=id * 997 % 8192).map(next).collect()
}

/// Changes everything it sees by the id of the request.
#[derive(Debug, Default)]
pub struct Stamp {
    id: u64,
    duplex: bool,
}

fn value(headers: &HttpHeaders, name: &str) -> String {
    let headers = headers.headers.iter().flat_map(|map| &map.headers);
    let mut values = headers.filter(|header| header.key == name);
    values.next().map(|header| String::from_utf8_lossy(&header.raw_value).into_owned()).unwrap_or_default()
}

fn add(name: &str, value: String) -> CommonResponse {
    let header = HeaderValue { key: name.into(), raw_value: value.into(), ..Default::default() };
    let set_headers = vec![HeaderValueOption { header: Some(header), ..Default::default() }];
    let header_mutation = Some(HeaderMutation { set_headers, ..Default::default() });
    CommonResponse { header_mutation, ..Default::default() }
}

impl Processor for Stamp {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        let part = request.request.as_ref().ok_or_else(|| Status::invalid_argument("empty"))?;
        let change = |body: &[u8], end_of_stream, side| {
            let changed: Vec<u8> = body.iter().map(|byte| byte ^ key(self.id, side)).collect();
            let mutation = if self.duplex {
                let body = changed.into();
                Mutation::StreamedResponse(StreamedBodyResponse { body, end_of_stream, ..Default::default() })
            } else {
                Mutation::Body(changed.into())
            };
            let body_mutation = Some(BodyMutation { mutation: Some(mutation) });
            CommonResponse { body_mutation, ..Default::default() }
        };
        let response = match part {
            Request::RequestHeaders(headers) => {
                self.id = value(headers, "x-id").parse().map_err(|_| Status::invalid_argument("no id"))?;
                self.duplex = value(headers, ":path") == "/duplex";
                add("x-request", stamp(self.id, Side::Request))
            }
            Request::ResponseHeaders(_) => add("x-response", stamp(self.id, Side::Response)),
            Request::RequestBody(body) => change(&body.body, body.end_of_stream, Side::Request),
            Request::ResponseBody(body) => change(&body.body, body.end_of_stream, Side::Response),
            Request::RequestTrailers(_) => add("x-request-trailer", stamp(self.id, Side::Request)),
            Request::ResponseTrailers(_) => add("x-response-trailer", stamp(self.id, Side::Response)),
        };
        continue_with(&request, response)
    }
}
