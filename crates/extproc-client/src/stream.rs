//! One stream of an exchange; an exchange that is tried again has several, one after the other.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use extproc::{Slices, codec::Decoder};
use h2::{SendStream, client::ResponseFuture};
use http::{HeaderMap, StatusCode};

use crate::{
    answer,
    payload::Payload,
    pool::{DetachedStream, Ending, StreamPermit},
    receive::Receive,
    reset::ResetReason,
    status::GrpcStatus,
    window::Window,
    wire_size::{FRAME_HEADER, RESET_FRAME},
};

/// What a stream brings.
pub(crate) enum Progress {
    /// The response head. If it is also the end, that follows.
    Answered { status: StatusCode, grpc_status: Option<i32> },
    /// A whole message.
    Message(Slices),
    /// The end; nothing follows.
    End(End),
}

/// How a stream ends.
pub(crate) enum End {
    /// The processor ended it.
    Remote(Result<(), GrpcStatus>),
    /// It is useless, and this side ends it.
    Local(GrpcStatus),
    /// It broke before the response head.
    ResetBeforeHead(ResetReason),
    /// It broke after the response head.
    ResetAfterHead(ResetReason),
}

/// An open stream.
pub(crate) struct Stream {
    send: SendStream<Payload>,
    receive: Receive,
    /// The end that came with the response head.
    end: Option<End>,
    decoder: Decoder,
    window: Window,
    received: u64,
    /// What had been received on the connection when it was opened.
    received_before: u64,
    permit: StreamPermit,
}

impl Stream {
    pub(crate) fn new(
        permit: StreamPermit,
        response: ResponseFuture,
        send: SendStream<Payload>,
        max_length: usize,
    ) -> Self {
        Self {
            send,
            receive: Receive::Head(response),
            end: None,
            decoder: Decoder::new(max_length),
            window: Window::new(permit.connection().clone()),
            received: 0,
            received_before: permit.connection().received(),
            permit,
        }
    }

    /// Sends what has been collected, in as few frames as possible.
    pub(crate) fn send(&mut self, payload: &mut Payload) {
        if !payload.is_empty() {
            // An error means that the stream has ended; the receiving half tells how.
            let _ = self.send.send_data(payload.split(), false);
        }
    }

    /// Wire bytes received.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        loop {
            if let Some(end) = self.end.take() {
                return Poll::Ready(Progress::End(end));
            }
            let body = match &mut self.receive {
                Receive::Head(response) => {
                    let response = match ready!(Pin::new(response).poll(cx)) {
                        Ok(response) => response,
                        Err(error) => {
                            self.note_reset(&error);
                            return Poll::Ready(Progress::End(End::ResetBeforeHead((&error).into())));
                        }
                    };
                    return Poll::Ready(self.answered(response));
                }
                Receive::Body(body) => body,
            };
            match self.decoder.next() {
                Ok(Some(message)) => {
                    self.window.hand_out(message.len(), self.decoder.buffered());
                    return Poll::Ready(Progress::Message(message));
                }
                Ok(None) => {}
                Err(error) => {
                    return Poll::Ready(Progress::End(End::Local(answer::local(error.grpc_status()))));
                }
            }
            match body.poll_data(cx) {
                Poll::Ready(Some(Ok(chunk))) => {
                    self.received += FRAME_HEADER + chunk.len() as u64;
                    self.window.hold(chunk.len());
                    self.decoder.push(chunk);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.note_reset(&error);
                    return Poll::Ready(Progress::End(End::ResetAfterHead((&error).into())));
                }
                Poll::Ready(None) => {
                    let end = match ready!(body.poll_trailers(cx)) {
                        Ok(Some(trailers)) => self.trailers(&trailers),
                        Ok(None) => End::Remote(Err(answer::end_without_trailers())),
                        Err(error) => End::ResetAfterHead((&error).into()),
                    };
                    return Poll::Ready(Progress::End(end));
                }
                Poll::Pending => {
                    // A message that is larger than the window could not arrive otherwise.
                    let framing = self.window.unowed();
                    self.release(framing);
                    return Poll::Pending;
                }
            }
        }
    }

    fn note_reset(&mut self, error: &h2::Error) {
        if error.is_reset() && error.is_remote() {
            self.received += RESET_FRAME;
        }
    }

    fn answered(&mut self, response: http::Response<h2::RecvStream>) -> Progress {
        let (head, body) = response.into_parts();
        self.received += self.permit.connection().responses.borrow_mut().response(head.status, &head.headers);
        let ended = body.is_end_stream();
        self.receive = Receive::Body(body);
        if head.headers.len() > answer::MAX_FIELDS {
            return Progress::End(End::ResetBeforeHead(ResetReason::RemoteReset));
        }
        let grpc_status = answer::grpc_status(&head.headers);
        self.end = if head.status == StatusCode::OK {
            ended.then(|| End::Remote(answer::end(&head.headers)))
        } else if ended {
            Some(End::Remote(match grpc_status {
                Some(_) => answer::end(&head.headers),
                None => Err(answer::http_status(head.status)),
            }))
        } else {
            Some(End::Local(answer::http_status(head.status)))
        };
        Progress::Answered { status: head.status, grpc_status }
    }

    fn trailers(&mut self, trailers: &HeaderMap) -> End {
        self.received += self.permit.connection().trailers.borrow_mut().trailers(trailers);
        if trailers.len() > answer::MAX_FIELDS {
            End::ResetAfterHead(ResetReason::RemoteReset)
        } else {
            End::Remote(answer::end(trailers))
        }
    }

    /// The caller is done with so many bytes of messages.
    pub(crate) fn credit(&mut self, bytes: usize) {
        let bytes = self.window.take_back(bytes);
        self.release(bytes);
    }

    /// Lets the peer send so many bytes more.
    fn release(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.window.release(bytes);
        if let Receive::Body(body) = &mut self.receive {
            // An error means that the stream has ended.
            let _ = body.flow_control().release_capacity(bytes);
        }
    }

    /// Leaves the stream to its connection. `rest` is what has not been sent yet.
    pub(crate) fn leave(mut self, rest: &mut Payload, ending: Ending) {
        self.send(rest);
        // Where no reply is asked for, silence means nothing.
        if !matches!(ending, Ending::HalfClose(_)) {
            self.permit.connection().suspect(self.received_before);
        }
        self.detach(rest).leave(ending);
    }

    /// Ends the stream after the processor has ended its half. What has not been sent is of no use any more.
    pub(crate) fn end(self, rest: &mut Payload) {
        drop(rest.split());
        self.detach(rest).end();
    }

    fn detach(mut self, rest: &mut Payload) -> DetachedStream {
        self.release(self.window.held());
        DetachedStream { send: self.send, receive: self.receive, nothing: rest.split(), permit: self.permit }
    }
}
