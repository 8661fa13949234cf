//! One HTTP/2 stream, as a transaction sees it.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use extproc::{ResponseHeaders, Slices, remove_fields};
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE},
};
use tokio::time::Instant;

use crate::{
    header_names::{KEEP_ALIVE, PROXY_CONNECTION},
    http1::{drop_framing, has_one_content_length},
    io::http2_body::Http2Body,
    io::http2_send::{Http2Send, Refused, Sent},
    memory::{Account, PRESSED_WATERMARK},
    meter::{Meter, size_of_fields},
    stream::{BodyEvent, Downstream, DownstreamError},
    timer::LazyTimer,
};

/// Queued bytes above which a transaction should wait before it sends more.
const WRITE_WATERMARK: usize = 64 * 1024;
/// A head of this size counts among what a stream holds.
const LARGE_HEAD: usize = 8 * 1024;

/// One HTTP/2 stream.
pub(super) struct Http2Stream {
    body: Http2Body,
    is_request_complete: bool,
    send: SendHalf,
    /// Most fields of the trailers.
    max_trailers: usize,
    /// Body and trailers that wait for the client's window.
    queue: Http2Send,
    /// The transaction gave the stream up; it is reset when the transaction has ended.
    is_reset: bool,
    /// What the stream and its request hold.
    account: Account,
    /// Bytes of the request's head, if they are many.
    head: usize,
    /// Bytes so far.
    meter: Meter,
    timer: LazyTimer,
}

enum SendHalf {
    Respond(SendResponse<Bytes>),
    Stream(SendStream<Bytes>),
    /// The response is complete, as far as this side can do anything about it.
    Closed(SendStream<Bytes>),
    Reset,
}

impl Http2Stream {
    pub(super) fn new(
        respond: SendResponse<Bytes>,
        body: RecvStream,
        max_trailers: usize,
        account: Account,
    ) -> Self {
        Self {
            is_request_complete: body.is_end_stream(),
            body: Http2Body::new(body),
            max_trailers,
            send: SendHalf::Respond(respond),
            queue: Http2Send::default(),
            is_reset: false,
            account,
            head: 0,
            meter: Meter { http2: true, ..Meter::default() },
            timer: LazyTimer::default(),
        }
    }

    /// The request's head has so many bytes.
    pub(super) fn note_head(&mut self, bytes: usize) {
        self.meter.received.add(0, bytes);
        if bytes > LARGE_HEAD {
            self.head = bytes;
        }
    }

    /// Nothing was answered, and it is not this side that gave the stream up.
    pub(super) fn was_left_unanswered(&self) -> bool {
        !self.is_started() && !self.is_reset
    }

    /// The request has no body.
    pub(super) fn is_request_complete(&self) -> bool {
        self.is_request_complete
    }

    /// Tells a client that expects it to send the body.
    pub(super) fn send_continue(&mut self) {
        self.send_informational(&ResponseHeaders { status: StatusCode::CONTINUE, fields: HeaderMap::new() });
    }

    /// Resets the stream with a reason of the protocol.
    pub(super) fn refuse(&mut self, reason: Reason) {
        match std::mem::replace(&mut self.send, SendHalf::Reset) {
            SendHalf::Respond(mut respond) => respond.send_reset(reason),
            SendHalf::Stream(mut stream) | SendHalf::Closed(mut stream) => stream.send_reset(reason),
            SendHalf::Reset => {}
        }
        self.queue.clear();
    }

    /// Passes on what is queued as the client's window allows, within a time. A response that its transaction left
    /// incomplete is reset.
    pub(super) async fn finish(mut self, limit: Duration) {
        if self.is_reset || !self.is_started() || !self.is_complete() {
            // A reset discards frames that are not written yet. The connection's task was woken by them and has its
            // turn before this one.
            tokio::task::yield_now().await;
            self.refuse(Reason::INTERNAL_ERROR);
            return;
        }
        let deadline = Some(Instant::now() + limit);
        let is_flushed = poll_fn(|cx| {
            if !self.is_request_complete {
                self.body.discard(cx);
            }
            if !self.note_held(0, cx) {
                return Poll::Ready(false);
            }
            match self.poll_flush(cx) {
                Poll::Ready(_) => Poll::Ready(true),
                Poll::Pending => self.timer.poll(deadline, cx).map(|()| false),
            }
        })
        .await;
        if !is_flushed {
            self.refuse(Reason::INTERNAL_ERROR);
        }
    }

    /// Hands queued data to the connection as far as the window allows.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>> {
        if self.is_reset {
            return Poll::Ready(Err(DownstreamError::Disconnected));
        }
        let SendHalf::Stream(stream) = &mut self.send else {
            return match self.send {
                SendHalf::Reset => Poll::Ready(Err(DownstreamError::Disconnected)),
                _ => Poll::Ready(Ok(())),
            };
        };
        match ready!(self.queue.poll(stream, cx)) {
            Ok(Sent::SoFar) => self.poll_reset(cx),
            Ok(Sent::Whole) => {
                self.close();
                Poll::Ready(Ok(()))
            }
            Err(Refused(error)) => Poll::Ready(Err(match error {
                Some(error) => broken(&error),
                None => gone(stream, cx),
            })),
        }
    }

    /// Nothing is left to hand over; a reset of the client still has to be noticed.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>> {
        if let SendHalf::Stream(stream) = &mut self.send
            && let Poll::Ready(reset) = stream.poll_reset(cx)
        {
            return Poll::Ready(Err(why(&reset)));
        }
        Poll::Ready(Ok(()))
    }

    fn close(&mut self) {
        self.send = match std::mem::replace(&mut self.send, SendHalf::Reset) {
            SendHalf::Stream(stream) => SendHalf::Closed(stream),
            other => other,
        };
    }

    /// The end of the response was given.
    fn is_complete(&self) -> bool {
        self.queue.is_ended() || matches!(self.send, SendHalf::Closed(_))
    }

    fn is_started(&self) -> bool {
        !matches!(self.send, SendHalf::Respond(_))
    }
}

