//! Messages from the processor.

use std::time::Instant;

use super::{
    Action, Close, Exchange, Host, State, StreamEnd,
    cx::Cx,
    failure::Failure,
    link::CloseKind,
    report::kind_of,
    side::{Replied, Side},
};
use crate::{
    codec,
    http_message::Direction,
    messages::{ProcessingResponse, processing_response::Response},
    slices::Slices,
};

impl Exchange {
    /// One message arrived, without its gRPC framing.
    pub fn handle_message(&mut self, message: Slices, now: Instant, host: &mut dyn Host) {
        // P-4 (1) and (2): dropped unread.
        if self.link.plan.observability_mode || self.is_complete() {
            return;
        }
        let Ok((response, body)) = codec::decode_reply(message) else {
            // F-12
            let details = "ext_proc_error_gRPC_error_13{via_upstream}".to_owned();
            self.handle_stream_end(StreamEnd::Error { code: 13, details, started: true }, now);
            self.link.push(Action::Close(Close::Reset));
            return;
        };
        self.link.received = Some(kind_of(&response));
        if let Some(timeout) = &response.override_message_timeout {
            self.override_timeout(timeout, now);
            return;
        }
        if let Err(failure) = self.reply(response, body, now, host) {
            self.fail(&failure, now);
        }
    }

    fn reply(
        &mut self,
        response: ProcessingResponse,
        body: Slices,
        now: Instant,
        host: &mut dyn Host,
    ) -> Result<(), Failure> {
        match (&response.mode_override, &response.response) {
            (Some(mode), None) => return self.override_mode_alone(mode, now, host),
            (Some(mode), Some(_)) => self.override_mode(mode, now, host)?,
            (None, _) => {}
        }
        // P-3
        let Some(reply) = response.response else {
            return Err(Failure::Spurious("unhandled_message"));
        };
        // D-3 to D-5
        let receiving = &self.link.plan.metadata_options.receiving_namespaces;
        let mut fits = true;
        if let Some(metadata) = response.dynamic_metadata {
            fits &= host.metadata_mut().merge(metadata, &receiving.untyped);
        }
        if !response.typed_dynamic_metadata.is_empty() {
            fits &= host.metadata_mut().merge_typed(response.typed_dynamic_metadata, &receiving.typed);
        }
        if !fits {
            self.link.counters.stream_msgs_received += 1;
            return Err(Failure::TooMuchMetadata);
        }
        use Direction::{Request, Response as Back};
        match reply {
            Response::ImmediateResponse(reply) => return self.immediate_response(reply, now),
            Response::StreamedImmediateResponse(reply) => {
                return self.streamed_immediate_response(reply, now, host);
            }
            // S-6
            _ if self.state == State::Replying => return Err(Failure::SPURIOUS),
            _ => {}
        }
        match reply {
            Response::RequestHeaders(reply) => {
                self.carry_out(Request, now, host, |side, cx| side.on_headers_reply(cx, reply))
            }
            Response::ResponseHeaders(reply) => {
                self.carry_out(Back, now, host, |side, cx| side.on_headers_reply(cx, reply))
            }
            Response::RequestBody(reply) => {
                self.carry_out(Request, now, host, |side, cx| side.on_body_reply(cx, reply, body))
            }
            Response::ResponseBody(reply) => {
                self.carry_out(Back, now, host, |side, cx| side.on_body_reply(cx, reply, body))
            }
            Response::RequestTrailers(reply) => {
                self.carry_out(Request, now, host, |side, cx| side.on_trailers_reply(cx, &reply))
            }
            Response::ResponseTrailers(reply) => {
                self.carry_out(Back, now, host, |side, cx| side.on_trailers_reply(cx, &reply))
            }
            Response::ImmediateResponse(_) | Response::StreamedImmediateResponse(_) => Ok(()),
        }
    }

    /// Carries out a reply, and closes the stream if neither direction can need another one (L-6.1).
    fn carry_out(
        &mut self,
        direction: Direction,
        now: Instant,
        host: &mut dyn Host,
        step: impl FnOnce(&mut Side, &mut Cx<'_>) -> Result<Replied, Failure>,
    ) -> Result<(), Failure> {
        let (side, mut cx) = self.at(direction, now, host);
        if step(side, &mut cx)? == Replied::Silently {
            return Ok(());
        }
        side.line.answered |= side.needs_no_more();
        if self.request.is_settled() && self.response.is_settled() {
            self.link.close(CloseKind::Orderly);
            self.state = State::Over;
            self.release_all();
        }
        Ok(())
    }

    /// The exchange is complete: what either direction still holds goes on unmodified.
    pub(super) fn release_all(&mut self) {
        self.request.release(&mut self.link);
        self.response.release(&mut self.link);
    }
}
