//! Upstreams that read strictly and answer as the case says.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::strict::{self, Kind, Message, bytes};

/// Requests with paths like this are the runner's own.
pub(super) const OWN: &str = "/own/";

/// What the upstreams do and have seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The answer to requests, unless they are the runner's own.
    pub answer: Option<String>,
    /// It is given as soon as the head is there.
    pub early: bool,
    /// The connection is closed behind it.
    pub close: bool,
    /// Fields that are shown.
    pub show: Vec<String>,
    /// Requests.
    pub requests: Vec<String>,
    /// The runner's own requests.
    pub own: Vec<String>,
}

/// What all upstreams share.
pub(super) type Shared = Arc<Mutex<Seen>>;

/// Looks at what is shared.
pub(super) fn with<T>(shared: &Shared, look: impl FnOnce(&mut Seen) -> T) -> T {
    look(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Serves HTTP/1 until it is dropped. `prefix` tells the upstream in the record.
pub(super) async fn serve(listener: TcpListener, prefix: &'static str, shared: Shared) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, prefix, shared.clone()));
    }
}

async fn connection(mut stream: TcpStream, prefix: &'static str, shared: Shared) {
    let mut received = Vec::new();
    // The place in the record of a request that is not complete, or of a tunnel.
    let mut open: Option<usize> = None;
    let mut tunnel = None;
    let mut answered = false;
    loop {
        if let Some((place, text)) = &tunnel {
            let data = strict::latin1(&received);
            with(&shared, |seen| note(seen, Some(*place), format!("{text} {data}")));
        } else {
            loop {
                let message = match strict::read(&received, Kind::Request, false) {
                    Ok(message) => message,
                    Err(why) => {
                        with(&shared, |seen| note(seen, open, format!("{prefix}AMBIGUOUS {why}")));
                        return;
                    }
                };
                if !message.has_head {
                    break;
                }
                let asks_for_tunnel = message.word(0) == "CONNECT"
                    || (message.has_option("upgrade") && message.field("upgrade").is_some());
                let is_complete = message.length.is_some() || asks_for_tunnel;
                let (text, answer, close) = with(&shared, |seen| {
                    let text = describe(seen, prefix, &message);
                    let is_own = message.word(1).starts_with(OWN);
                    let may_answer = is_complete || (seen.early && !is_own);
                    let answer = (may_answer && !answered).then(|| answer(seen, &message, is_own));
                    if is_own && is_complete {
                        seen.own.push(message.word(1).to_owned());
                    } else if !is_own {
                        let cut = if is_complete { "" } else { " (cut)" };
                        open = Some(note(seen, open, format!("{text}{cut}")));
                    }
                    (text, answer, seen.close && !is_own)
                });
                if let Some(answer) = answer {
                    answered = true;
                    if stream.write_all(&bytes(&answer)).await.is_err() {
                        return;
                    }
                    if close {
                        let _ = stream.shutdown().await;
                        return;
                    }
                    if asks_for_tunnel && (answer.starts_with("HTTP/1.1 101") || message.word(0) == "CONNECT")
                    {
                        received.drain(..head_length(&received));
                        tunnel = open.map(|place| (place, text));
                        break;
                    }
                }
                if !is_complete {
                    break;
                }
                let used =
                    message.length.filter(|_| !asks_for_tunnel).unwrap_or_else(|| head_length(&received));
                received.drain(..used);
                (open, answered) = (None, false);
            }
        }
        match stream.read_buf(&mut received).await {
            Ok(1..) => {}
            _ => break,
        }
    }
    if tunnel.is_none() && open.is_none() && !received.is_empty() {
        let text = strict::latin1(&received);
        with(&shared, |seen| note(seen, None, format!("{prefix}{text:?} (cut)")));
    }
}

fn head_length(received: &[u8]) -> usize {
    received.windows(4).position(|window| window == b"\r\n\r\n").map_or(received.len(), |at| at + 4)
}

/// Writes a request down, or again.
pub(super) fn note(seen: &mut Seen, place: Option<usize>, text: String) -> usize {
    match place.and_then(|place| seen.requests.get_mut(place)) {
        Some(known) => *known = text,
        None => seen.requests.push(text),
    }
    place.unwrap_or(seen.requests.len() - 1)
}

fn describe(seen: &Seen, prefix: &str, message: &Message) -> String {
    let host = message.field("host").unwrap_or_default();
    let mut text = format!("{prefix}{} {} {host}", message.word(0), message.word(1));
    for name in &seen.show {
        if let Some(value) = message.field(name) {
            text.push_str(&format!(" [{name}: {value}]"));
        }
    }
    if !message.body.is_empty() {
        text.push(' ');
        text.push_str(&message.body);
    }
    text
}

fn answer(seen: &Seen, message: &Message, is_own: bool) -> String {
    if let (Some(answer), false) = (&seen.answer, is_own) {
        return answer.clone();
    }
    let body = if is_own { message.word(1) } else { "ok" };
    let shown = if message.word(0) == "HEAD" { "" } else { body };
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{shown}", body.len())
}
