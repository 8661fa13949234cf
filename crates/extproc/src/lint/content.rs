//! What replies say, once their kind is right.

use super::{
    Findings, Lint, Rule, headers,
    steps::{Piece, Steps, name},
};
use crate::{
    BodySendMode, Direction, Plan,
    messages::{
        self, CommonResponse, HeaderMutation, ImmediateResponse, ProcessingResponse,
        StreamedImmediateResponse,
        body_mutation::Mutation,
        common_response::{CONTINUE, CONTINUE_AND_REPLACE},
        streamed_immediate_response::Response,
    },
};

/// A reply to headers.
pub(super) fn headers(steps: &mut Steps, plan: &Plan, common: &CommonResponse, found: &mut Findings) {
    let replaces = common.status == CONTINUE_AND_REPLACE;
    common_members(steps, common, found);
    if let Some(mutation) = &common.header_mutation {
        headers::mutation(mutation, steps.direction, plan, replaces, found);
    }
    reroute(steps, common, steps.direction == Direction::Request, found);
    if replaces {
        steps.replace();
    } else if common.body_mutation.is_some() {
        found.add(Rule::BodyInHeaders, "a body in the reply to headers, with status CONTINUE");
    }
    if let Some(length) = common.header_mutation.as_ref().and_then(length_of) {
        steps.length = length;
    }
}

/// A reply to a body.
pub(super) fn body(
    steps: &mut Steps,
    plan: &Plan,
    common: &CommonResponse,
    piece: Piece,
    found: &mut Findings,
) {
    common_members(steps, common, found);
    let held = piece == Piece::Collected && steps.headers_shown;
    if let Some(mutation) = &common.header_mutation {
        let empty = mutation.set_headers.is_empty() && mutation.remove_headers.is_empty();
        if held {
            headers::mutation(mutation, steps.direction, plan, false, found);
            if let Some(length) = length_of(mutation) {
                steps.length = length;
            }
        } else if !empty {
            found.add(Rule::LateHeaders, format!("headers in a reply to a body in {}", name(steps.mode())));
        }
    }
    reroute(steps, common, held && steps.direction == Direction::Request, found);
    let new = match common.body_mutation.as_ref().and_then(|mutation| mutation.mutation.as_ref()) {
        Some(Mutation::Body(body)) => Some(body.len() as u64),
        Some(Mutation::ClearBody(true)) => Some(0),
        _ => None,
    };
    let announced = steps.length.filter(|_| held && steps.mode() == BodySendMode::Buffered);
    if let (Some(new), Some(announced)) = (new, announced)
        && new != announced
    {
        found.add(Rule::Length, format!("a body of {new} bytes, but content-length is {announced}"));
    }
}

fn common_members(steps: &Steps, common: &CommonResponse, found: &mut Findings) {
    if !matches!(common.status, CONTINUE | CONTINUE_AND_REPLACE) {
        found.add(Rule::Status, format!("status {}", common.status));
    }
    if common.trailers.as_ref().is_some_and(|trailers| !trailers.headers.is_empty()) {
        let message = if steps.direction == Direction::Request { "request" } else { "response" };
        found.add(Rule::TrailersMember, format!("trailers in another reply of the {message}"));
    }
}

fn reroute(steps: &Steps, common: &CommonResponse, possible: bool, found: &mut Findings) {
    if !common.clear_route_cache {
        return;
    }
    if common.header_mutation.is_none() {
        found.add(Rule::Reroute, "clear_route_cache without a header_mutation");
    } else if !possible {
        let words = match steps.direction {
            Direction::Request => "clear_route_cache when the headers have been passed on",
            Direction::Response => "clear_route_cache in the response direction",
        };
        found.add(Rule::Reroute, words);
    }
}

/// What a mutation makes of `content-length`; the inner value is `None` if it is removed.
fn length_of(mutation: &HeaderMutation) -> Option<Option<u64>> {
    let is_length = |name: &str| name.eq_ignore_ascii_case("content-length");
    let mut set = mutation.set_headers.iter().filter_map(|option| option.header.as_ref());
    if let Some(header) = set.rfind(|header| is_length(&header.key)) {
        return Some(std::str::from_utf8(&header.raw_value).ok().and_then(|text| text.parse().ok()));
    }
    mutation.remove_headers.iter().any(|name| is_length(name)).then_some(None)
}

