//! HTTP/1.1 as it is on the wire, for both scripted ends: nothing is normalised, nothing is hidden.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::scenario::text::{Field, from_latin1};

/// First line and fields of a message.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// Request line or status line.
    pub line: String,
    /// Fields in order, names as written.
    pub fields: Vec<Field>,
}

impl Head {
    /// Value of the first field of this name.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| from_latin1(value))
    }

    /// Words of the first line.
    pub(crate) fn words(&self) -> (&str, &str) {
        let mut words = self.line.split(' ');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(usize),
    /// Chunks, then trailers.
    Chunked,
    /// Everything until the connection closes.
    UntilClose,
}

impl Framing {
    fn fields(head: &Head, otherwise: Self) -> Result<Self, String> {
        let chunked =
            head.get("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
        match head.get("content-length") {
            Some(_) if chunked => Err("both content-length and transfer-encoding".to_owned()),
            Some(length) => {
                length.parse().map(Self::Length).map_err(|_| format!("content-length {length:?}"))
            }
            None if chunked => Ok(Self::Chunked),
            None => Ok(otherwise),
        }
    }

    /// Framing of a request body.
    pub(crate) fn of_request(head: &Head) -> Result<Self, String> {
        if head.get("upgrade").is_some() { Ok(Self::UntilClose) } else { Self::fields(head, Self::None) }
    }

    /// Framing of a response body.
    pub(crate) fn of_response(head: &Head, method: &str, status: u16) -> Result<Self, String> {
        match status {
            101 => Ok(Self::UntilClose),
            204 | 304 => Ok(Self::None),
            _ if method == "HEAD" => Ok(Self::None),
            _ => Self::fields(head, Self::UntilClose),
        }
    }
}

/// Reads messages from one connection.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    io: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// A reader at the beginning of a connection.
    pub(crate) fn new(io: R) -> Self {
        Self { io, buffer: Vec::new() }
    }

    /// Reads more bytes; `false` at the end of the connection.
    async fn more(&mut self) -> io::Result<bool> {
        self.buffer.reserve(65536);
        Ok(self.io.read_buf(&mut self.buffer).await? > 0)
    }

    /// Waits for the end of the connection; bytes that still come are kept, and given to `on_bytes`.
    pub(crate) async fn closed(&mut self, mut on_bytes: impl FnMut(&[u8])) {
        let mut seen = 0;
        loop {
            if self.buffer.len() > seen {
                on_bytes(&self.buffer[seen..]);
                seen = self.buffer.len();
            }
            if !matches!(self.more().await, Ok(true)) {
                return;
            }
        }
    }

    async fn line(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer[..at].to_vec();
                self.buffer.drain(..at + 2);
                return Ok(line);
            }
            match self.more().await {
                Ok(true) => {}
                Ok(false) => return Err("closed".to_owned()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    async fn fields(&mut self) -> Result<Vec<Field>, String> {
        let mut fields = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(fields);
            }
            // A pseudo-header among trailers begins with a colon of its own.
            let colon =
                line.iter().skip(1).position(|byte| *byte == b':').ok_or("a field without a colon")? + 1;
            fields.push((from_latin1(&line[..colon]), line[colon + 1..].trim_ascii().to_vec()));
        }
    }

