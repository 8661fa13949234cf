//! One request on an HTTP/1 connection, as a transaction sees it.

use std::{
    cell::Cell,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use extproc::{ResponseHeaders, Slices};
use http::{HeaderMap, StatusCode, header::CONNECTION};
use tokio::time::Instant;
use tollgate_model::http_connection_manager::HttpConnectionManager;

use super::Wire;
use crate::{
    drain::Drain,
    http1::{
        BodyDecoder, BodyEncoder, BodyLength, CodecError, Decoded, HeadLimits, RequestHead, RequestKind,
        ResponseContext, content_length, encode_informational, encode_response, has_token,
        response_fields_size,
    },
    io::read_buffer::{SMALL, read_limit},
    memory::PRESSED_WATERMARK,
    meter::{Meter, received_trailers},
    stream::{BodyEvent, Downstream, DownstreamError},
};

/// Queued bytes above which a transaction should wait before it sends more.
const WRITE_WATERMARK: usize = 64 * 1024;
/// Bytes that end a chunked body, around its trailers.
const LAST_CHUNK: usize = "0\r\n\r\n".len();
/// Bytes that are kept while nobody reads the request: the next requests of a client that pipelines, or a body.
const READ_AHEAD: usize = 64 * 1024;

/// What is known of the request and its response.
pub(super) struct RequestState {
    kind: RequestKind,
    is_http10: bool,
    decoder: BodyDecoder,
    /// Why the body cannot be read further.
    failed: Option<CodecError>,
    /// The connection ends with this request.
    close: bool,
    response: Response,
    /// Bytes so far.
    meter: Meter,
}

enum Response {
    Awaited,
    /// The head was queued. `remaining` is what `content-length` leaves to send.
    Started {
        encoder: BodyEncoder,
        remaining: Option<u64>,
    },
    Complete,
    Reset,
}

/// One request on an HTTP/1 connection.
pub(super) struct Http1Stream<'c> {
    wire: &'c mut Wire,
    drain: &'c Drain,
    http: &'c HttpConnectionManager,
    state: RequestState,
    watermark: usize,
    /// The transaction has waited for something since the head was read.
    yielded: &'c Cell<bool>,
}

impl RequestState {
    pub(super) fn new(head: &RequestHead, limits: HeadLimits, is_last: bool) -> Self {
        Self {
            kind: head.kind,
            is_http10: head.is_http10,
            decoder: BodyDecoder::new(head.body, limits),
            failed: None,
            close: is_last || !head.keep_alive,
            response: Response::Awaited,
            meter: Meter { received: head.size, ..Meter::default() },
        }
    }

    /// A request without an acceptable head: it is answered, and the connection ends.
    pub(super) fn rejected() -> Self {
        Self {
            kind: RequestKind::Ordinary,
            is_http10: false,
            decoder: BodyDecoder::new(BodyLength::Empty, HeadLimits::default()),
            failed: None,
            close: true,
            response: Response::Awaited,
            meter: Meter::default(),
        }
    }

    /// Ends the connection with this request.
    pub(super) fn close(&mut self) {
        self.close = true;
    }

    /// The request was read completely.
    pub(super) fn is_complete(&self) -> bool {
        self.decoder.is_done()
    }
}

impl<'c> Http1Stream<'c> {
    pub(super) fn new(
        wire: &'c mut Wire,
        drain: &'c Drain,
        http: &'c HttpConnectionManager,
        state: RequestState,
        yielded: &'c Cell<bool>,
    ) -> Self {
        let watermark = match wire.limit {
            0 => WRITE_WATERMARK,
            limit => limit.min(WRITE_WATERMARK),
        };
        Self { wire, drain, http, state, watermark, yielded }
    }

