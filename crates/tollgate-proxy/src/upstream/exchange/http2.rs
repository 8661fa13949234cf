//! One request and its response on an HTTP/2 stream.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use extproc::{RequestHeaders, ResponseHeaders, Slices, has_any, remove_fields};
use h2::{Reason, SendStream, client::ResponseFuture};
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    uri,
};

use crate::upstream::{
    exchange::{failure::UpstreamFailure, held::Held},
    pool::http2_connection::{Http2Connection, StreamSlot},
};
use crate::{
    header_names::{KEEP_ALIVE, PROXY_CONNECTION},
    http1::{drop_framing, has_one_content_length, is_upgrade},
    io::http2_body::{Http2Body, is_flood},
    io::http2_send::{Http2Send, Sent},
    stream::{BodyEvent, ResponseEvent},
};

/// Most fields of a response's head or trailers, as Envoy's upstream connections have it.
const MAX_FIELDS: usize = 100;

/// One request and its response on an HTTP/2 stream. Dropping it before both are complete resets the stream with
/// INTERNAL_ERROR, as Envoy does.
#[derive(Debug)]
pub(in crate::upstream) struct Http2Exchange {
    request: RequestSide,
    response: ResponseState,
    /// Bytes queued above which the caller pauses.
    watermark: usize,
    /// The upgrade that the request asks for.
    upgrade: Option<HeaderValue>,
    /// What was sent behind a request for a tunnel that is not open yet.
    held: Option<Held>,
    /// Dropped last, when the stream is over.
    slot: StreamSlot,
}

#[derive(Debug)]
struct RequestSide {
    stream: SendStream<Bytes>,
    /// More may be sent.
    open: bool,
    /// The host did not open the tunnel: nothing behind the head is for it.
    is_refused: bool,
    body: Http2Send,
}

#[derive(Debug)]
enum ResponseState {
    Head(ResponseFuture),
    Body(Http2Body),
    Complete,
}

impl Http2Exchange {
    /// Opens the stream.
    ///
    /// # Errors
    ///
    /// As [`StreamSlot::open`].
    pub(in crate::upstream) fn begin(
        mut slot: StreamSlot,
        head: &RequestHeaders,
        end_stream: bool,
        watermark: usize,
        hold_generic_upgrades: bool,
    ) -> Result<Self, Option<UpstreamFailure>> {
        let request = request(head).ok_or(Some(UpstreamFailure::ProtocolError))?;
        let upgrade = head.fields.get(UPGRADE).filter(|_| is_upgrade(&head.fields)).cloned();
        let is_held = match &upgrade {
            Some(upgrade) => hold_generic_upgrades || upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"),
            None => head.method == Method::CONNECT,
        };
        let (response, stream) = slot.open(request, end_stream)?;
        Ok(Self {
            request: RequestSide { stream, open: !end_stream, is_refused: false, body: Http2Send::default() },
            response: ResponseState::Head(response),
            watermark,
            upgrade,
            held: is_held.then(Held::default),
            slot,
        })
    }

    /// Queues a piece of the body.
    pub(in crate::upstream) fn send_data(&mut self, data: Slices, end_stream: bool) {
        if !self.request.open || self.request.is_refused {
            return;
        }
        if let Some(held) = &mut self.held {
            return held.add(data, end_stream);
        }
        self.request.body.push(data, end_stream);
    }

    /// Queues trailers.
    pub(in crate::upstream) fn send_trailers(&mut self, trailers: &HeaderMap) {
        if self.request.is_refused {
            return;
        }
        if let Some(held) = &mut self.held {
            return held.end();
        }
        self.request.body.push_trailers(trailers.clone());
    }

    /// Hands on what is queued; ready below the watermark.
    pub(in crate::upstream) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.request.write(cx);
        // What is held is let go by the response, for which the caller waits as well.
        if self.has_room() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The next part of the response.
    pub(in crate::upstream) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseEvent, UpstreamFailure>> {
        self.request.write(cx);
        let event = match ready!(self.poll_event(cx)) {
            Ok(event) => event,
            Err(error) => {
                let failure = failure(&error, self.slot.connection());
                return Poll::Ready(Err(self.give_up(failure)));
            }
        };
        match self.accept(event) {
            Some(event) => Poll::Ready(Ok(event)),
            None => Poll::Ready(Err(self.give_up(UpstreamFailure::ProtocolError))),
        }
    }

