//! The upstream: answers every request with the same bytes once it has all of it.

use std::{cell::Cell, future::poll_fn, pin::Pin, rc::Rc, task::Poll};

use tokio::{
    io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
    task::spawn_local,
};

use crate::{Result, http1::Messages, scratch::Scratch};

/// What it saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: Cell<u64>,
    /// Requests whose bodies had another length than the client sent.
    pub(crate) wrong: Cell<u64>,
}

/// The answer: nine fields and a body.
pub(crate) fn response(body: usize) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {body}\r\n\
         cache-control: private, max-age=0\r\netag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n\
         last-modified: Wed, 21 Oct 2026 07:28:00 GMT\r\nvary: accept-encoding\r\n\
         x-content-type-options: nosniff\r\nx-frame-options: DENY\r\n\
         strict-transport-security: max-age=31536000\r\n\r\n"
    )
    .into_bytes();
    bytes.resize(bytes.len() + body, b'u');
    bytes
}

/// Serves until the task is aborted. The connections are tasks of their own.
pub(crate) async fn serve(
    listener: TcpListener,
    response: Rc<[u8]>,
    request_body: usize,
    seen: Rc<Seen>,
) -> Result<()> {
    let scratch = Rc::new(Scratch::default());
    loop {
        let socket = listener.accept().await?.0;
        socket.set_nodelay(true)?;
        let (response, seen, scratch) = (response.clone(), seen.clone(), scratch.clone());
        spawn_local(async move {
            // A gateway may close its connections as it likes.
            let _ = serve_connection(socket, &response, request_body, &seen, &scratch).await;
        });
    }
}

async fn serve_connection(
    mut socket: TcpStream,
    response: &[u8],
    request_body: usize,
    seen: &Seen,
    scratch: &Scratch,
) -> Result<()> {
    let mut messages = Messages::default();
    loop {
        let mut answers = 0;
        let more = poll_fn(|cx| {
            scratch.with(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                match Pin::new(&mut socket).poll_read(cx, &mut buffer) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                    Poll::Ready(Ok(())) => {}
                }
                let mut bytes = buffer.filled();
                let more = !bytes.is_empty();
                while !bytes.is_empty() {
                    match messages.feed(bytes) {
                        Ok((taken, message)) => {
                            bytes = &bytes[taken..];
                            if let Some(message) = message {
                                answers += 1;
                                if message.body != request_body {
                                    seen.wrong.set(seen.wrong.get() + 1);
                                }
                            }
                        }
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                Poll::Ready(Result::Ok(more))
            })
        })
        .await?;
        if !more {
            return Ok(());
        }
        for _ in 0..answers {
            seen.requests.set(seen.requests.get() + 1);
            socket.write_all(response).await?;
        }
    }
}
