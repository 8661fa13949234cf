//! The answers of one exchange on their way to the gateway.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;

use super::{Exchanger, Inbound, framed, trailers};
use crate::{Code, Status, failure::caught, limits::Place};

/// Reads messages when the exchange takes them, and asks it for answers when the gateway takes them: no queue, and no task
/// beside the stream's own.
pub(crate) struct Replies {
    /// Gone at the end of the stream, and with it the handler.
    exchange: Option<Box<dyn Exchanger>>,
    inbound: Inbound,
    place: Place,
    max_message_size: usize,
    /// The rest of the message that was sent last.
    payload: Option<Bytes>,
    /// Bytes of the message that is on its way.
    sending: usize,
    closed: bool,
}

impl Replies {
    pub(crate) fn new(
        exchange: Box<dyn Exchanger>,
        inbound: Inbound,
        place: Place,
        max_message_size: usize,
    ) -> Self {
        let exchange = Some(exchange);
        Self { exchange, inbound, place, max_message_size, payload: None, sending: 0, closed: false }
    }

    pub(crate) fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        if let Some(payload) = self.payload.take() {
            return Poll::Ready(Some(Frame::data(payload)));
        }
        self.sending = 0;
        match self.poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(frame)),
            Poll::Ready(Some(Err(status))) => {
                self.exchange = None;
                Poll::Ready(Some(trailers(&status)))
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            let Some(exchange) = &mut self.exchange else { return Poll::Ready(None) };
            match caught(|| exchange.poll_reply(context)) {
                Err(failure) => return Poll::Ready(Some(Err(Status::internal(failure.to_string())))),
                Ok(Poll::Ready(None)) => return Poll::Ready(Some(Err(Status::ok()))),
                Ok(Poll::Ready(Some(Err(status)))) => return Poll::Ready(Some(Err(status))),
                Ok(Poll::Ready(Some(Ok(message)))) => {
                    let (message, payload) = framed(message);
                    let bytes = message.len() + payload.as_ref().map_or(0, Bytes::len);
                    if bytes > self.max_message_size.saturating_add(5) {
                        let text = format!("an answer of {bytes} bytes is larger than the limit");
                        return Poll::Ready(Some(Err(Status::new(Code::OutOfRange, text))));
                    }
                    self.payload = payload;
                    self.sending = bytes;
                    if let Err(status) = self.charge() {
                        return Poll::Ready(Some(Err(status)));
                    }
                    return Poll::Ready(Some(Ok(Frame::data(message))));
                }
                Ok(Poll::Pending) => {}
            }
            let Some(exchange) = &mut self.exchange else { return Poll::Ready(None) };
            if self.closed || !exchange.wants_input() {
                return match self.charge() {
                    Ok(()) => Poll::Pending,
                    Err(status) => Poll::Ready(Some(Err(status))),
                };
            }
            let received = match self.inbound.next() {
                Ok(Some(message)) => exchange.receive(message),
                Ok(None) => match self.inbound.poll_arrived(context) {
                    Poll::Pending => {
                        return match self.charge() {
                            Ok(()) => Poll::Pending,
                            Err(status) => Poll::Ready(Some(Err(status))),
                        };
                    }
                    Poll::Ready(Ok(Some(()))) => Ok(()),
                    Poll::Ready(Ok(None)) => {
                        self.closed = true;
                        exchange.close();
                        Ok(())
                    }
                    Poll::Ready(Err(status)) => Err(status),
                },
                Err(status) => Err(status),
            };
            if let Err(status) = received.and_then(|()| self.charge()) {
                return Poll::Ready(Some(Err(status)));
            }
        }
    }

    /// Counts what lies in memory for the exchange.
    fn charge(&self) -> Result<(), Status> {
        let exchange = self.exchange.as_ref().map_or(0, |exchange| exchange.buffered());
        self.place.hold(self.inbound.buffered() + exchange + self.sending)
    }
}