    /// Reads a head; `None` if the connection ended before its first byte.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>, String> {
        while self.buffer.is_empty() {
            match self.more().await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => return Err(error.to_string()),
            }
        }
        let line = from_latin1(&self.line().await?);
        Ok(Some(Head { line, fields: self.fields().await? }))
    }

    /// Reads a body to its end and returns the trailers. `on_data` gets bytes and whether they begin a new chunk.
    pub(crate) async fn body(
        &mut self,
        framing: Framing,
        mut on_data: impl FnMut(&[u8], bool),
    ) -> Result<Vec<Field>, String> {
        match framing {
            Framing::None => Ok(Vec::new()),
            Framing::Length(length) => {
                self.bytes(length, |data, _| on_data(data, false)).await?;
                Ok(Vec::new())
            }
            Framing::UntilClose => loop {
                if !self.buffer.is_empty() {
                    on_data(&self.buffer, false);
                    self.buffer.clear();
                }
                match self.more().await {
                    Ok(true) => {}
                    Ok(false) => return Ok(Vec::new()),
                    Err(error) => return Err(error.to_string()),
                }
            },
            Framing::Chunked => loop {
                let line = from_latin1(&self.line().await?);
                let digits = line.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(digits, 16).map_err(|_| format!("chunk size {line:?}"))?;
                if size == 0 {
                    return self.fields().await;
                }
                self.bytes(size, &mut on_data).await?;
                if !self.line().await?.is_empty() {
                    return Err("a chunk longer than its size".to_owned());
                }
            },
        }
    }

    async fn bytes(&mut self, mut left: usize, mut on_data: impl FnMut(&[u8], bool)) -> Result<(), String> {
        let mut first = true;
        while left > 0 {
            if self.buffer.is_empty() && !self.more().await.map_err(|error| error.to_string())? {
                return Err(format!("closed with {left} bytes missing"));
            }
            let n = left.min(self.buffer.len());
            on_data(&self.buffer[..n], first);
            self.buffer.drain(..n);
            left -= n;
            first = false;
        }
        Ok(())
    }
}

/// A head ready to be written.
pub(crate) fn write_head(line: &str, fields: &[Field]) -> Vec<u8> {
    let mut bytes = line.as_bytes().to_vec();
    bytes.extend_from_slice(b"\r\n");
    write_fields(&mut bytes, fields);
    bytes
}

fn write_fields(bytes: &mut Vec<u8>, fields: &[Field]) {
    for (name, value) in fields {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
}

/// A body piece ready to be written: one chunk, or the bytes themselves.
pub(crate) fn write_piece(data: &[u8], chunked: bool) -> Vec<u8> {
    if !chunked {
        return data.to_vec();
    }
    if data.is_empty() {
        return Vec::new();
    }
    let mut bytes = format!("{:x}\r\n", data.len()).into_bytes();
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// The end of a body ready to be written: the last chunk and the trailers, or nothing.
pub(crate) fn write_end(trailers: &[Field], chunked: bool) -> Vec<u8> {
    if !chunked {
        return Vec::new();
    }
    let mut bytes = b"0\r\n".to_vec();
    write_fields(&mut bytes, trailers);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn chunks_and_trailers_survive() {
        let wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-a: 1\r\nx-a:  2 \r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nx-t: v\r\n\r\n";
        let mut reader = Reader::new(&wire[..]);
        let head = reader.head().await.expect("head").expect("some");
        assert_eq!(head.words(), ("HTTP/1.1", "200"));
        assert_eq!(head.fields[2], ("x-a".to_owned(), b"2".to_vec()));
        let framing = Framing::of_response(&head, "GET", 200).expect("framing");
        let mut chunks: Vec<Vec<u8>> = Vec::new();
        let trailers = reader
            .body(framing, |data, new| {
                assert!(new);
                chunks.push(data.to_vec());
            })
            .await
            .expect("body");
        assert_eq!(chunks, [b"abc".to_vec(), b"de".to_vec()]);
        assert_eq!(trailers, [("x-t".to_owned(), b"v".to_vec())]);
        assert!(reader.head().await.expect("end").is_none());
    }

    #[tokio::test]
    async fn cut_bodies_are_errors() {
        let mut reader = Reader::new(&b"ab"[..]);
        assert!(reader.body(Framing::Length(3), |_, _| {}).await.is_err());
        let mut reader = Reader::new(&b"3\r\nab"[..]);
        assert!(reader.body(Framing::Chunked, |_, _| {}).await.is_err());
    }

    #[test]
    fn framing_rules() {
        let head = |fields: &[(&str, &str)]| Head {
            line: String::new(),
            fields: fields.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect(),
        };
        assert_eq!(Framing::of_response(&head(&[("content-length", "5")]), "HEAD", 200), Ok(Framing::None));
        assert_eq!(Framing::of_response(&head(&[]), "GET", 200), Ok(Framing::UntilClose));
        assert_eq!(Framing::of_request(&head(&[])), Ok(Framing::None));
        assert!(
            Framing::of_request(&head(&[("content-length", "5"), ("transfer-encoding", "chunked")])).is_err()
        );
    }
}
