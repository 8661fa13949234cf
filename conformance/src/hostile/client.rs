//! Clients that send bytes as they are, and read answers strictly.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    case::Http2,
    strict::{self, Kind},
    upstream::OWN,
};

/// How long an answer may take that does not come.
const PATIENCE: Duration = Duration::from_millis(2500);

/// What a client got: statuses and what else there is of them, and the last body.
#[derive(Debug, Default)]
pub(super) struct Got {
    pub client: Vec<String>,
    pub body: String,
    /// An answer that is not read by all alike.
    pub ambiguous: Option<String>,
}

/// Sends bytes over HTTP/1. If the connection stays open, one more request shows that both sides agree on where they are:
/// its answer must come next.
pub(super) async fn http1(port: u16, send: &str, probe: &str) -> Result<Got, String> {
    let mut stream = connect(port).await?;
    // The gateway may close before it has read all.
    let _ = stream.write_all(&strict::bytes(send)).await;
    let mut got = Got::default();
    let mut received = Vec::new();
    let mut probed = false;
    let mut is_head = send.starts_with("HEAD ");
    loop {
        let ended = match timeout(PATIENCE, stream.read_buf(&mut received)).await {
            Err(_) => {
                got.client.push("none".to_owned());
                return Ok(got);
            }
            Ok(read) => !matches!(read, Ok(1..)),
        };
        loop {
            let kind = if is_head && !probed { Kind::ResponseToHead } else { Kind::Response };
            let answer = match strict::read(&received, kind, ended) {
                Ok(answer) => answer,
                Err(why) => {
                    got.ambiguous = Some(why);
                    return Ok(got);
                }
            };
            let Some(length) = answer.length else {
                if ended {
                    got.client.extend(answer.has_head.then(|| answer.word(1).to_owned()));
                    got.client.push(if received.is_empty() { "refused" } else { "cut" }.to_owned());
                    return Ok(got);
                }
                break;
            };
            received.drain(..length);
            let status = answer.word(1).to_owned();
            if answer.body == probe {
                return Ok(got);
            }
            got.client.push(status.clone());
            if status.starts_with('1') && status != "101" {
                continue;
            }
            got.body = answer.body.clone();
            is_head = false;
            if status == "101" {
                let _ = timeout(Duration::from_millis(50), stream.read_buf(&mut received)).await;
                got.body = strict::latin1(&received);
                return Ok(got);
            }
            if answer.has_option("close") || ended {
                return closed(stream, received, got).await;
            }
            if !probed && received.is_empty() {
                probed = true;
                let request = format!("GET {probe} HTTP/1.1\r\nhost: own\r\n\r\n");
                let _ = stream.write_all(request.as_bytes()).await;
            }
        }
    }
}

/// Nothing follows the last answer of a connection.
async fn closed(mut stream: TcpStream, mut received: Vec<u8>, mut got: Got) -> Result<Got, String> {
    let end = async { while matches!(stream.read_buf(&mut received).await, Ok(1..)) {} };
    if timeout(PATIENCE, end).await.is_err() {
        return Err("the connection stays open behind an answer with connection: close".to_owned());
    }
    if !received.is_empty() {
        got.ambiguous = Some(format!("bytes behind the last answer: {:?}", strict::latin1(&received)));
    }
    Ok(got)
}

async fn connect(port: u16) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// A request of the runner's own on a connection of its own: whatever happened before, it gets its answer.
pub(super) async fn own(port: u16, path: &str) -> Result<(), String> {
    let got =
        http1(port, &format!("GET {path} HTTP/1.1\r\nhost: own\r\n\r\n"), &format!("{OWN}after")).await?;
    if got.client != ["200"] || got.body != path || got.ambiguous.is_some() {
        return Err(format!("the next client is not served: {got:?}"));
    }
    Ok(())
}

