//! Responses the processor gives itself, at once (13.1, 13.2) or piece by piece (13.3).

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{
    Action, Exchange, FailedReason, Host, LocalReply, Outcome, State,
    body::Duplex,
    failure::Failure,
    link::CloseKind,
    side::{Early, Phase},
};
use crate::{
    http_message::{Direction, ResponseHeaders},
    log::{Note, Step},
    messages::{
        self, HttpHeaders, ImmediateResponse, StreamedBodyResponse, StreamedImmediateResponse,
        streamed_immediate_response::Response,
    },
    mode::BodySendMode,
    mutation::{self, Policy, Refused, StreamedHeadersError},
};

/// S-4.
const STREAMED_REPLY_NEEDS_MODE: &str =
    "streaming_local_response_body_is_only_supported_in_NONE_or_FULL_DUPLEX_STREAMED_modes";

/// S-3.
const MISSING_STATUS: &str = "filter_removed_required_response_headers{missing_required_header:_:status}";

impl Exchange {
    pub(super) fn immediate_response(
        &mut self,
        response: ImmediateResponse,
        now: Instant,
    ) -> Result<(), Failure> {
        self.link.note(Note::ImmediateResponse);
        if self.link.plan.disable_immediate_response {
            // I-13
            return Err(Failure::Spurious("unhandled_immediate_response_due_to_config_disabled_it"));
        }
        self.link.counters.stream_msgs_received += 1;
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
            let plan = &self.link.plan;
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
            self.link.ignored(Direction::Response, Step::Headers, count, header);
        }
        self.link.close(CloseKind::Orderly);
        self.answer_as_filter(LocalReply {
            status,
            fields: head.fields,
            body: response.body,
            grpc_status: response.grpc_status.map(|grpc| grpc.status),
            details: underscored(&response.details),
        });
        Ok(())
    }

    pub(super) fn streamed_immediate_response(
        &mut self,
        response: StreamedImmediateResponse,
        now: Instant,
        host: &mut dyn Host,
    ) -> Result<(), Failure> {
        match response.response {
            None => {
                // S-6
                self.link.counters.stream_msgs_received += 1;
                Err(Failure::EmptyStreamedReply)
            }
            Some(Response::HeadersResponse(head)) => self.begin_streamed_reply(head, now, host),
            Some(Response::BodyResponse(piece)) => self.streamed_reply_piece(piece),
            Some(Response::TrailersResponse(trailers)) => self.streamed_reply_trailers(&trailers, host),
        }
    }

    fn begin_streamed_reply(
        &mut self,
        head: HttpHeaders,
        now: Instant,
        host: &mut dyn Host,
    ) -> Result<(), Failure> {
        let end_stream = head.end_of_stream;
        let awaits_headers = matches!(self.request.phase, Phase::Headers(_));
        if !awaits_headers || self.state != State::Processing {
            return Err(Failure::SPURIOUS);
        }
        let body = self.request.line.mode.body;
        if !end_stream && !matches!(body, BodySendMode::None | BodySendMode::FullDuplexStreamed) {
            return Err(Failure::Spurious(STREAMED_REPLY_NEEDS_MODE));
        }
        let policy = self.policy(host);
        let headers = head.headers.unwrap_or_default();
        let (head, applied) = match mutation::streamed_headers(&headers, &policy) {
            Ok(built) => built,
            Err(StreamedHeadersError::MissingStatus { ignored }) => {
                self.answer_without_status(ignored, now);
                return Ok(());
            }
            Err(StreamedHeadersError::Refused(refused)) => return Err(self.refused(refused)),
        };
        self.link.ignored(Direction::Response, Step::Headers, applied.ignored, applied.header);
        let (request, mut cx) = self.at(Direction::Request, now, host);
        request.line.accept(&mut cx, Some(Step::Headers));
        // S-2: the request goes no further. Only in FULL_DUPLEX_STREAMED the processor still gets it.
        request.phase = match std::mem::take(&mut request.phase) {
            Phase::Headers(Early::Duplex(duplex)) => Phase::Duplex(duplex),
            _ if request.line.mode.is_duplex() => Phase::Duplex(Duplex::default()),
            _ => Phase::Discarding,
        };
        self.state = State::Replying;
        self.link.push(Action::ReplyHeaders { head: Box::new(head), end_stream });
        if end_stream {
            self.end_streamed_reply();
        }
        Ok(())
    }

    /// S-3: a response without a status is not sent.
    fn answer_without_status(&mut self, ignored: u32, now: Instant) {
        self.link.counters.stream_msgs_received += 1;
        self.link.counters.rejected_header_mutations += ignored;
        let (status, details) = (StatusCode::BAD_GATEWAY, MISSING_STATUS.to_owned());
        let (reason, outcome) = (FailedReason::UnusableResponse, Outcome::Status(status));
        self.report_as(reason, Some(":status".into()), details.clone(), outcome, now);
        self.record_outstanding(0, now);
        self.link.close(CloseKind::Orderly);
        self.answer(LocalReply {
            status,
            fields: HeaderMap::new(),
            body: Bytes::from_static(StreamedHeadersError::MISSING_STATUS_BODY.as_bytes()),
            grpc_status: None,
            details,
        });
    }

    fn streamed_reply_piece(&mut self, piece: StreamedBodyResponse) -> Result<(), Failure> {
        if self.state != State::Replying {
            return Err(Failure::Spurious("local_response_body_received_before_headers"));
        }
        let end_stream = piece.end_of_stream;
        self.link.counters.stream_msgs_received += 1;
        self.link.push(Action::ReplyData { data: piece.body.into(), end_stream });
        if end_stream {
            self.end_streamed_reply();
        }
        Ok(())
    }

    fn streamed_reply_trailers(
        &mut self,
        trailers: &messages::HeaderMap,
        host: &mut dyn Host,
    ) -> Result<(), Failure> {
        if self.state != State::Replying {
            return Err(Failure::Spurious("local_response_trailers_received_before_headers"));
        }
        let policy = self.policy(host);
        let (trailers, applied) = match mutation::streamed_trailers(trailers, &policy) {
            Ok(built) => built,
            Err(refused) => return Err(self.refused(refused)),
        };
        self.link.ignored(Direction::Response, Step::Trailers, applied.ignored, applied.header);
        self.link.counters.stream_msgs_received += 1;
        self.link.push(Action::ReplyTrailers(Box::new(trailers)));
        self.end_streamed_reply();
        Ok(())
    }

    fn end_streamed_reply(&mut self) {
        self.state = State::Replied;
        self.link.close(CloseKind::Orderly);
    }

    fn refused(&mut self, refused: Refused) -> Failure {
        self.link.counters.stream_msgs_received += 1;
        self.link.counters.rejected_header_mutations += refused.ignored_before + 1;
        Failure::RefusedMutation(refused)
    }

    fn policy(&self, host: &mut dyn Host) -> Policy<'_> {
        let limits = host.header_limits(Direction::Response);
        Policy {
            rules: &self.link.plan.mutation_rules,
            header_prefix: &self.link.plan.header_prefix,
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
