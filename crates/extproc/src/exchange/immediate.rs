//! Responses the processor gives itself, at once (13.1, 13.2) or piece by piece (13.3).

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{
    Action, Exchange, FailedReason, Host, LocalReply, Outcome, StreamedReply, close::CloseKind,
    failure::Failure, side::Awaiting,
};
use crate::{
    http_message::{Direction, ResponseHeaders},
    log::{Note, Step},
    messages::{ImmediateResponse, StreamedImmediateResponse, streamed_immediate_response::Response},
    mode::BodySendMode,
    mutation::{self, Policy, StreamedHeadersError},
    slices::Slices,
};

/// S-4.
const STREAMED_REPLY_NEEDS_MODE: &str =
    "streaming_local_response_body_is_only_supported_in_NONE_or_FULL_DUPLEX_STREAMED_modes";

/// S-3.
const MISSING_STATUS: &str = "filter_removed_required_response_headers{missing_required_header:_:status}";

impl Exchange {
    pub(super) fn immediate_response(&mut self, response: ImmediateResponse, now: Instant) {
        self.note(Note::ImmediateResponse);
        if self.plan.disable_immediate_response {
            // I-13
            self.spurious("unhandled_immediate_response_due_to_config_disabled_it", now);
            return;
        }
        self.counters.stream_msgs_received += 1;
        self.record_outstanding(0, now);
        // I-2
        let status = response
            .status
            .and_then(|status| u16::try_from(status.code).ok())
            .filter(|code| *code >= 200)
            .and_then(|code| StatusCode::from_u16(code).ok())
            .unwrap_or(StatusCode::OK);
        let mut head = ResponseHeaders { status, fields: HeaderMap::new() };
        if let Some(wanted) = &response.headers {
            let plan = &self.plan;
            // I-4: a refusal stops the mutation, not the reply.
            let (count, header) = match mutation::apply_to_local_reply(
                wanted,
                &mut head,
                &plan.mutation_rules,
                &plan.header_prefix,
            ) {
                Ok(applied) => (applied.ignored, applied.header),
                Err(refused) => (refused.ignored_before + 1, refused.header),
            };
            self.ignored(Direction::Response, Step::Headers, count, header);
        }
        self.finish_stream(CloseKind::Orderly);
        self.reply(LocalReply {
            status,
            fields: head.fields,
            body: response.body,
            grpc_status: response.grpc_status.map(|grpc| grpc.status),
            details: underscored(&response.details),
        });
    }

    pub(super) fn streamed_immediate_response(
        &mut self,
        response: StreamedImmediateResponse,
        now: Instant,
        host: &mut dyn Host,
    ) {
        match response.response {
            None => {
                // S-6
                self.counters.stream_msgs_received += 1;
                self.fail(&Failure::EmptyStreamedReply, now);
            }
            Some(Response::HeadersResponse(head)) => {
                let end_stream = head.end_of_stream;
                if self.request.awaiting != Awaiting::Headers || self.streamed_reply != StreamedReply::None {
                    self.spurious("spurious_message", now);
                    return;
                }
                let streams =
                    matches!(self.request.body_mode, BodySendMode::None | BodySendMode::FullDuplexStreamed);
                if !end_stream && !streams {
                    self.spurious(STREAMED_REPLY_NEEDS_MODE, now);
                    return;
                }
                self.start_streamed_reply(&head.headers.unwrap_or_default(), end_stream, now, host);
            }
            Some(Response::BodyResponse(piece)) => {
                if self.streamed_reply != StreamedReply::Started {
                    self.spurious("local_response_body_received_before_headers", now);
                    return;
                }
                self.counters.stream_msgs_received += 1;
                self.actions.push_back(Action::ReplyData {
                    data: piece.body.into(),
                    end_stream: piece.end_of_stream,
                });
                if piece.end_of_stream {
                    self.end_streamed_reply();
                }
            }
            Some(Response::TrailersResponse(trailers)) => {
                if self.streamed_reply != StreamedReply::Started {
                    self.spurious("local_response_trailers_received_before_headers", now);
                    return;
                }
                let policy = self.policy(Direction::Response, host);
                match mutation::streamed_trailers(&trailers, &policy) {
                    Ok((trailers, applied)) => {
                        self.ignored(Direction::Response, Step::Trailers, applied.ignored, applied.header);
                        self.counters.stream_msgs_received += 1;
                        self.actions.push_back(Action::ReplyTrailers(Box::new(trailers)));
                        self.end_streamed_reply();
                    }
                    Err(refused) => {
                        self.counters.stream_msgs_received += 1;
                        self.counters.rejected_header_mutations += refused.ignored_before + 1;
                        self.fail(&Failure::RefusedMutation(refused), now);
                    }
                }
            }
        }
    }