/// Sends a request on stream 1 of an HTTP/2 connection.
pub(super) async fn http2(port: u16, request: &Http2) -> Result<Got, String> {
    let mut stream = connect(port).await?;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, 4, 0, 0, &[]);
    let usual = [":method: GET", ":scheme: http", ":path: /x", ":authority: h"];
    let head: Vec<&str> = match &request.head {
        Some(head) => head.iter().map(String::as_str).collect(),
        None => usual.into_iter().chain(request.fields.iter().map(String::as_str)).collect(),
    };
    let is_last = request.body.is_none() && request.trailers.is_none();
    frame(&mut bytes, 1, 4 | u8::from(is_last), 1, &block(&head)?);
    if let Some(body) = &request.body {
        frame(&mut bytes, 0, u8::from(request.trailers.is_none()), 1, &strict::bytes(body));
    }
    if let Some(trailers) = &request.trailers {
        let trailers: Vec<&str> = trailers.iter().map(String::as_str).collect();
        frame(&mut bytes, 1, 5, 1, &block(&trailers)?);
    }
    let _ = stream.write_all(&bytes).await;
    let mut got = Got::default();
    let mut received = Vec::new();
    loop {
        let ended = match timeout(PATIENCE, stream.read_buf(&mut received)).await {
            Err(_) => {
                got.client.push("none".to_owned());
                return Ok(got);
            }
            Ok(read) => !matches!(read, Ok(1..)),
        };
        while let Some((kind, flags, id, payload)) = take_frame(&mut received) {
            match (kind, id) {
                (4, _) if flags & 1 == 0 => {
                    let mut ack = Vec::new();
                    frame(&mut ack, 4, 1, 0, &[]);
                    let _ = stream.write_all(&ack).await;
                }
                (1, 1) => {
                    let status = status(&payload).filter(|_| got.client.is_empty() || got.client[0] == "100");
                    got.client.extend(status);
                }
                (0, 1) => got.body.push_str(&strict::latin1(&payload)),
                (3, 1) | (7, _) => {
                    // A reset behind a whole answer only says that the rest of the request is not wanted.
                    got.client.push(if got.client.is_empty() { "refused" } else { "cut" }.to_owned());
                    return Ok(got);
                }
                _ => {}
            }
            if matches!(kind, 0 | 1) && id == 1 && flags & 1 == 1 {
                return Ok(got);
            }
        }
        if ended {
            got.client.push(if got.client.is_empty() { "refused" } else { "cut" }.to_owned());
            return Ok(got);
        }
    }
}

/// Appends a frame.
pub(super) fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(0).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Takes a frame from the front: type, flags, stream and payload.
pub(super) fn take_frame(received: &mut Vec<u8>) -> Option<(u8, u8, u32, Vec<u8>)> {
    let head: [u8; 9] = received.get(..9)?.try_into().ok()?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let payload = received.get(9..9 + length)?.to_vec();
    received.drain(..9 + length);
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
    Some((head[3], head[4], stream, payload))
}

/// A header block of literals without Huffman coding, so that everything can be written.
pub(super) fn block(fields: &[&str]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for field in fields {
        let name = usize::from(field.starts_with(':') && !field.starts_with(": "));
        let colon = field[name..].find(':').ok_or_else(|| format!("no field: {field:?}"))? + name;
        let value = &field[colon + 1..];
        out.push(0);
        text(&mut out, &strict::bytes(&field[..colon]));
        text(&mut out, &strict::bytes(value.strip_prefix(' ').unwrap_or(value)));
    }
    Ok(out)
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    match u8::try_from(text.len()) {
        Ok(length) if length < 127 => out.push(length),
        _ => {
            out.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                out.push(u8::try_from(rest % 128).unwrap_or(0) | 128);
                rest /= 128;
            }
            out.push(u8::try_from(rest).unwrap_or(0));
        }
    }
    out.extend_from_slice(text);
}

/// The status at the start of the first header block of a connection.
fn status(block: &[u8]) -> Option<String> {
    let mut at = 0;
    // A change of the table's size comes first.
    while block.get(at).is_some_and(|byte| byte & 0xe0 == 0x20) {
        at += 1;
    }
    let first = *block.get(at)?;
    let known = ["200", "204", "206", "304", "400", "404", "500"];
    if (0x88..=0x8e).contains(&first) {
        return known.get(usize::from(first - 0x88)).map(|status| (*status).to_owned());
    }
    let length = *block.get(at + 1)?;
    let value = block.get(at + 2..at + 2 + usize::from(length & 0x7f))?;
    if length & 0x80 == 0 { Some(strict::latin1(value)) } else { digits(value) }
}

/// Digits in Huffman coding: 0 to 2 have five bits, the others six.
fn digits(coded: &[u8]) -> Option<String> {
    let bits: Vec<u8> = coded.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0_u8, |number, bit| number << 1 | bit);
    let (mut text, mut at) = (String::new(), 0);
    while text.len() < 3 {
        let short = number(bits.get(at..at + 5)?);
        let (digit, length) =
            if short < 3 { (short, 5) } else { (number(bits.get(at..at + 6)?) - 25 + 3, 6) };
        text.push(char::from(b'0' + digit));
        at += length;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_decoded() {
        assert_eq!(status(&[0x8d]).as_deref(), Some("404"));
        assert_eq!(status(&[0x20, 0x48, 3, b'4', b'3', b'1']).as_deref(), Some("431"));
        // RFC 7541, C.6.1: 302.
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]).as_deref(), Some("302"));
    }
}
