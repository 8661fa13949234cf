//! Parts of the HTTP messages as they arrive, and their end.

use std::time::Instant;

use super::{
    Exchange, Host, State,
    failure::Failure,
    link::CloseKind,
    side::{End, Phase},
};
use crate::{http_message::Direction, slices::Slices};

impl Exchange {
    /// The head of a message arrived; it is in the host.
    pub fn handle_headers(
        &mut self,
        direction: Direction,
        end_stream: bool,
        now: Instant,
        host: &mut dyn Host,
    ) {
        let state = self.state;
        let (side, mut cx) = self.at(direction, now, host);
        let done = if state != State::Processing {
            side.pass_headers(cx.link, end_stream);
            Ok(())
        } else if cx.link.plan.observability_mode {
            side.observe_headers(&mut cx, end_stream);
            Ok(())
        } else {
            side.on_headers(&mut cx, end_stream)
        };
        self.fail_if(done, now);
    }

    /// A piece of a body arrived. HTTP/1 ends a body with an empty piece (B-6.5). An empty piece that ends nothing is nobody's
    /// business (B-4.11).
    pub fn handle_data(
        &mut self,
        direction: Direction,
        data: Slices,
        end_stream: bool,
        now: Instant,
        host: &mut dyn Host,
    ) {
        if data.is_empty() && !end_stream && !self.link.plan.send_empty_data {
            return;
        }
        let state = self.state;
        let (side, mut cx) = self.at(direction, now, host);
        if end_stream {
            side.line.end = End::Data;
        }
        match state {
            State::Processing if cx.link.plan.observability_mode => {
                side.observe_data(&mut cx, data, end_stream);
            }
            State::Processing => side.on_data(&mut cx, data, end_stream),
            // S-7: request data behind the start of a streamed response is for the processor in FULL_DUPLEX_STREAMED, else
            // for nobody.
            State::Replying if direction == Direction::Request => {
                if let Phase::Duplex(duplex) = &mut side.phase {
                    duplex.send(&mut side.line, &mut cx, data, end_stream);
                }
            }
            State::Replied if direction == Direction::Request => {}
            State::Replying | State::Replied | State::Over => side.pass_data(cx.link, data, end_stream),
        }
    }

    /// Trailers arrived; they are in the host.
    pub fn handle_trailers(&mut self, direction: Direction, now: Instant, host: &mut dyn Host) {
        let state = self.state;
        let (side, mut cx) = self.at(direction, now, host);
        side.line.end = End::Trailers;
        match state {
            State::Processing if cx.link.plan.observability_mode => side.observe_trailers(&mut cx),
            State::Processing => side.on_trailers(&mut cx),
            State::Replying if direction == Direction::Request => {
                if let Phase::Duplex(duplex) = &mut side.phase {
                    duplex.send_trailers(&mut side.line, &mut cx);
                }
            }
            State::Replied if direction == Direction::Request => {}
            State::Replying | State::Replied | State::Over => side.pass_trailers(cx.link),
        }
    }

    /// The HTTP exchange is over: answered completely, or either peer is gone (L-6.5, F-16). Nothing more is handed in.
    pub fn handle_end(&mut self) {
        self.request.line.timer.stop();
        self.response.line.timer.stop();
        self.state = self.state.ended();
        let observed = self.link.plan.observability_mode;
        self.link.close(if observed { CloseKind::Observed } else { CloseKind::Orderly });
    }

    fn fail_if(&mut self, done: Result<(), Failure>, now: Instant) {
        if let Err(failure) = done {
            self.fail(&failure, now);
        }
    }
}
