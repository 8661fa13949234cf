//! As much of HTTP/2 as both ends of a benchmark need, without I/O: frames and flow control. Header blocks are passed
//! on as they are; nobody here looks into them.

use std::collections::{HashMap, VecDeque};

use crate::Result;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
const ACK: u8 = 0x1;
const PADDED: u8 = 0x8;
const PRIORITY_FLAG: u8 = 0x20;

const HEAD: usize = 9;
const DEFAULT_WINDOW: i64 = 65_535;
/// What the peer may send before we return window, for each stream and for the connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// What we accept, and what most servers accept.
const MAX_FRAME: usize = 16_384;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const SETTING_MAX_CONCURRENT_STREAMS: u16 = 3;
const SETTING_INITIAL_WINDOW: u16 = 4;
const SETTING_MAX_FRAME: u16 = 5;

/// What arrived, beside what the connection deals with itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    Headers { stream: u32, block: &'a [u8], end: bool },
    Data { stream: u32, data: &'a [u8], end: bool },
    Reset { stream: u32 },
    Goaway,
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Bytes to be written.
    pub(crate) output: Vec<u8>,
    preface_due: bool,
    window: i64,
    initial_window: i64,
    max_frame: usize,
    /// Received on the connection and not yet returned as window.
    received: u32,
    streams: HashMap<u32, Stream>,
    blocked: VecDeque<u32>,
}

#[derive(Debug)]
struct Stream {
    window: i64,
    received: u32,
    pending: VecDeque<u8>,
    /// What follows the pending data: an empty DATA frame with END_STREAM, or a block of trailers.
    end: Option<End>,
    peer_ended: bool,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Data,
    Trailers(&'static [u8]),
}

impl Connection {
    fn new(max_streams: Option<u32>) -> Self {
        let mut connection = Self {
            output: Vec::new(),
            preface_due: false,
            window: DEFAULT_WINDOW,
            initial_window: DEFAULT_WINDOW,
            max_frame: MAX_FRAME,
            received: 0,
            streams: HashMap::new(),
            blocked: VecDeque::new(),
        };
        let mut settings = vec![(SETTING_INITIAL_WINDOW, STREAM_WINDOW)];
        settings.extend(max_streams.map(|streams| (SETTING_MAX_CONCURRENT_STREAMS, streams)));
        connection.head(settings.len() * 6, SETTINGS, 0, 0);
        for (setting, value) in settings {
            connection.output.extend(setting.to_be_bytes());
            connection.output.extend(value.to_be_bytes());
        }
        connection.window_update(0, CONNECTION_WINDOW - DEFAULT_WINDOW as u32);
        connection
    }

    /// The server's end.
    pub(crate) fn server(max_streams: u32) -> Self {
        Self { preface_due: true, ..Self::new(Some(max_streams)) }
    }

    /// The client's end.
    pub(crate) fn client() -> Self {
        let mut connection = Self::new(None);
        connection.output.splice(0..0, PREFACE.iter().copied());
        connection
    }

    /// Opens a stream, or begins the answer on one that the peer opened.
    pub(crate) fn send_headers(&mut self, stream: u32, block: &[u8], end: bool) {
        self.stream(stream);
        self.head(block.len(), HEADERS, END_HEADERS | if end { END_STREAM } else { 0 }, stream);
        self.output.extend_from_slice(block);
    }

    /// Sends data, as far as the windows allow; the rest is kept and follows when they do.
    pub(crate) fn send_data(&mut self, stream: u32, parts: [&[u8]; 2]) {
        let length = parts[0].len() + parts[1].len();
        let (connection, max_frame) = (self.window, self.max_frame);
        let state = self.stream(stream);
        if state.pending.is_empty() && length as i64 <= connection.min(state.window) && length <= max_frame {
            state.window -= length as i64;
            self.window -= length as i64;
            self.head(length, DATA, 0, stream);
            self.output.extend_from_slice(parts[0]);
            self.output.extend_from_slice(parts[1]);
            return;
        }
        for part in parts {
            state.pending.extend(part);
        }
        self.pump(stream);
    }