    fn start_streamed_reply(
        &mut self,
        headers: &crate::messages::HeaderMap,
        end_stream: bool,
        now: Instant,
        host: &mut dyn Host,
    ) {
        let policy = self.policy(Direction::Response, host);
        let (head, applied) = match mutation::streamed_headers(headers, &policy) {
            Ok(built) => built,
            Err(StreamedHeadersError::MissingStatus { ignored }) => {
                // S-3
                self.counters.stream_msgs_received += 1;
                self.counters.rejected_header_mutations += ignored;
                let (status, details) = (StatusCode::BAD_GATEWAY, MISSING_STATUS.to_owned());
                let (reason, outcome) = (FailedReason::UnusableResponse, Outcome::Status(status));
                self.report_as(reason, Some(":status".into()), details.clone(), outcome, now);
                self.record_outstanding(0, now);
                self.finish_stream(CloseKind::Orderly);
                self.answer(LocalReply {
                    status,
                    fields: HeaderMap::new(),
                    body: Bytes::from_static(StreamedHeadersError::MISSING_STATUS_BODY.as_bytes()),
                    grpc_status: None,
                    details,
                });
                return;
            }
            Err(StreamedHeadersError::Refused(refused)) => {
                self.counters.stream_msgs_received += 1;
                self.counters.rejected_header_mutations += refused.ignored_before + 1;
                self.fail(&Failure::RefusedMutation(refused), now);
                return;
            }
        };
        self.ignored(Direction::Response, Step::Headers, applied.ignored, applied.header);
        self.accept(Direction::Request, now);
        // S-2: the request goes no further and the response is nobody's but the processor's.
        self.complete = true;
        self.streamed_reply = StreamedReply::Started;
        self.request.stop_timer();
        self.request.paused = false;
        self.request.held.take();
        self.actions.push_back(Action::ReplyHeaders { head: Box::new(head), end_stream });
        if end_stream {
            self.end_streamed_reply();
        }
    }

    fn end_streamed_reply(&mut self) {
        self.streamed_reply = StreamedReply::Ended;
        self.finish_stream(CloseKind::Orderly);
    }

    /// Request data behind the start of a streamed reply: for the processor in FULL_DUPLEX_STREAMED, else for nobody
    /// (S-7).
    pub(super) fn data_behind_streamed_reply(
        &mut self,
        data: Slices,
        end_stream: bool,
        now: Instant,
        host: &mut dyn Host,
    ) {
        if self.streamed_reply == StreamedReply::Started && self.request.is_duplex() {
            self.send_duplex(Direction::Request, data, end_stream, now, host);
        }
    }

    fn policy(&self, direction: Direction, host: &mut dyn Host) -> Policy<'_> {
        let limits = host.header_limits(direction);
        Policy {
            rules: &self.plan.mutation_rules,
            header_prefix: &self.plan.header_prefix,
            replace_message: false,
            content_length_removed: false,
            max_count: limits.max_count,
            max_bytes: limits.max_bytes,
        }
    }
}

/// White space of response code details becomes `_` (I-5).
fn underscored(details: &str) -> String {
    details.chars().map(|c| if c.is_ascii_whitespace() { '_' } else { c }).collect()
}
