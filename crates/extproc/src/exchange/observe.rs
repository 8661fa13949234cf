//! Observability mode: copies are sent, nothing waits (section 16).

use super::{Exchange, Host};
use crate::{http_message::Direction, mode::BodySendMode, slices::Slices};

impl Exchange {
    pub(super) fn observe_headers(&mut self, direction: Direction, end_stream: bool, host: &mut dyn Host) {
        if self.side(direction).wants_headers() {
            self.send_observed_headers(direction, end_stream, host);
        } else {
            // V-3: only with the headers that are sent it stays, as in Envoy.
            self.remove_content_length(direction, host);
        }
        self.forward_head(direction, end_stream);
    }

    /// Only STREAMED bodies are copied (V-2).
    pub(super) fn observe_data(
        &mut self,
        direction: Direction,
        data: Slices,
        end_stream: bool,
        host: &mut dyn Host,
    ) {
        if self.side(direction).body_mode == BodySendMode::Streamed {
            self.send_observed_body(direction, data.clone(), end_stream, host);
        }
        self.forward_data(direction, data, end_stream);
    }

    pub(super) fn observe_trailers(&mut self, direction: Direction, host: &mut dyn Host) {
        if self.side(direction).send_trailers {
            self.send_observed_trailers(direction, host);
        }
        self.forward_trailers(direction);
    }
}
