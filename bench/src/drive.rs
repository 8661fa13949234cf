//! Moves the bytes of an HTTP/2 connection.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    Result,
    http2::{Connection, Event},
};

const INPUT: usize = 256 * 1024;

/// What an end does with its connection.
pub(crate) trait Peer {
    fn connection(&mut self) -> &mut Connection;
    /// Something arrived.
    fn event(&mut self, event: Event<'_>) -> Result<()>;
    /// May begin something of its own. Called before the output is written.
    fn poll(&mut self, cx: &mut Context<'_>);
}

/// Runs a connection until the other end closes it. All that a turn of reading leads to is written at once.
pub(crate) async fn drive<S>(mut socket: S, peer: &mut impl Peer) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut input = vec![0; INPUT].into_boxed_slice();
    let mut filled = 0;
    let mut written = 0;
    poll_fn(move |cx| {
        loop {
            peer.poll(cx);
            if let Err(error) = write(&mut socket, &mut peer.connection().output, &mut written, cx) {
                return Poll::Ready(Err(error.into()));
            }
            let mut buffer = ReadBuf::new(&mut input[filled..]);
            match Pin::new(&mut socket).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => filled += buffer.filled().len(),
            }
            let mut at = 0;
            loop {
                let (taken, event) = match peer.connection().next(&input[at..filled]) {
                    Ok(Some(found)) => found,
                    Ok(None) => break,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                at += taken;
                if let Some(Err(error)) = event.map(|event| peer.event(event)) {
                    return Poll::Ready(Err(error));
                }
            }
            input.copy_within(at..filled, 0);
            filled -= at;
        }
    })
    .await
}

fn write<S: AsyncWrite + Unpin>(
    socket: &mut S,
    output: &mut Vec<u8>,
    written: &mut usize,
    cx: &mut Context<'_>,
) -> io::Result<()> {
    while *written < output.len() {
        match Pin::new(&mut *socket).poll_write(cx, &output[*written..]) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(count)) => *written += count,
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => {
                if *written >= INPUT {
                    output.drain(..*written);
                    *written = 0;
                }
                return Ok(());
            }
        }
    }
    if *written > 0 {
        output.clear();
        *written = 0;
        // TLS keeps records that the socket had no room for.
        if let Poll::Ready(Err(error)) = Pin::new(socket).poll_flush(cx) {
            return Err(error);
        }
    }
    Ok(())
}
