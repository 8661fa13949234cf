//! What a transaction sees of the client's and the upstream's side: message heads, pieces of bodies, trailers.

use std::task::{Context, Poll};

use bytes::Bytes;
use extproc::{ResponseHeaders, Slices};
use http::HeaderMap;
use tokio::time::Instant;

use crate::meter::Meter;

/// What follows the head of a message.
#[derive(Debug)]
pub(crate) enum BodyEvent {
    /// A piece of the body. HTTP/1 reports the end as an empty piece of its own (B-6.5); HTTP/2 with the last frame.
    Data {
        /// The bytes, may be empty when they end the message.
        data: Bytes,
        /// Nothing follows.
        end_stream: bool,
    },
    /// Trailers; nothing follows.
    Trailers(HeaderMap),
}

/// What an upstream answers.
#[derive(Debug)]
pub(crate) enum ResponseEvent {
    /// A 1xx head (not 101); more heads follow.
    Informational(ResponseHeaders),
    /// The head of the response (101 included).
    Headers {
        /// Status and fields.
        head: ResponseHeaders,
        /// Nothing follows.
        end_stream: bool,
    },
    /// Body or trailers.
    Body(BodyEvent),
}

/// Why the client's side ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DownstreamError {
    /// The connection was closed by the client.
    Disconnected,
    /// The stream was reset by the client.
    Reset,
    /// The request broke the protocol (body framing, trailers); an answer may still be possible.
    Protocol(&'static str),
}

/// The client's side of one request. Implemented for an HTTP/1 connection and for an HTTP/2 stream.
///
/// Everything sent is queued and written when polled; callers stop producing while [`poll_writable`] is pending, so
/// the queue is bounded by the write watermark plus one piece.
///
/// [`poll_writable`]: Downstream::poll_writable
pub(crate) trait Downstream {
    /// The next piece of the request body. Not called again after its end.
    ///
    /// A client that expects `100 Continue` was told to go on before the request was handed out, and the `expect` field
    /// was removed, as in Envoy; with `proxy_100_continue` that is left to the upstream.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyEvent, DownstreamError>>;

    /// Whether all that is left of the request body is here already, so that reading it costs no memory. Then it is read
    /// even while nobody asks for more, as a proxy that reads ahead does (B-4.4, B-5.6).
    fn body_has_arrived(&mut self) -> bool {
        false
    }

    /// Takes in what has arrived of a body that nobody wants yet, where it would be in the way of other requests of the
    /// connection.
    fn absorb(&mut self, _cx: &mut Context<'_>) {}

    /// Resolves when the client goes away; used while nothing else is read from it.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DownstreamError>;

    /// Why the client has gone, if that is known already: nothing is read to find out.
    fn gone(&mut self, _cx: &mut Context<'_>) -> Option<DownstreamError> {
        None
    }

    /// Writes what is queued; ready when the queue is below its watermark.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>>;

    /// Whether the queue is below its watermark.
    fn has_room(&self) -> bool;

    /// Whether memory is short: the request should take in no more than it can pass on.
    fn is_pressed(&self) -> bool {
        false
    }

    /// Streams of this worker that move much: among so many the worker is shared.
    fn moving_streams(&self) -> usize {
        0
    }

    /// Notes that the request holds so many bytes beside what is queued here. False: it has to end at once, because memory
    /// is short and it holds much; the task is woken when that is so.
    fn note_held(&mut self, beside: usize, cx: &Context<'_>) -> bool;

    /// Ready once the deadline has passed. There is one timer: what counts is the deadline of the latest call.
    fn poll_deadline(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()>;

    /// Bytes received and queued so far.
    fn meter(&self) -> Meter {
        Meter::default()
    }

    /// Queues a 1xx head.
    fn send_informational(&mut self, head: &ResponseHeaders);

    /// Queues the head of the response. A `101` turns an upgrade request's body and the response body into raw bytes.
    fn send_headers(&mut self, head: &ResponseHeaders, end_stream: bool);

    /// Queues a piece of the body.
    fn send_data(&mut self, data: Slices, end_stream: bool);

    /// Queues trailers, which end the response.
    fn send_trailers(&mut self, trailers: &HeaderMap);

    /// An HTTP/1 connection ends with this response, which says so: its head is still to come. An HTTP/2 one goes on.
    fn end_connection(&mut self);

    /// Ends the response abnormally: HTTP/2 RST_STREAM, HTTP/1 closes the connection without the final chunk.
    fn reset(&mut self);
}
