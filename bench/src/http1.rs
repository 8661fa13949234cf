//! As much of HTTP/1.1 as both ends of a benchmark need: finds the ends of messages, and remembers only what is asked.

use crate::Result;

/// Longest head that is understood.
const MAX_HEAD: usize = 64 * 1024;

/// Finds the ends of messages in the bytes of a connection.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    state: State,
    /// A beginning of a head or of a chunk size whose end has not arrived.
    partial: Vec<u8>,
    status: u16,
    body: usize,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Head,
    Length(usize),
    ChunkSize,
    /// What is left of a chunk, its line end included.
    Chunk(usize),
    Trailers,
}

/// A whole message was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    /// Of a response; 0 for a request.
    pub(crate) status: u16,
    /// Bytes of its body.
    pub(crate) body: usize,
}

impl Messages {
    /// Takes bytes until a message ends; gives how many were taken.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(usize, Option<Message>)> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.state {
                State::Head => {
                    let Some(taken) = self.until(rest, b"\r\n\r\n", MAX_HEAD)? else {
                        return Ok((bytes.len(), None));
                    };
                    let ended = if self.partial.is_empty() {
                        self.head(&rest[..taken])?
                    } else {
                        let head = std::mem::take(&mut self.partial);
                        self.head(&head)?
                    };
                    at += taken;
                    if ended {
                        return Ok((at, Some(self.end())));
                    }
                }
                State::Length(left) => {
                    let taken = left.min(rest.len());
                    self.body += taken;
                    at += taken;
                    self.state = State::Length(left - taken);
                    if taken == left {
                        return Ok((at, Some(self.end())));
                    }
                }
                State::ChunkSize => {
                    let Some(taken) = self.until(rest, b"\r\n", 64)? else { return Ok((bytes.len(), None)) };
                    let line = std::mem::take(&mut self.partial);
                    let line = if line.is_empty() { &rest[..taken] } else { &line };
                    at += taken;
                    let size = chunk_size(line)?;
                    self.body += size;
                    self.state = if size == 0 { State::Trailers } else { State::Chunk(size + 2) };
                }
                State::Chunk(left) => {
                    let taken = left.min(rest.len());
                    at += taken;
                    self.state = if taken == left { State::ChunkSize } else { State::Chunk(left - taken) };
                }
                State::Trailers => {
                    let Some(taken) = self.until(rest, b"\r\n", MAX_HEAD)? else {
                        return Ok((bytes.len(), None));
                    };
                    let line = std::mem::take(&mut self.partial);
                    let length = if line.is_empty() { taken } else { line.len() };
                    at += taken;
                    if length == 2 {
                        return Ok((at, Some(self.end())));
                    }
                }
            }
        }
        Ok((at, None))
    }

    /// Looks for an end mark. If it is not there everything is kept; if the beginning was kept before, the whole is in
    /// `partial` afterwards.
    fn until(&mut self, bytes: &[u8], mark: &[u8], limit: usize) -> Result<Option<usize>> {
        if self.partial.is_empty() {
            if let Some(found) = find(bytes, mark) {
                return Ok(Some(found + mark.len()));
            }
            self.partial.extend_from_slice(bytes);
        } else {
            let known = self.partial.len();
            self.partial.extend_from_slice(bytes);
            let from = known.saturating_sub(mark.len() - 1);
            if let Some(found) = find(&self.partial[from..], mark) {
                let end = from + found + mark.len();
                self.partial.truncate(end);
                return Ok(Some(end - known));
            }
        }
        if self.partial.len() > limit { Err("HTTP/1.1: no end of a head".into()) } else { Ok(None) }
    }

    /// Whether the message ends with its head.
    fn head(&mut self, head: &[u8]) -> Result<bool> {
        self.status = match head.strip_prefix(b"HTTP/1.1 ") {
            Some(rest) => {
                rest.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0)
            }
            None => 0,
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        lines.next();
        for line in lines {
            if let Some(value) = field(line, b"content-length:") {
                let length =
                    std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<usize>().ok());
                let length = length.ok_or("HTTP/1.1: bad content-length")?;
                self.state = State::Length(length);
                return Ok(length == 0);
            }
            if field(line, b"transfer-encoding:").is_some() {
                self.state = State::ChunkSize;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn end(&mut self) -> Message {
        self.state = State::Head;
        Message { status: std::mem::take(&mut self.status), body: std::mem::take(&mut self.body) }
    }
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, value) = line.split_at_checked(name.len())?;
    found.eq_ignore_ascii_case(name).then_some(value)
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, mark)
}

fn chunk_size(line: &[u8]) -> Result<usize> {
    let digits = line.split(|byte| matches!(byte, b';' | b'\r' | b' ')).next().unwrap_or_default();
    let text = std::str::from_utf8(digits).map_err(|_| "HTTP/1.1: bad chunk size")?;
    Ok(usize::from_str_radix(text, 16).map_err(|_| "HTTP/1.1: bad chunk size")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
            HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA;x\r\n0123456789\r\n0\r\nt: 1\r\n\r\n\
            GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        let expected = [(200, 5), (404, 13), (0, 0)].map(|(status, body)| Message { status, body });
        for first in 0..bytes.len() {
            for second in first..bytes.len() {
                let mut messages = Messages::default();
                let mut seen = Vec::new();
                for mut part in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                    while !part.is_empty() {
                        let (taken, message) = messages.feed(part).expect("valid");
                        part = &part[taken..];
                        seen.extend(message);
                    }
                }
                assert_eq!(seen, expected, "cut at {first} and {second}");
            }
        }
    }
}
