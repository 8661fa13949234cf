//! Observability mode: copies are sent, nothing waits (section 16).

use super::{
    cx::{Cx, Part},
    side::{Phase, Side},
};
use crate::{mode::BodySendMode, slices::Slices};

impl Side {
    pub(super) fn observe_headers(&mut self, cx: &mut Cx<'_>, end_stream: bool) {
        let line = &mut self.line;
        line.begin(end_stream);
        self.phase = Phase::Passing;
        if line.mode.headers {
            cx.send(line.direction, Part::Headers { end_of_stream: end_stream });
        } else {
            // V-3: only with the headers that are sent it stays, as in Envoy.
            cx.remove_content_length(line);
        }
        line.forward_head(cx.link, end_stream);
    }

    /// Only STREAMED bodies are copied (V-2).
    pub(super) fn observe_data(&mut self, cx: &mut Cx<'_>, data: Slices, end_stream: bool) {
        let line = &mut self.line;
        if line.mode.body == BodySendMode::Streamed {
            cx.send(line.direction, Part::Body { data: data.clone(), end_of_stream: end_stream });
        }
        line.forward_data(cx.link, data, end_stream);
    }

    pub(super) fn observe_trailers(&mut self, cx: &mut Cx<'_>) {
        if self.line.mode.trailers {
            cx.send(self.line.direction, Part::Trailers);
        }
        self.line.forward_trailers(cx.link);
    }
}