    fn give_up(&mut self, failure: UpstreamFailure) -> UpstreamFailure {
        self.response = ResponseState::Complete;
        self.request.give_up();
        failure
    }

    /// `None`: the host breaks the protocol.
    fn accept(&mut self, event: ResponseEvent) -> Option<ResponseEvent> {
        if is_too_long(&event) || switches_protocols(&event) {
            return None;
        }
        match event {
            ResponseEvent::Headers { mut head, end_stream } => {
                if !has_one_content_length(&mut head.fields) {
                    return None;
                }
                self.answer_upgrade(&mut head);
                Some(ResponseEvent::Headers { head, end_stream })
            }
            ResponseEvent::Body(BodyEvent::Trailers(mut trailers)) => {
                drop_framing(&mut trailers);
                Some(ResponseEvent::Body(BodyEvent::Trailers(trailers)))
            }
            event => Some(event),
        }
    }

    /// The answer to a request for a tunnel: what was sent behind it follows, or is for nobody. An upgrade was sent as an
    /// extended CONNECT (RFC 8441), so 200 is what `101` is in HTTP/1.
    fn answer_upgrade(&mut self, head: &mut ResponseHeaders) {
        let is_open = match &self.upgrade {
            Some(_) => head.status == StatusCode::OK,
            None => head.status.is_success(),
        };
        let held = self.held.take();
        match &self.upgrade {
            Some(upgrade) if is_open => {
                head.status = StatusCode::SWITCHING_PROTOCOLS;
                head.fields.insert(UPGRADE, upgrade.clone());
                head.fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            }
            _ => {}
        }
        if is_open {
            for (data, end_stream) in held.into_iter().flat_map(Held::into_pieces) {
                self.send_data(data, end_stream);
            }
        } else if held.is_some() {
            self.request.is_refused = true;
        }
    }

    /// Takes in what has arrived of the body although nobody wants it yet, so that it is not in the way of others on the
    /// connection.
    pub(in crate::upstream) fn absorb(&mut self, cx: &mut Context<'_>) {
        if let ResponseState::Body(body) = &mut self.response {
            body.absorb(cx);
        }
    }

    /// Bytes of the response and the request that wait here.
    pub(in crate::upstream) fn held(&self) -> usize {
        let response = match &self.response {
            ResponseState::Body(body) => body.waiting(),
            ResponseState::Head(_) | ResponseState::Complete => 0,
        };
        self.request_memory() + response
    }

    /// Whether less is queued than its sender may queue.
    pub(in crate::upstream) fn has_room(&self) -> bool {
        self.request_memory() <= self.watermark
    }