    /// Ends the request after its transaction. Gives whether the connection can be used again.
    pub(super) fn finish(mut self) -> bool {
        if !matches!(self.state.response, Response::Complete) {
            return false;
        }
        // The rest of a request that has arrived in full is skipped.
        while !self.state.close && !self.state.decoder.is_done() {
            match self.state.decoder.decode(&mut self.wire.input.bytes) {
                Ok(Decoded::NeedMore) | Err(_) => self.state.close = true,
                Ok(_) => {}
            }
        }
        !self.state.close
    }

    /// I-10: the request will not be read to its end once the response begins.
    ///
    /// Envoy reads on while a filter waits, so what has arrived by then counts as read; an answer that is given at once
    /// comes before the body was looked at.
    fn is_request_incomplete(&mut self) -> bool {
        let has_arrived = self.yielded.get() && self.state.decoder.completes_within(&self.wire.input.bytes);
        !self.state.decoder.is_done() && !has_arrived
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, DownstreamError>> {
        if let Some(error) = self.state.failed {
            return Poll::Ready(Err(DownstreamError::Protocol(error.details())));
        }
        if !self.state.decoder.is_done() {
            self.wire.input.limit =
                if self.wire.account.is_pressed() { SMALL } else { read_limit(self.wire.limit) };
            self.wire.fill_up(self.state.decoder.announced(), cx);
        }
        loop {
            let before = self.wire.input.bytes.len();
            let decoded = self.state.decoder.decode(&mut self.wire.input.bytes);
            let fields = match &decoded {
                Ok(Decoded::Trailers(trailers)) if self.http.http1.enable_trailers => {
                    received_trailers(trailers)
                }
                _ => 0,
            };
            self.state.meter.received.add(before - self.wire.input.bytes.len(), fields);
            match decoded {
                Ok(Decoded::Data(data)) => {
                    return Poll::Ready(Ok(BodyEvent::Data { data, end_stream: false }));
                }
                Ok(Decoded::Trailers(trailers)) if self.http.http1.enable_trailers => {
                    return Poll::Ready(Ok(BodyEvent::Trailers(trailers)));
                }
                // T-9: trailers are dropped unless they are enabled.
                Ok(Decoded::End | Decoded::Trailers(_)) => {
                    return Poll::Ready(Ok(BodyEvent::Data { data: Bytes::new(), end_stream: true }));
                }
                Ok(Decoded::NeedMore) => {}
                Err(error) => {
                    self.state.failed = Some(error);
                    self.state.close = true;
                    return Poll::Ready(Err(DownstreamError::Protocol(error.details())));
                }
            }
            // A client that ends its side has disconnected, even in a tunnel: that is how Envoy sees it.
            if !ready!(self.wire.poll_fill_announced(self.state.decoder.announced(), cx)) {
                return Poll::Ready(Err(DownstreamError::Disconnected));
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>> {
        match self.wire.output.poll_flush(&mut self.wire.stream, cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(_)) => {
                self.wire.ended = true;
                Poll::Ready(Err(DownstreamError::Disconnected))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Downstream for Http1Stream<'_> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, DownstreamError>> {
        if let Poll::Ready(Err(error)) = self.poll_write(cx) {
            return Poll::Ready(Err(error));
        }
        self.poll_event(cx)
    }

    fn body_has_arrived(&mut self) -> bool {
        self.state.decoder.completes_within(&self.wire.input.bytes)
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DownstreamError> {
        if let Poll::Ready(Err(error)) = self.poll_write(cx) {
            return Poll::Ready(error);
        }
        while self.wire.input.bytes.len() < READ_AHEAD {
            if !ready!(self.wire.poll_fill(cx)) {
                return Poll::Ready(DownstreamError::Disconnected);
            }
        }
        Poll::Pending
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>> {
        match self.poll_write(cx) {
            Poll::Pending if self.has_room() => Poll::Ready(Ok(())),
            polled => polled,
        }
    }

    fn has_room(&self) -> bool {
        let queued = self.wire.output.len();
        queued < self.watermark && (queued < PRESSED_WATERMARK || !self.wire.account.is_pressed())
    }

    fn is_pressed(&self) -> bool {
        self.wire.account.is_pressed()
    }

    fn moving_streams(&self) -> usize {
        self.wire.account.moving_streams()
    }

    fn note_held(&mut self, beside: usize, cx: &Context<'_>) -> bool {
        self.wire.note_held(beside, cx)
    }

    fn poll_deadline(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.wire.timer.poll(Some(deadline), cx)
    }

    fn meter(&self) -> Meter {
        self.state.meter
    }

    fn send_informational(&mut self, head: &ResponseHeaders) {
        // HTTP/1.0 does not know 1xx (RFC 9110 section 15.2).
        if !self.state.is_http10 && matches!(self.state.response, Response::Awaited) {
            let before = self.wire.output.len();
            encode_informational(&mut self.wire.output, head);
            let queued = self.wire.output.len() - before;
            self.state.meter.sent.add(queued, response_fields_size(queued, head.status));
        }
    }

    fn send_headers(&mut self, head: &ResponseHeaders, end_stream: bool) {
        if !matches!(self.state.response, Response::Awaited) {
            return;
        }
        let opens_tunnel = self.state.kind.opens_tunnel(head.status);
        let length = content_length(&head.fields);
        let says_close = has_token(&head.fields, &CONNECTION, b"close");
        let ends_with_connection = self.state.is_http10 && length.is_none() && !end_stream;
        // The client waits for what was announced, and would take the next response for it.
        let owes_body = end_stream
            && length.is_some_and(|length| length > 0)
            && !self.state.kind.is_head()
            && ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&head.status);
        self.state.close |= opens_tunnel
            || says_close
            || ends_with_connection
            || owes_body
            || self.drain.is_draining()
            || self.is_request_incomplete();
        let connection = match (self.state.close, self.state.is_http10) {
            _ if opens_tunnel || says_close => None,
            (true, _) => Some("close"),
            (false, true) => Some("keep-alive"),
            (false, false) => None,
        };
        let context = ResponseContext { kind: self.state.kind, is_http10: self.state.is_http10, connection };
        let before = self.wire.output.len();
        let encoder = encode_response(&mut self.wire.output, head, end_stream, context);
        let queued = self.wire.output.len() - before;
        self.state.meter.sent.add(queued, response_fields_size(queued, head.status));
        self.state.response = if end_stream {
            Response::Complete
        } else {
            let remaining = length.filter(|_| encoder == BodyEncoder::Plain && !opens_tunnel);
            Response::Started { encoder, remaining }
        };
    }

    fn send_data(&mut self, mut data: Slices, end_stream: bool) {
        let Response::Started { encoder, remaining } = &mut self.state.response else { return };
        if let Some(remaining) = remaining {
            // Bytes beyond `content-length` would be taken for the next response.
            let allowed = usize::try_from(*remaining).unwrap_or(usize::MAX);
            if data.len() > allowed {
                data.truncate(allowed);
                self.state.close = true;
            }
            *remaining -= data.len() as u64;
            // The client still waits for the rest and must learn that it will not come.
            self.state.close |= end_stream && *remaining > 0;
        }
        let before = self.wire.output.len();
        encoder.data(&mut self.wire.output, data, end_stream);
        self.state.meter.sent.add(self.wire.output.len() - before, 0);
        if end_stream {
            self.state.response = Response::Complete;
        }
    }

    fn send_trailers(&mut self, trailers: &HeaderMap) {
        if let Response::Started { encoder, remaining } = &self.state.response {
            self.state.close |= remaining.is_some_and(|remaining| remaining > 0);
            let before = self.wire.output.len();
            encoder.trailers(&mut self.wire.output, trailers, self.http.http1.enable_trailers);
            let queued = self.wire.output.len() - before;
            self.state.meter.sent.add(queued, queued.saturating_sub(LAST_CHUNK));
            self.state.response = Response::Complete;
        }
    }

    fn end_connection(&mut self) {
        self.state.close = true;
    }

    fn reset(&mut self) {
        self.state.close = true;
        self.state.response = Response::Reset;
    }
}
