//! One request and its response on an HTTP/1 connection.

use std::{
    future::Future,
    io,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes};
use extproc::{RequestHeaders, Slices};
use http::{HeaderMap, header::UPGRADE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::upstream::{
    exchange::{failure::UpstreamFailure, held::Held},
    pool::http1::{Http1Connection, Http1Pool},
};
use crate::{
    http1::{
        BodyDecoder, BodyEncoder, BodyLength, Decoded, HeadLimits, RequestKind, ResponseHead, ResponseReader,
        content_length, encode_request, is_upgrade, request_fields_size,
    },
    io::read_buffer::{LARGE, SMALL, held, make_room, read_limit, read_room},
    meter::{SharedMeter, received_trailers},
    stream::{BodyEvent, ResponseEvent},
};

/// Limits of response heads and trailers, as Envoy's upstream connections have them.
const LIMITS: HeadLimits = HeadLimits { max_bytes: 80 * 1024, max_count: 100 };
/// Bytes that end a chunked body, around its trailers.
const LAST_CHUNK: usize = "0\r\n\r\n".len();
/// Bytes read at once, at first and when there is always more.
const READ_SIZE: std::ops::RangeInclusive<usize> = SMALL..=LARGE;

/// One request and its response on an HTTP/1 connection.
#[derive(Debug)]
pub(in crate::upstream) struct Http1Exchange {
    pool: Rc<Http1Pool>,
    /// `None` once the connection went back to the pool or was closed.
    connection: Option<Http1Connection>,
    request: RequestState,
    /// What the request's `content-length` leaves to send.
    remaining: Option<u64>,
    /// What was sent behind a request for a tunnel that is not open yet.
    held: Option<Held>,
    response: ResponseState,
    reader: ResponseReader,
    kind: RequestKind,
    enable_trailers: bool,
    /// Bytes queued above which the caller pauses.
    watermark: usize,
    /// Memory is short.
    pressed: bool,
    /// Where bytes are counted, if somebody wants to know.
    meter: Option<SharedMeter>,
    /// Something of the response has arrived.
    received_any: bool,
    /// Space for the next read.
    read_size: usize,
    /// The latest read filled its space, so there is probably more.
    filled: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum RequestState {
    /// More is to be queued.
    Open(BodyEncoder),
    /// All was queued.
    Queued,
    /// All was queued and written; the connection's own end was sent if it marks the end of the request.
    Written,
    /// Writing failed. What the response says about it is still to be read.
    Failed,
    /// The host did not open the tunnel: nothing behind the request is for it.
    Refused,
}

#[derive(Debug)]
enum ResponseState {
    Head,
    Body { decoder: BodyDecoder, keep_alive: bool },
    Complete,
}

/// What holds for all requests of a cluster or connection manager.
#[derive(Debug, Clone, Copy)]
pub(in crate::upstream) struct Settings {
    pub(in crate::upstream) enable_trailers: bool,
    /// Bytes queued above which the caller pauses.
    pub(in crate::upstream) watermark: usize,
    /// Upgrades other than `websocket` wait for the host's answer, too.
    pub(in crate::upstream) hold_generic_upgrades: bool,
}

impl Http1Exchange {
    /// Queues the head of a request on a connection.
    pub(in crate::upstream) fn begin(
        pool: &Rc<Http1Pool>,
        mut connection: Http1Connection,
        head: &RequestHeaders,
        end_stream: bool,
        settings: Settings,
        meter: Option<SharedMeter>,
    ) -> Self {
        let Settings { enable_trailers, watermark, hold_generic_upgrades } = settings;
        let before = connection.queue.len();
        let encoder = encode_request(&mut connection.queue, head, end_stream);
        if let Some(meter) = &meter {
            let queued = connection.queue.len() - before;
            meter.count(|meter| meter.sent.add(queued, request_fields_size(queued, head)));
        }
        let kind = RequestKind::of(&head.method, is_upgrade(&head.fields));
        let is_held = kind.asks_for_tunnel() && (hold_generic_upgrades || !is_generic_upgrade(head));
        Self {
            pool: pool.clone(),
            connection: Some(connection),
            request: if end_stream { RequestState::Queued } else { RequestState::Open(encoder) },
            remaining: content_length(&head.fields)
                .filter(|_| encoder == BodyEncoder::Plain && !kind.asks_for_tunnel()),
            held: is_held.then(Held::default),
            response: ResponseState::Head,
            reader: ResponseReader::default(),
            kind,
            enable_trailers,
            watermark,
            meter,
            pressed: false,
            received_any: false,
            read_size: *READ_SIZE.start(),
            filled: false,
        }
    }

    /// Queues a piece of the body.
    pub(in crate::upstream) fn send_data(&mut self, mut data: Slices, end_stream: bool) {
        let RequestState::Open(encoder) = self.request else { return };
        if let Some(held) = &mut self.held {
            return held.add(data, end_stream);
        }
        if let Some(remaining) = &mut self.remaining {
            // Bytes beyond `content-length` would be taken for the next request (M-12).
            data.truncate(usize::try_from(*remaining).unwrap_or(usize::MAX));
            *remaining -= data.len() as u64;
        }
        if let Some(connection) = &mut self.connection {
            let before = connection.queue.len();
            encoder.data(&mut connection.queue, data, end_stream);
            if let Some(meter) = &self.meter {
                meter.count(|meter| meter.sent.add(connection.queue.len() - before, 0));
            }
        }
        if end_stream {
            self.request = RequestState::Queued;
        }
    }

    /// Queues trailers.
    pub(in crate::upstream) fn send_trailers(&mut self, trailers: &HeaderMap) {
        let RequestState::Open(encoder) = self.request else { return };
        if let Some(held) = &mut self.held {
            return held.end();
        }
        if let Some(connection) = &mut self.connection {
            let before = connection.queue.len();
            encoder.trailers(&mut connection.queue, trailers, self.enable_trailers);
            if let Some(meter) = &self.meter {
                let queued = connection.queue.len() - before;
                meter.count(|meter| meter.sent.add(queued, queued.saturating_sub(LAST_CHUNK)));
            }
        }
        self.request = RequestState::Queued;
    }

    /// Writes what is queued; ready below the watermark.
    pub(in crate::upstream) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.write(cx);
        // What is held is let go by the response, for which the caller waits as well.
        if self.has_room() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether less is queued than its sender may queue.
    pub(in crate::upstream) fn has_room(&self) -> bool {
        self.queued() <= self.watermark
    }

    fn queued(&self) -> usize {
        let queued = self.connection.as_ref().map_or(0, |connection| connection.queue.len());
        queued + self.held.as_ref().map_or(0, Held::len)
    }

    /// Bytes of the response and the request that wait here.
    pub(in crate::upstream) fn held(&self) -> usize {
        let of_connection = self
            .connection
            .as_ref()
            .map_or(0, |connection| connection.queue.memory() + held(&connection.received));
        of_connection + self.held.as_ref().map_or(0, Held::len)
    }

    /// Whether memory is short: the response is read in small pieces.
    pub(in crate::upstream) fn press(&mut self, pressed: bool) {
        self.pressed = pressed;
    }

    fn read_limit(&self) -> usize {
        if self.pressed { SMALL } else { read_limit(self.watermark) }
    }

    /// The next part of the response.
    pub(in crate::upstream) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseEvent, UpstreamFailure>> {
        self.write(cx);
        let outcome = ready!(self.poll_event(cx));
        match &outcome {
            Err(_) => {
                self.response = ResponseState::Complete;
                self.connection = None;
            }
            Ok(_) if matches!(self.response, ResponseState::Complete) => self.finish(),
            Ok(_) => {}
        }
        Poll::Ready(outcome)
    }

    /// Writes as much as possible now.
    fn write(&mut self, cx: &mut Context<'_>) {
        let Some(connection) = &mut self.connection else { return };
        if matches!(self.request, RequestState::Written | RequestState::Failed) {
            return;
        }
        let Poll::Ready(mut outcome) = connection.queue.poll_flush(&mut connection.transport, cx) else {
            return;
        };
        if self.request == RequestState::Queued {
            if outcome.is_ok() && self.in_tunnel() {
                let Some(connection) = &mut self.connection else { return };
                match pin!(connection.transport.shutdown()).poll(cx) {
                    Poll::Ready(shutdown) => outcome = shutdown,
                    Poll::Pending => return,
                }
            }
            self.request = RequestState::Written;
        }
        if outcome.is_err() {
            self.request = RequestState::Failed;
            if let Some(connection) = &mut self.connection {
                connection.queue = Default::default();
            }
        }
    }

    /// The body of the response is raw bytes, so the end of the request's can only be told by closing.
    fn in_tunnel(&self) -> bool {
        self.kind.asks_for_tunnel()
            && matches!(&self.response, ResponseState::Body { decoder, .. } if decoder.ends_with_connection())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseEvent, UpstreamFailure>> {
        if matches!(self.response, ResponseState::Body { .. }) {
            self.fill_up(cx);
        }
        loop {
            let Some(connection) = &mut self.connection else { return Poll::Pending };
            let received = &mut connection.received;
            match &mut self.response {
                ResponseState::Head => {
                    let head = self.reader.read(received, &LIMITS, self.kind);
                    if let Some(head) = head.map_err(|_| UpstreamFailure::ProtocolError)? {
                        if let Some(meter) = &self.meter {
                            meter.count(|meter| meter.received.merge(head.size));
                        }
                        return Poll::Ready(Ok(self.head(head)));
                    }
                }
                ResponseState::Body { decoder, .. } => {
                    let before = received.len();
                    let decoded = decoder.decode(received).map_err(|_| UpstreamFailure::ProtocolError)?;
                    if let Some(meter) = &self.meter {
                        let fields = match &decoded {
                            Decoded::Trailers(trailers) if self.enable_trailers => {
                                received_trailers(trailers)
                            }
                            _ => 0,
                        };
                        meter.count(|meter| meter.received.add(before - received.len(), fields));
                    }
                    if let Some(event) = self.body(decoded) {
                        return Poll::Ready(Ok(event));
                    }
                }
                ResponseState::Complete => return Poll::Pending,
            }
            if !ready!(self.poll_read(cx)) {
                return Poll::Ready(self.end_of_input());
            }
        }
    }

    /// Reads what else has arrived of a body, up to the limit: what was sent in one go is one piece, as in Envoy.
    fn fill_up(&mut self, cx: &mut Context<'_>) {
        let received = |exchange: &Self| {
            exchange.connection.as_ref().map_or(usize::MAX, |connection| connection.received.len())
        };
        let limit = self.read_limit();
        while self.filled && read_room(received(self), limit) > 0 {
            if self.poll_read(cx) != Poll::Ready(true) {
                return;
            }
        }
    }

    /// Reads more; `false` at the end of the stream, which a failure is, too.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let limit = self.read_limit();
        let Some(connection) = &mut self.connection else { return Poll::Pending };
        if let ResponseState::Body { decoder, .. } = &self.response
            && self.filled
        {
            // A body that comes fast is read in few pieces.
            self.read_size = self.read_size.max(decoder.announced().min(*READ_SIZE.end()));
        }
        let received = &mut connection.received;
        let most = read_room(received.len(), limit).max(SMALL);
        make_room(received, self.read_size.min(most));
        let room = (received.capacity() - received.len()).min(most);
        let mut space = received.limit(room);
        let outcome: io::Result<usize> = ready!(pin!(connection.transport.read_buf(&mut space)).poll(cx));
        let count = outcome.unwrap_or(0);
        self.filled = count == room;
        if self.filled {
            self.read_size = (self.read_size * 2).min(*READ_SIZE.end());
        }
        self.received_any |= count > 0;
        Poll::Ready(count > 0)
    }

    fn head(&mut self, head: ResponseHead) -> ResponseEvent {
        if head.is_informational() {
            // Nothing of the response itself has come.
            self.received_any =
                self.connection.as_ref().is_some_and(|connection| !connection.received.is_empty());
            return ResponseEvent::Informational(head.headers);
        }
        let end_stream = head.body == BodyLength::Empty;
        let decoder = BodyDecoder::new(head.body, LIMITS);
        let keep_alive = head.keep_alive && !self.kind.asks_for_tunnel();
        self.response = ResponseState::Body { decoder, keep_alive };
        self.release_held(head.body == BodyLength::Raw);
        if end_stream {
            self.complete();
        }
        ResponseEvent::Headers { head: head.headers, end_stream }
    }

    /// The host has answered a request for a tunnel: what was sent behind it follows, or is for nobody.
    fn release_held(&mut self, is_open: bool) {
        if is_open {
            for (data, end_stream) in self.held.take().into_iter().flat_map(Held::into_pieces) {
                self.send_data(data, end_stream);
            }
        } else if self.kind.asks_for_tunnel() {
            self.held = None;
            if matches!(self.request, RequestState::Open(_)) {
                self.request = RequestState::Refused;
            }
        }
    }

    fn body(&mut self, decoded: Decoded) -> Option<ResponseEvent> {
        let event = match decoded {
            Decoded::Data(data) => BodyEvent::Data { data, end_stream: false },
            Decoded::Trailers(trailers) if self.enable_trailers && !trailers.is_empty() => {
                self.complete();
                BodyEvent::Trailers(trailers)
            }
            Decoded::End | Decoded::Trailers(_) => {
                self.complete();
                BodyEvent::Data { data: Bytes::new(), end_stream: true }
            }
            Decoded::NeedMore => return None,
        };
        Some(ResponseEvent::Body(event))
    }

    /// The host closed the connection. In the middle of a message that breaks the protocol, in Envoy's view.
    fn end_of_input(&mut self) -> Result<ResponseEvent, UpstreamFailure> {
        match &mut self.response {
            ResponseState::Body { decoder, keep_alive } => {
                decoder.end_of_input().map_err(|_| UpstreamFailure::ProtocolError)?;
                *keep_alive = false;
                self.complete();
                Ok(ResponseEvent::Body(BodyEvent::Data { data: Bytes::new(), end_stream: true }))
            }
            ResponseState::Head if self.received_any => Err(UpstreamFailure::ProtocolError),
            ResponseState::Head | ResponseState::Complete => Err(UpstreamFailure::ConnectionTermination),
        }
    }

    /// The response is complete. A connection that cannot be used again is closed as soon as the event is out.
    fn complete(&mut self) {
        if let ResponseState::Body { keep_alive: false, .. } = self.response {
            self.connection = None;
        }
        self.response = ResponseState::Complete;
    }

    /// Gives the connection back if it can carry another request. If the request is not complete it stays here until
    /// the exchange is dropped, and is closed then.
    fn finish(&mut self) {
        let reusable = |connection: &mut Http1Connection| {
            // A host that is owed bytes would take the next request for them.
            self.request == RequestState::Written
                && self.remaining.is_none_or(|remaining| remaining == 0)
                && connection.received.is_empty()
        };
        if let Some(connection) = self.connection.take_if(reusable) {
            self.pool.put_back(connection);
        }
    }
}

/// An upgrade to something else than WebSocket.
fn is_generic_upgrade(head: &RequestHeaders) -> bool {
    is_upgrade(&head.fields)
        && head.fields.get(UPGRADE).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
