//! A processor that shows the order of several.

use extproc_server::{
    Status,
    raw::{
        Processor, continue_with,
        messages::{
            BoolValue, CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption, ProcessingRequest,
            ProcessingResponse, processing_request::Request,
        },
    },
};

use crate::http::Response;

/// Writes its name behind those of the processors before it.
#[derive(Debug)]
pub struct Signature(pub &'static str);

impl Processor for Signature {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        let key = match &request.request {
            Some(Request::RequestHeaders(_)) => "x-request",
            _ => "x-response",
        };
        let header = HeaderValue { key: key.to_owned(), raw_value: self.0.into(), ..Default::default() };
        let append = Some(BoolValue { value: true });
        let option = HeaderValueOption { header: Some(header), append, ..Default::default() };
        let header_mutation = Some(HeaderMutation { set_headers: vec![option], ..Default::default() });
        continue_with(&request, CommonResponse { header_mutation, ..Default::default() })
    }
}

/// The names in `x-request` (of an upstream that gives requests back) or `x-response`.
pub fn written<'r>(response: &'r Response, name: &str) -> Vec<&'r str> {
    let of_it = response.headers.iter().filter(|(known, _)| known == name);
    of_it.map(|(_, value)| value.as_str()).collect()
}
