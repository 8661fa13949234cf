//! An HTTP/2 upstream that answers with frames as they are written. It takes no header block apart: the runner's own requests go
//! elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    case::Frame,
    client::{block, frame, take_frame},
    strict,
};

/// What is answered to every request.
pub(super) type Frames = Arc<Mutex<Vec<Frame>>>;

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, frames: Frames) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, frames.clone()));
    }
}

async fn connection(mut stream: TcpStream, frames: Frames) -> Option<()> {
    const PREFACE: usize = 24;
    let mut received = Vec::new();
    let mut out = Vec::new();
    frame(&mut out, 4, 0, 0, &[]);
    stream.write_all(&out).await.ok()?;
    while received.len() < PREFACE {
        stream.read_buf(&mut received).await.ok().filter(|count| *count > 0)?;
    }
    received.drain(..PREFACE);
    loop {
        let mut out = Vec::new();
        let mut is_over = false;
        while let Some((kind, flags, id, payload)) = take_frame(&mut received) {
            match kind {
                1 => {
                    let answers = frames.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    for answer in &answers {
                        is_over |= answer.goaway.is_some();
                        put(&mut out, id, answer)?;
                    }
                }
                4 if flags & 1 == 0 => frame(&mut out, 4, 1, 0, &[]),
                6 if flags & 1 == 0 => frame(&mut out, 6, 1, 0, &payload),
                _ => {}
            }
        }
        stream.write_all(&out).await.ok()?;
        if is_over {
            return stream.shutdown().await.ok();
        }
        stream.read_buf(&mut received).await.ok().filter(|count| *count > 0)?;
    }
}

fn put(out: &mut Vec<u8>, stream: u32, answer: &Frame) -> Option<()> {
    let end = u8::from(answer.end);
    if let Some(head) = &answer.head {
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        frame(out, 1, 4 | end, stream, &block(&head).ok()?);
    }
    if let Some(data) = &answer.data {
        frame(out, 0, end, stream, &strict::bytes(data));
    }
    if let Some(code) = answer.reset {
        frame(out, 3, 0, stream, &code.to_be_bytes());
    }
    if let Some(code) = answer.goaway {
        frame(out, 7, 0, 0, &[stream.to_be_bytes(), code.to_be_bytes()].concat());
    }
    Some(())
}
