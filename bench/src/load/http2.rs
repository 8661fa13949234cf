//! A client connection of HTTP/2 with prior knowledge.

use std::{
    collections::HashMap,
    net::SocketAddr,
    task::{Context, Poll},
    time::Instant,
};

use tokio::net::TcpStream;

use super::{Exchange, Load};
use crate::{
    Result,
    drive::{Peer, drive},
    http1::Message,
    http2::{Connection, Event},
};

/// The first entry of the dynamic table.
const FIRST_DYNAMIC: usize = 62;

pub(super) async fn run(address: SocketAddr, load: &Load, index: usize, streams: usize) -> Result<()> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut client = Client {
        connection: Connection::client(),
        load,
        index,
        limit: streams,
        next: 1,
        blocks: blocks(&load.exchange),
        body: vec![b'c'; load.exchange.body],
        open: HashMap::new(),
    };
    drive(socket, &mut client).await?;
    Err("the connection was closed".into())
}

struct Client<'a> {
    connection: Connection,
    load: &'a Load,
    index: usize,
    limit: usize,
    next: u32,
    /// The header block of the first request, which fills the table, and that of the others, which refers to it.
    blocks: [Vec<u8>; 2],
    body: Vec<u8>,
    open: HashMap<u32, Open>,
}

struct Open {
    begun: Instant,
    status: u16,
    body: usize,
}

impl Peer for Client<'_> {
    fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    fn event(&mut self, event: Event<'_>) -> Result<()> {
        let (stream, end) = match event {
            Event::Headers { stream, block, end } => {
                if let Some(open) = self.open.get_mut(&stream)
                    && open.status == 0
                {
                    open.status = status(block)?;
                }
                (stream, end)
            }
            Event::Data { stream, data, end } => {
                if let Some(open) = self.open.get_mut(&stream) {
                    open.body += data.len();
                }
                (stream, end)
            }
            Event::Reset { .. } => return Err("a stream was reset".into()),
            Event::Goaway => return Err("GOAWAY".into()),
        };
        if end && let Some(open) = self.open.remove(&stream) {
            self.connection.forget_when_sent(stream);
            self.load.complete(open.begun, Message { status: open.status, body: open.body });
        }
        Ok(())
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        while self.open.len() < self.limit
            && let Poll::Ready(begun) = self.load.pace.poll_next(self.index, cx)
        {
            self.load.begin();
            let stream = self.next;
            self.next += 2;
            let block = &self.blocks[usize::from(stream > 1)];
            self.connection.send_headers(stream, block, self.body.is_empty());
            if !self.body.is_empty() {
                self.connection.send_data(stream, [&self.body, &[]]);
                self.connection.end(stream);
            }
            self.open.insert(stream, Open { begun, status: 0, body: 0 });
        }
    }
}

/// The status of a response whose block begins with it, as all do.
fn status(block: &[u8]) -> Result<u16> {
    // An update of the table's size may come before.
    let block = match block {
        [0x20..=0x3e, rest @ ..] => rest,
        block => block,
    };
    match block {
        [0x88, ..] => Ok(200),
        [0x8c, ..] => Ok(400),
        [0x8d, ..] => Ok(404),
        [0x8e, ..] => Ok(500),
        _ => Err(format!("no status in {block:02x?}").into()),
    }
}

fn blocks(exchange: &Exchange) -> [Vec<u8>; 2] {
    let length = exchange.body.to_string();
    let mut fields = vec![(":authority", exchange.host.as_str()), (":path", exchange.path)];
    fields.extend(exchange.fields.iter().map(|(name, value)| (*name, value.as_str())));
    if exchange.body > 0 {
        fields.push(("content-length", &length));
    }
    let method = if exchange.method == "GET" { 0x82 } else { 0x83 };
    // `:method`, `:scheme: http`
    let mut first = vec![method, 0x86];
    let mut others = first.clone();
    for (position, (name, value)) in fields.iter().enumerate() {
        first.push(0x40);
        for text in [name, value] {
            put_integer(&mut first, 0, 7, text.len());
            first.extend_from_slice(text.as_bytes());
        }
        put_integer(&mut others, 0x80, 7, FIRST_DYNAMIC + fields.len() - 1 - position);
    }
    [first, others]
}

/// An integer of HPACK with a prefix of so many bits.
fn put_integer(out: &mut Vec<u8>, pattern: u8, bits: u8, value: usize) {
    let limit = (1 << bits) - 1;
    if value < limit {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | limit as u8);
    let mut rest = value - limit;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
