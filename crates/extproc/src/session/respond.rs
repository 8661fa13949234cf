//! Responses that the processor gives itself.

use bytes::Bytes;

use super::{
    NotPossible, Session,
    side::{Headers, Wish},
};
use crate::{
    BodySendMode, Direction,
    messages::{
        HeaderMap, HttpHeaders, ImmediateResponse, ProcessingResponse, StreamedBodyResponse,
        StreamedImmediateResponse, processing_response::Response,
        streamed_immediate_response::Response as Piece,
    },
};

impl Session {
    /// Answers the client instead of going on. Nothing is sent after it.
    pub fn respond(&mut self, response: ImmediateResponse) {
        self.link.reply(Response::ImmediateResponse(response));
        self.link.over = true;
    }

    /// Begins to answer the client piece by piece, instead of replying to the headers of the request. `headers` has a
    /// `:status`. Gateways can do it since Envoy 1.37.
    ///
    /// # Errors
    ///
    /// If the headers of the request are not to be answered any more, or the mode has the gateway keep its body (S-1, S-4).
    pub fn respond_in_pieces(&mut self, headers: HeaderMap) -> Result<(), NotPossible> {
        let wanted = "answer piece by piece";
        let mode = self.request.mode;
        if self.request.headers != Headers::Owed {
            let setting = "request headers that are shown and were not answered before";
            return Err(NotPossible { wanted, mode, setting });
        }
        if !matches!(mode, Some(BodySendMode::None | BodySendMode::FullDuplexStreamed)) {
            let setting = "request_body_mode: NONE or FULL_DUPLEX_STREAMED";
            return Err(NotPossible { wanted, mode, setting });
        }
        self.request.headers = Headers::Answered;
        self.request.wish = Wish::Dropped;
        self.request.waiting.clear();
        let head = HttpHeaders { headers: Some(headers), ..HttpHeaders::default() };
        self.link.reply(piece(Piece::HeadersResponse(head)));
        self.link.responding = true;
        Ok(())
    }

    /// The next piece of that answer.
    pub fn respond_piece(&mut self, body: Bytes, end_of_stream: bool) {
        let body = StreamedBodyResponse { body, end_of_stream, ..StreamedBodyResponse::default() };
        self.respond_more(Piece::BodyResponse(body), end_of_stream);
    }

    /// Trailers of that answer, which end it.
    pub fn respond_trailers(&mut self, trailers: HeaderMap) {
        self.respond_more(Piece::TrailersResponse(trailers), true);
    }

    fn respond_more(&mut self, more: Piece, ends: bool) {
        if self.link.responding && !self.link.over {
            let response = Some(piece(more));
            self.link.responses.push_back(ProcessingResponse { response, ..ProcessingResponse::default() });
            self.link.over = ends;
        }
    }

    /// Whether the processor has answered the client itself, to the end.
    #[must_use]
    pub fn has_responded(&self) -> bool {
        self.link.over
    }

    /// A mode of a direction that was asked for is in force only if the gateway granted it, which it does not say.
    #[must_use]
    pub fn shows_body(&self, direction: Direction) -> bool {
        !matches!(self.mode(direction), Some(BodySendMode::None | BodySendMode::Grpc))
    }
}

fn piece(piece: Piece) -> Response {
    Response::StreamedImmediateResponse(StreamedImmediateResponse { response: Some(piece) })
}