impl Downstream for Http2Stream {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, DownstreamError>> {
        if self.is_reset {
            return Poll::Ready(Err(DownstreamError::Disconnected));
        }
        if self.is_request_complete {
            return Poll::Ready(Ok(BodyEvent::Data { data: Bytes::new(), end_stream: true }));
        }
        let mut event = ready!(self.body.poll(cx)).map_err(|error| broken(&error))?;
        self.is_request_complete = !matches!(event, BodyEvent::Data { end_stream: false, .. });
        if let BodyEvent::Trailers(trailers) = &mut event {
            if trailers.len() > self.max_trailers {
                return Poll::Ready(Err(DownstreamError::Protocol("http2.too_many_headers")));
            }
            self.meter.received.add(0, size_of_fields(trailers));
            drop_framing(trailers);
        }
        Poll::Ready(Ok(event))
    }

    fn gone(&mut self, cx: &mut Context<'_>) -> Option<DownstreamError> {
        match self.poll_closed(cx) {
            Poll::Ready(error) => Some(error),
            Poll::Pending => None,
        }
    }

    fn absorb(&mut self, cx: &mut Context<'_>) {
        if !self.is_request_complete {
            self.body.absorb(cx);
        }
    }

    fn has_room(&self) -> bool {
        let queued = self.queue.memory();
        queued < WRITE_WATERMARK && (queued < PRESSED_WATERMARK || !self.account.is_pressed())
    }

    fn is_pressed(&self) -> bool {
        self.account.is_pressed()
    }

    fn moving_streams(&self) -> usize {
        self.account.moving_streams()
    }

    fn note_held(&mut self, beside: usize, cx: &Context<'_>) -> bool {
        let held = beside + self.head + self.queue.memory() + self.body.waiting();
        self.account.set(held, cx)
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DownstreamError> {
        let reset = match &mut self.send {
            SendHalf::Respond(respond) => respond.poll_reset(cx),
            SendHalf::Stream(stream) | SendHalf::Closed(stream) => stream.poll_reset(cx),
            SendHalf::Reset => return Poll::Ready(DownstreamError::Disconnected),
        };
        reset.map(|reset| why(&reset))
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>> {
        match self.poll_flush(cx) {
            Poll::Pending if self.has_room() => Poll::Ready(Ok(())),
            polled => polled,
        }
    }

    fn poll_deadline(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll(Some(deadline), cx)
    }

    fn meter(&self) -> Meter {
        self.meter
    }

    fn send_informational(&mut self, head: &ResponseHeaders) {
        if let SendHalf::Respond(respond) = &mut self.send
            && let Err(error) = respond.send_informational(response(head))
        {
            tracing::debug!(%error, "an informational response was not sent");
        }
    }

    fn send_headers(&mut self, head: &ResponseHeaders, end_stream: bool) {
        let SendHalf::Respond(respond) = &mut self.send else { return };
        // these have no body, whatever a processor made of them.
        let end_stream =
            end_stream || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&head.status);
        let sent = response(head);
        self.meter.sent.add(0, ":status200".len() + size_of_fields(sent.headers()));
        match respond.send_response(sent, end_stream) {
            Ok(stream) if end_stream => self.send = SendHalf::Closed(stream),
            Ok(stream) => self.send = SendHalf::Stream(stream),
            // The client has reset the stream; every poll says so from now on.
            Err(_) => self.send = SendHalf::Reset,
        }
    }

    fn send_data(&mut self, data: Slices, end_stream: bool) {
        if self.is_started() && !self.is_complete() {
            self.queue.push(data, end_stream);
        }
    }

    fn send_trailers(&mut self, trailers: &HeaderMap) {
        if self.is_started() && !self.is_complete() {
            self.meter.sent.add(0, size_of_fields(trailers));
            self.queue.push_trailers(trailers.clone());
        }
    }

    fn end_connection(&mut self) {}

    fn reset(&mut self) {
        self.is_reset = true;
    }
}

/// Why a stream cannot go on: the client has reset it, or its connection is gone.
fn broken(error: &h2::Error) -> DownstreamError {
    if error.is_reset() && error.is_remote() { DownstreamError::Reset } else { DownstreamError::Disconnected }
}

fn why(reset: &Result<Reason, h2::Error>) -> DownstreamError {
    match reset {
        Ok(_) => DownstreamError::Reset,
        Err(error) => broken(error),
    }
}

/// Why a stream takes nothing more.
fn gone(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> DownstreamError {
    match stream.poll_reset(cx) {
        Poll::Ready(reset) => why(&reset),
        Poll::Pending => DownstreamError::Disconnected,
    }
}

/// The head without the fields that HTTP/2 forbids (RFC 9113 section 8.2.2).
fn response(head: &ResponseHeaders) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    let mut fields = head.fields.clone();
    let bodiless = head.status == StatusCode::NO_CONTENT || head.status.is_informational();
    if fields.get(TE).is_some_and(|value| value != HeaderValue::from_static("trailers")) {
        remove_fields(&mut fields, &[TE]);
    }
    let names = [CONNECTION, TRANSFER_ENCODING, UPGRADE, KEEP_ALIVE, PROXY_CONNECTION, CONTENT_LENGTH];
    let last = if bodiless { names.len() } else { names.len() - 1 };
    remove_fields(&mut fields, &names[..last]);
    // A processor may have written zeros before it.
    has_one_content_length(&mut fields);
    *response.headers_mut() = fields;
    response
}