    /// Ends the request of a client.
    pub(crate) fn end(&mut self, stream: u32) {
        self.stream(stream).end = Some(End::Data);
        self.pump(stream);
    }

    /// Ends the answer of a server with trailers.
    pub(crate) fn end_with_trailers(&mut self, stream: u32, block: &'static [u8]) {
        self.stream(stream).end = Some(End::Trailers(block));
        self.pump(stream);
    }

    /// Forgets a stream that the peer ended, now or when what is pending was sent.
    pub(crate) fn forget_when_sent(&mut self, stream: u32) {
        match self.streams.get_mut(&stream) {
            Some(state) if !state.pending.is_empty() => state.peer_ended = true,
            _ => {
                self.streams.remove(&stream);
            }
        }
    }

    fn stream(&mut self, stream: u32) -> &mut Stream {
        let window = self.initial_window;
        self.streams.entry(stream).or_insert_with(|| Stream {
            window,
            received: 0,
            pending: VecDeque::new(),
            end: None,
            peer_ended: false,
        })
    }

    fn head(&mut self, length: usize, kind: u8, flags: u8, stream: u32) {
        let length = (length as u32).to_be_bytes();
        self.output.extend_from_slice(&[length[1], length[2], length[3], kind, flags]);
        self.output.extend_from_slice(&stream.to_be_bytes());
    }

    fn window_update(&mut self, stream: u32, increment: u32) {
        self.head(4, WINDOW_UPDATE, 0, stream);
        self.output.extend(increment.to_be_bytes());
    }

    fn pump(&mut self, id: u32) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        while !stream.pending.is_empty() {
            let room = self.window.min(stream.window).max(0) as usize;
            let length = stream.pending.len().min(room).min(self.max_frame);
            if length == 0 {
                self.blocked.push_back(id);
                break;
            }
            stream.window -= length as i64;
            self.window -= length as i64;
            self.head(length, DATA, 0, id);
            let (front, back) = stream.pending.as_slices();
            let first = front.len().min(length);
            self.output.extend_from_slice(&front[..first]);
            self.output.extend_from_slice(&back[..length - first]);
            stream.pending.drain(..length);
        }
        if stream.pending.is_empty() {
            match stream.end.take() {
                Some(End::Data) => self.head(0, DATA, END_STREAM, id),
                Some(End::Trailers(block)) => {
                    self.head(block.len(), HEADERS, END_HEADERS | END_STREAM, id);
                    self.output.extend_from_slice(block);
                }
                None => {}
            }
            if stream.peer_ended {
                return;
            }
        }
        self.streams.insert(id, stream);
    }

    fn unblock(&mut self) {
        for id in std::mem::take(&mut self.blocked) {
            self.pump(id);
        }
    }