impl Lint {
    pub(super) fn check_timeout(
        &self,
        timeout: &messages::Duration,
        message: &ProcessingResponse,
        found: &mut Findings,
    ) {
        if message.response.is_some() || message.mode_override.is_some() {
            found.add(Rule::Timeout, "override_message_timeout hides the rest of its message (P-4)");
        }
        let max = self.plan.max_message_timeout.as_millis();
        let asked = timeout.whole_milliseconds();
        if max == 0 {
            found.add(Rule::Timeout, "override_message_timeout, but max_message_timeout is not set");
        } else if !u128::try_from(asked).is_ok_and(|asked| (1..=max).contains(&asked)) {
            found.add(Rule::Timeout, format!("{asked} ms asked for, {max} ms allowed"));
        }
    }

    pub(super) fn check_override(
        &mut self,
        mode: &messages::ProcessingMode,
        alone: bool,
        found: &mut Findings,
    ) {
        let configured = &self.plan.filter_processing_mode;
        let duplex = BodySendMode::FullDuplexStreamed;
        let reason = if !self.plan.allow_mode_override {
            "allow_mode_override is not set"
        } else if self.plan.send_body_without_waiting_for_header_response {
            "send_body_without_waiting_for_header_response is set"
        } else if configured.request_body_mode == duplex || configured.response_body_mode == duplex {
            "a body mode is FULL_DUPLEX_STREAMED already"
        } else if alone && !self.request.awaits_headers() {
            "the request headers are not awaited"
        } else if alone && mode.request_body_mode != duplex as i32 {
            "a message of its own may ask for FULL_DUPLEX_STREAMED only"
        } else if !self.request.awaits_headers() && !self.response.awaits_headers() {
            "no headers are awaited"
        } else {
            self.request.adopt(mode.request_body_mode);
            self.response.adopt(mode.response_body_mode);
            return;
        };
        found.add(Rule::Override, format!("mode_override, but {reason}"));
    }

    pub(super) fn check_immediate(&mut self, response: &ImmediateResponse, found: &mut Findings) {
        self.answered = true;
        if self.plan.disable_immediate_response {
            found.add(Rule::Immediate, "immediate_response, but disable_immediate_response is set");
        }
        if let Some(mutation) = &response.headers {
            // I-4
            for option in &mutation.set_headers {
                let key = option.header.as_ref().map_or("", |header| &header.key);
                if key == ":status" || key.eq_ignore_ascii_case("content-length") {
                    found.add(Rule::RefusedHeader, format!("{key:?} of a response cannot be set here"));
                }
            }
            let mut rest = mutation.clone();
            rest.set_headers.retain(|option| {
                option.header.as_ref().is_none_or(|header| {
                    header.key != ":status" && !header.key.eq_ignore_ascii_case("content-length")
                })
            });
            headers::mutation(&rest, Direction::Response, &self.plan, false, found);
        }
    }

    pub(super) fn check_streamed(&mut self, piece: &StreamedImmediateResponse, found: &mut Findings) {
        match &piece.response {
            Some(Response::HeadersResponse(head)) => {
                let headers = head.headers.iter().flat_map(|map| &map.headers);
                let has_status = headers.clone().any(|header| header.key == ":status");
                headers.for_each(|header| headers::value(header, found));
                let mode = self.request.mode();
                let streams = matches!(mode, BodySendMode::None | BodySendMode::FullDuplexStreamed);
                if self.responding || !self.request.awaits_headers() {
                    found.add(Rule::StreamedImmediate, "the request headers are not awaited");
                } else if !has_status {
                    found.add(Rule::StreamedImmediate, "headers without a :status");
                } else if !head.end_of_stream && !streams {
                    found.add(Rule::StreamedImmediate, format!("a body in {}", name(mode)));
                }
                self.responding = true;
                self.answered = head.end_of_stream;
            }
            Some(Response::BodyResponse(_) | Response::TrailersResponse(_)) if !self.responding => {
                found.add(Rule::StreamedImmediate, "a piece before the headers");
            }
            Some(Response::BodyResponse(piece)) => self.answered = piece.end_of_stream,
            Some(Response::TrailersResponse(_)) => self.answered = true,
            None => found.add(Rule::EmptyMessage, "a streamed_immediate_response that says nothing"),
        }
    }
}
