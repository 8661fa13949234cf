//! One direction of a connection that is passed on.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::io::read_buffer::ReadBuffer;

/// A side has given up: it was reset, or takes no more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// One direction. What is read is written before more is read, so that a slow receiver slows the sender down.
#[derive(Debug)]
pub(super) struct Pipe {
    buffer: ReadBuffer,
    state: State,
    read: usize,
    written: usize,
    /// Something was written since the last flush.
    unflushed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The sender has said everything.
    Ended,
    /// The sender has given up; what it had said is passed on.
    Failed,
    /// The receiver knows that, too.
    Over,
}

impl Pipe {
    /// A direction in which these bytes have come already.
    pub(super) fn new(buffer: ReadBuffer) -> Self {
        Self { buffer, state: State::Open, read: 0, written: 0, unflushed: false }
    }

    /// Bytes read since somebody asked.
    pub(super) fn take_read(&mut self) -> usize {
        std::mem::take(&mut self.read)
    }

    /// Bytes written since somebody asked.
    pub(super) fn take_written(&mut self) -> usize {
        std::mem::take(&mut self.written)
    }

    /// Passes on what there is. Ready when the sender has said everything and the receiver has it.
    pub(super) fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while !self.buffer.bytes.is_empty() {
                match ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer.bytes)) {
                    Ok(0) | Err(_) => return Poll::Ready(Err(Broken)),
                    Ok(written) => {
                        self.buffer.bytes.advance(written);
                        self.written += written;
                        self.unflushed = true;
                    }
                }
            }
            if self.unflushed {
                ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_| Broken)?;
                self.unflushed = false;
            }
            match self.state {
                State::Over => return Poll::Ready(Ok(())),
                State::Failed => return Poll::Ready(Err(Broken)),
                State::Ended => {
                    let shut = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                    self.state = State::Over;
                    return Poll::Ready(match shut {
                        // It has gone already, and said everything before.
                        Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(Broken),
                        _ => Ok(()),
                    });
                }
                State::Open => {
                    let Poll::Ready(read) = self.buffer.poll_fill(from, cx) else {
                        // A connection that waits owns no buffer.
                        self.buffer.release();
                        return Poll::Pending;
                    };
                    match read {
                        Ok(0) => self.state = State::Ended,
                        Ok(read) => self.read += read,
                        Err(_) => self.state = State::Failed,
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn poll(
        pipe: &mut Pipe,
        from: &mut tokio::io::DuplexStream,
        to: &mut tokio::io::DuplexStream,
    ) -> Poll<Result<(), Broken>> {
        pipe.poll(&mut Context::from_waker(Waker::noop()), from, to)
    }

    #[tokio::test]
    async fn an_end_is_passed_on_behind_the_bytes() {
        let (mut sender, mut from) = duplex(64);
        let (mut to, mut receiver) = duplex(64);
        let mut pipe = Pipe::new(bytes::BytesMut::from(&b"first, "[..]).into());
        assert_eq!(poll(&mut pipe, &mut from, &mut to), Poll::Pending);
        sender.write_all(b"then").await.unwrap();
        assert_eq!(poll(&mut pipe, &mut from, &mut to), Poll::Pending);
        assert_eq!((pipe.take_read(), pipe.take_written()), (4, 11));
        sender.shutdown().await.unwrap();
        assert_eq!(poll(&mut pipe, &mut from, &mut to), Poll::Ready(Ok(())));
        assert_eq!(poll(&mut pipe, &mut from, &mut to), Poll::Ready(Ok(())));
        let mut all = String::new();
        receiver.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "first, then");
    }

    #[tokio::test]
    async fn a_slow_receiver_slows_the_sender_down() {
        let (mut sender, mut from) = duplex(1024 * 1024);
        let (mut to, mut receiver) = duplex(16);
        sender.write_all(&[b'x'; 900 * 1024]).await.unwrap();
        let mut pipe = Pipe::new(ReadBuffer::default());
        assert_eq!(poll(&mut pipe, &mut from, &mut to), Poll::Pending);
        assert!(pipe.take_read() < 200 * 1024);
        assert_eq!(pipe.take_written(), 16);
        drop(sender);
        let reading = async {
            let mut all = Vec::new();
            receiver.read_to_end(&mut all).await.unwrap();
            all.len()
        };
        let passing = std::future::poll_fn(|cx| pipe.poll(cx, &mut from, &mut to));
        let (passed, all) = tokio::join!(passing, reading);
        assert_eq!((passed, all), (Ok(()), 900 * 1024));
    }

    #[tokio::test]
    async fn a_receiver_that_has_gone_breaks_it() {
        let (mut sender, mut from) = duplex(64);
        let (mut to, receiver) = duplex(64);
        drop(receiver);
        sender.write_all(b"x").await.unwrap();
        assert_eq!(poll(&mut Pipe::new(ReadBuffer::default()), &mut from, &mut to), Poll::Ready(Err(Broken)));
    }
}
