//! HTTP/1.1 by hand on many connections at a time, body piece by body piece.

use std::io::{Error, Result};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Names in lower case, and values.
pub type Fields = Vec<(String, String)>;

/// What comes before a body.
#[derive(Debug)]
pub struct Head {
    /// The request line or the status line.
    pub line: String,
    /// The fields.
    pub fields: Fields,
}

impl Head {
    /// The values of all fields of a name.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The status of a response; 0 if there is none.
    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }
}

/// What of a body was not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Bytes(u64),
    Chunks,
    Chunk(u64),
    Nothing,
}

/// The side of a connection messages arrive on.
#[derive(Debug)]
pub struct Reader {
    stream: BufReader<OwnedReadHalf>,
    rest: Rest,
    /// Trailers of the last body.
    pub trailers: Fields,
}

/// Both sides of a connection.
pub fn sides(stream: TcpStream) -> (Reader, OwnedWriteHalf) {
    stream.set_nodelay(true).expect("a socket option");
    let (reading, writing) = stream.into_split();
    let stream = BufReader::with_capacity(64 << 10, reading);
    (Reader { stream, rest: Rest::Nothing, trailers: Fields::new() }, writing)
}

impl Reader {
    /// The next head; nothing at the end of the connection.
    pub async fn head(&mut self) -> Result<Option<Head>> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let head = Head { line: line.trim_end().to_owned(), fields: self.fields().await? };
        self.trailers.clear();
        self.rest = match head.values("content-length").first() {
            Some(length) => Rest::Bytes(length.parse().map_err(Error::other)?),
            None if head.values("transfer-encoding") == ["chunked"] => Rest::Chunks,
            None => Rest::Nothing,
        };
        Ok(Some(head))
    }

    /// Puts the next piece of the body into `piece`; false at its end.
    pub async fn piece(&mut self, piece: &mut Vec<u8>) -> Result<bool> {
        piece.clear();
        loop {
            let (length, then): (_, fn(u64) -> Rest) = match self.rest {
                Rest::Nothing => return Ok(false),
                Rest::Bytes(length) => (length, Rest::Bytes),
                Rest::Chunk(length) => (length, Rest::Chunk),
                Rest::Chunks => {
                    let mut line = String::new();
                    self.stream.read_line(&mut line).await?;
                    let length = u64::from_str_radix(line.trim(), 16).map_err(Error::other)?;
                    self.rest = Rest::Chunk(length);
                    if length == 0 {
                        self.trailers = self.fields().await?;
                        self.rest = Rest::Nothing;
                    }
                    continue;
                }
            };
            if length == 0 {
                self.rest = Rest::Nothing;
                return Ok(false);
            }
            let available = self.stream.fill_buf().await?;
            if available.is_empty() {
                return Err(Error::other("the body is cut off"));
            }
            let taken = available.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            piece.extend_from_slice(&available[..taken]);
            self.stream.consume(taken);
            self.rest = then(length - taken as u64);
            if self.rest == Rest::Chunk(0) {
                let mut end = [0; 2];
                self.stream.read_exact(&mut end).await?;
                self.rest = Rest::Chunks;
            }
            return Ok(true);
        }
    }

    /// All of the body.
    pub async fn body(&mut self) -> Result<Vec<u8>> {
        let (mut body, mut piece) = (Vec::new(), Vec::new());
        while self.piece(&mut piece).await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    async fn fields(&mut self) -> Result<Fields> {
        let mut fields = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => fields.push((name.to_ascii_lowercase(), value.trim().to_owned())),
                None => return Ok(fields),
            }
        }
    }
}

/// A chunk; one without bytes is left out, as it would end the body.
pub fn chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    if !bytes.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }
}

/// The end of a chunked body.
pub fn last_chunk(out: &mut Vec<u8>, trailers: &Fields) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Serves an upstream for ever: it answers with the body, the trailers and the fields `x-...` and `instructions` of the
/// request. With a field `x-stream` it answers piece by piece, else when it has all of the body.
pub async fn echo(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        // A client that leaves ends its connection, and nothing else.
        tokio::spawn(async move {
            let _ = serve(sides(stream)).await;
        });
    }
}

async fn serve((mut reader, mut writer): (Reader, OwnedWriteHalf)) -> Result<()> {
    while let Some(head) = reader.head().await? {
        let mut out = b"HTTP/1.1 200 OK\r\n".to_vec();
        let shown = |name: &str| name.starts_with("x-") || name == "instructions";
        for (name, value) in head.fields.iter().filter(|(name, _)| shown(name)) {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if head.values("x-stream").is_empty() {
            let body = reader.body().await?;
            if reader.trailers.is_empty() {
                out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
                out.extend_from_slice(&body);
            } else {
                out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
                chunk(&mut out, &body);
                last_chunk(&mut out, &reader.trailers);
            }
        } else {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
            let mut piece = Vec::new();
            while reader.piece(&mut piece).await? {
                chunk(&mut out, &piece);
                writer.write_all(&out).await?;
                out.clear();
            }
            last_chunk(&mut out, &reader.trailers);
        }
        writer.write_all(&out).await?;
    }
    Ok(())
}
