//! Replies in one line, for transcripts.

use envoy_types::pb::envoy::service::ext_proc::v3::{
    CommonResponse, HeaderMutation, ProcessingResponse, body_mutation::Mutation,
    processing_response::Response,
};

use crate::scenario::text::{from_latin1, show};

/// One line about a reply for the transcript.
pub(crate) fn describe(message: &ProcessingResponse) -> String {
    let mutation = |mutation: &Option<HeaderMutation>| {
        mutation.as_ref().map_or_else(String::new, |mutation| {
            let sets = mutation.set_headers.iter().filter_map(|option| option.header.as_ref());
            let sets: Vec<String> = sets
                .take(8)
                .map(|h| format!("{}={}", h.key, show(from_latin1(&h.raw_value).as_bytes())))
                .collect();
            let removes = &mutation.remove_headers[..mutation.remove_headers.len().min(8)];
            format!(" set[{}] remove[{}]", sets.join(", "), removes.join(", "))
        })
    };
    let common = |common: &Option<CommonResponse>| {
        common.as_ref().map_or_else(String::new, |common| {
            let body = match common.body_mutation.as_ref().and_then(|body| body.mutation.as_ref()) {
                None => String::new(),
                Some(Mutation::Body(body)) => format!(" body={}", show(body)),
                Some(Mutation::ClearBody(clear)) => format!(" clear_body={clear}"),
                Some(Mutation::StreamedResponse(streamed)) => {
                    format!(" streamed={} end_of_stream={}", show(&streamed.body), streamed.end_of_stream)
                }
            };
            format!(" status={}{}{body}", common.status, mutation(&common.header_mutation))
        })
    };
    let what = match &message.response {
        None => "empty reply".to_owned(),
        Some(Response::RequestHeaders(r)) => format!("request_headers{}", common(&r.response)),
        Some(Response::ResponseHeaders(r)) => format!("response_headers{}", common(&r.response)),
        Some(Response::RequestBody(r)) => format!("request_body{}", common(&r.response)),
        Some(Response::ResponseBody(r)) => format!("response_body{}", common(&r.response)),
        Some(Response::RequestTrailers(r)) => format!("request_trailers{}", mutation(&r.header_mutation)),
        Some(Response::ResponseTrailers(r)) => format!("response_trailers{}", mutation(&r.header_mutation)),
        Some(Response::ImmediateResponse(r)) => format!("immediate_response {:?}", r.status.map(|s| s.code)),
        Some(Response::StreamedImmediateResponse(_)) => "streamed_immediate_response".to_owned(),
    };
    let mode = if message.mode_override.is_some() { " +mode_override" } else { "" };
    let timeout = if message.override_message_timeout.is_some() { " +override_message_timeout" } else { "" };
    format!("{what}{mode}{timeout}")
}