    /// Takes one frame from the beginning of the bytes: how many it has, and what it says. `None` without a whole frame.
    pub(crate) fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(usize, Option<Event<'a>>)>> {
        if self.preface_due {
            if bytes.len() < PREFACE.len() {
                return Ok(None);
            }
            if !bytes.starts_with(PREFACE) {
                return Err("HTTP/2: no preface".into());
            }
            self.preface_due = false;
            return Ok(Some((PREFACE.len(), None)));
        }
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if length > MAX_FRAME {
            return Err("HTTP/2: frame too large".into());
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let event = self.frame(head[3], head[4], id, payload)?;
        Ok(Some((HEAD + length, event)))
    }

    fn frame<'a>(&mut self, kind: u8, flags: u8, id: u32, payload: &'a [u8]) -> Result<Option<Event<'a>>> {
        let end = flags & END_STREAM != 0;
        match kind {
            DATA => {
                let data = unpadded(flags, payload, 0)?;
                self.count_received(id, payload.len() as u32, end);
                return Ok(Some(Event::Data { stream: id, data, end }));
            }
            HEADERS => {
                if flags & END_HEADERS == 0 {
                    return Err("HTTP/2: header block in several frames".into());
                }
                let priority = if flags & PRIORITY_FLAG == 0 { 0 } else { 5 };
                self.stream(id);
                let block = unpadded(flags, payload, priority)?;
                return Ok(Some(Event::Headers { stream: id, block, end }));
            }
            RST_STREAM => {
                self.streams.remove(&id);
                return Ok(Some(Event::Reset { stream: id }));
            }
            GOAWAY => return Ok(Some(Event::Goaway)),
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks_exact(6) {
                    self.setting(
                        u16::from_be_bytes([setting[0], setting[1]]),
                        u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]),
                    );
                }
                self.head(0, SETTINGS, ACK, 0);
                self.unblock();
            }
            PING if flags & ACK == 0 => {
                self.head(payload.len(), PING, ACK, 0);
                self.output.extend_from_slice(payload);
            }
            WINDOW_UPDATE => {
                let increment = payload.first_chunk().ok_or("HTTP/2: bad WINDOW_UPDATE")?;
                let increment = i64::from(u32::from_be_bytes(*increment));
                if id == 0 {
                    self.window += increment;
                } else if let Some(stream) = self.streams.get_mut(&id) {
                    stream.window += increment;
                }
                self.unblock();
            }
            SETTINGS | PING | PRIORITY => {}
            PUSH_PROMISE => return Err("HTTP/2: pushed".into()),
            _ => {}
        }
        Ok(None)
    }

    fn setting(&mut self, setting: u16, value: u32) {
        match setting {
            SETTING_INITIAL_WINDOW => {
                let change = i64::from(value) - self.initial_window;
                self.initial_window = i64::from(value);
                for stream in self.streams.values_mut() {
                    stream.window += change;
                }
            }
            // Frames stay at what every peer accepts unless it accepts less.
            SETTING_MAX_FRAME => self.max_frame = MAX_FRAME.min(value as usize),
            _ => {}
        }
    }

    /// Returns window when half of it is used up.
    fn count_received(&mut self, id: u32, length: u32, end: bool) {
        self.received += length;
        if self.received >= CONNECTION_WINDOW / 2 {
            let received = std::mem::take(&mut self.received);
            self.window_update(0, received);
        }
        let stream = self.stream(id);
        stream.received += length;
        if !end && stream.received >= STREAM_WINDOW / 2 {
            let received = std::mem::take(&mut stream.received);
            self.window_update(id, received);
        }
    }
}

fn unpadded(flags: u8, payload: &[u8], skip: usize) -> Result<&[u8]> {
    let content = if flags & PADDED == 0 {
        Some(payload)
    } else {
        payload.split_first().and_then(|(padding, rest)| {
            rest.len().checked_sub(usize::from(*padding)).and_then(|length| rest.get(..length))
        })
    };
    content.and_then(|content| content.get(skip..)).ok_or_else(|| "HTTP/2: bad frame".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes everything that one end wrote to the other; gives the data that arrived there, and whether it ended.
    fn deliver(from: &mut Connection, to: &mut Connection) -> (usize, bool) {
        let bytes = std::mem::take(&mut from.output);
        let (mut at, mut received, mut ended) = (0, 0, false);
        while let Some((taken, event)) = to.next(&bytes[at..]).expect("valid") {
            at += taken;
            match event {
                Some(Event::Data { data, end, .. }) => {
                    received += data.len();
                    ended |= end;
                }
                Some(Event::Headers { end, .. }) => ended |= end,
                _ => {}
            }
        }
        assert_eq!(at, bytes.len());
        (received, ended)
    }

    #[test]
    fn bodies_larger_than_every_window_pass_whole() {
        const SIZE: usize = 40 << 20;
        let (mut client, mut server) = (Connection::client(), Connection::server(10));
        client.send_headers(1, b"block", false);
        client.send_data(1, [&[0; 5], &vec![7; SIZE - 5]]);
        client.end(1);
        let (mut received, mut ended) = (0, false);
        for _ in 0..1000 {
            let delivered = deliver(&mut client, &mut server);
            received += delivered.0;
            ended |= delivered.1;
            deliver(&mut server, &mut client);
        }
        assert_eq!(received, SIZE);
        assert!(ended);
        server.send_headers(1, b"block", false);
        server.send_data(1, [b"abc", b"de"]);
        server.end_with_trailers(1, b"trailers");
        assert_eq!(deliver(&mut server, &mut client), (5, true));
    }
}