    fn request_memory(&self) -> usize {
        self.request.body.memory() + self.held.as_ref().map_or(0, Held::len)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseEvent, h2::Error>> {
        match &mut self.response {
            ResponseState::Head(response) => {
                if let Poll::Ready(Some(head)) = response.poll_informational(cx) {
                    let (head, ()) = head?.into_parts();
                    let head = ResponseHeaders { status: head.status, fields: head.headers };
                    return Poll::Ready(Ok(ResponseEvent::Informational(head)));
                }
                let (head, body) = ready!(Pin::new(response).poll(cx))?.into_parts();
                let end_stream = body.is_end_stream();
                self.response = if end_stream {
                    ResponseState::Complete
                } else {
                    ResponseState::Body(Http2Body::new(body))
                };
                let head = ResponseHeaders { status: head.status, fields: head.headers };
                Poll::Ready(Ok(ResponseEvent::Headers { head, end_stream }))
            }
            ResponseState::Body(body) => {
                let event = ready!(body.poll(cx))?;
                if !matches!(event, BodyEvent::Data { end_stream: false, .. }) {
                    self.response = ResponseState::Complete;
                }
                Poll::Ready(Ok(ResponseEvent::Body(event)))
            }
            ResponseState::Complete => Poll::Pending,
        }
    }
}

impl Drop for Http2Exchange {
    fn drop(&mut self) {
        if self.request.open || !matches!(self.response, ResponseState::Complete) {
            // Without effect on a stream that is over.
            self.request.stream.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

impl RequestSide {
    /// Hands as much to the connection as it takes. A failure shows in the response.
    fn write(&mut self, cx: &mut Context<'_>) {
        if self.open
            && let Poll::Ready(Ok(Sent::Whole) | Err(_)) = self.body.poll(&mut self.stream, cx)
        {
            self.give_up();
        }
    }

    /// Nothing more is sent: all was, or it failed.
    fn give_up(&mut self) {
        self.open = false;
        self.body.clear();
    }
}

/// The request as the library takes it; `None` if it cannot be expressed. An upgrade becomes an extended CONNECT (RFC 8441).
fn request(head: &RequestHeaders) -> Option<Request<()>> {
    let mut fields = head.fields.clone();
    if !has_one_content_length(&mut fields) {
        return None;
    }
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    let upgrade = fields.get(UPGRADE).filter(|_| is_upgrade(&fields));
    let is_extended_connect = upgrade.is_some();
    if let Some(upgrade) = upgrade {
        *request.method_mut() = Method::CONNECT;
        request.extensions_mut().insert(h2::ext::Protocol::from(upgrade.to_str().ok()?));
        // A tunnel has no length.
        remove_fields(&mut fields, &[HOST, CONNECTION, UPGRADE, CONTENT_LENGTH]);
    } else {
        remove_fields(&mut fields, &[HOST]);
    }
    let mut parts = uri::Parts::default();
    parts.authority = Some(uri::Authority::try_from(head.authority.as_bytes()).ok()?);
    if head.method != Method::CONNECT || is_extended_connect {
        parts.scheme = Some(uri::Scheme::try_from(head.scheme.as_bytes()).ok()?);
        parts.path_and_query = Some(uri::PathAndQuery::try_from(head.path.as_bytes()).ok()?);
    }
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    // What belongs to a connection has no place in HTTP/2 (RFC 9113 section 8.2.2). That of the client is gone: somebody
    // has added it, and the request fails, as in Envoy.
    let of_connection = [CONNECTION, TRANSFER_ENCODING, UPGRADE, KEEP_ALIVE, PROXY_CONNECTION];
    let is_forbidden = has_any(&fields, &of_connection);
    if is_forbidden || fields.get(TE).is_some_and(|value| value != HeaderValue::from_static("trailers")) {
        return None;
    }
    *request.headers_mut() = fields;
    Some(request)
}

/// HTTP/2 has no 101 (RFC 9113 section 8.6).
fn switches_protocols(event: &ResponseEvent) -> bool {
    match event {
        ResponseEvent::Informational(head) | ResponseEvent::Headers { head, .. } => {
            head.status == StatusCode::SWITCHING_PROTOCOLS
        }
        ResponseEvent::Body(_) => false,
    }
}

fn is_too_long(event: &ResponseEvent) -> bool {
    match event {
        ResponseEvent::Informational(head) | ResponseEvent::Headers { head, .. } => {
            head.fields.len() > MAX_FIELDS
        }
        ResponseEvent::Body(BodyEvent::Trailers(trailers)) => trailers.len() > MAX_FIELDS,
        ResponseEvent::Body(BodyEvent::Data { .. }) => false,
    }
}

/// What a failed stream is in Envoy's words.
fn failure(error: &h2::Error, connection: &Http2Connection) -> UpstreamFailure {
    match error.reason() {
        // The host sent too much of what nobody needs.
        _ if is_flood(error) => UpstreamFailure::ProtocolError,
        _ if error.is_io() => UpstreamFailure::ConnectionTermination,
        Some(Reason::REFUSED_STREAM) if error.is_remote() => UpstreamFailure::RemoteRefused,
        Some(Reason::PROTOCOL_ERROR) if error.is_remote() && error.is_reset() => {
            UpstreamFailure::ProtocolError
        }
        _ if error.is_remote() && error.is_go_away() && connection.ended_after_notice() => {
            UpstreamFailure::ConnectionTermination
        }
        // A stream that is told so was not worked on.
        _ if error.is_remote() && error.is_go_away() => UpstreamFailure::RemoteRefused,
        _ if error.is_remote() => UpstreamFailure::RemoteReset,
        _ => UpstreamFailure::ProtocolError,
    }
}
