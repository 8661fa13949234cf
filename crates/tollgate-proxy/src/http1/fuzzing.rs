//! What must hold for any bytes that a peer sends, for the fuzz targets.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};
use tokio::io::AsyncWrite;

use super::*;

/// Small, so that fuzzing finds them.
const LIMITS: HeadLimits = HeadLimits { max_bytes: 4096, max_count: 24 };
/// For what was written again, which may be longer than what was read.
const WIDE: HeadLimits = HeadLimits { max_bytes: 64 * 1024, max_count: 100 };

/// One message of a connection.
#[derive(Debug, PartialEq)]
struct Message<H> {
    head: H,
    body: Vec<u8>,
    trailers: HeaderMap,
    /// It came to its end.
    complete: bool,
}

/// Everything on a connection, and how it ended.
#[derive(Debug)]
struct Reading<H> {
    messages: Vec<Message<H>>,
    error: Option<CodecError>,
    /// Bytes that belong to no message yet.
    rest: usize,
}

/// Reads a connection that arrives in pieces.
fn read<H>(
    pieces: &[&[u8]],
    limits: HeadLimits,
    mut head: impl FnMut(&mut BytesMut) -> Result<Option<(H, BodyLength)>, CodecError>,
) -> Reading<H> {
    let mut buffer = BytesMut::new();
    let mut reading = Reading { messages: Vec::new(), error: None, rest: 0 };
    let mut body: Option<BodyDecoder> = None;
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let Some(decoder) = &mut body else {
                match head(&mut buffer) {
                    Ok(Some((head, length))) => {
                        let (body_bytes, trailers) = (Vec::new(), HeaderMap::new());
                        reading.messages.push(Message { head, body: body_bytes, trailers, complete: false });
                        body = Some(BodyDecoder::new(length, limits));
                        continue;
                    }
                    Ok(None) => break,
                    Err(error) => {
                        reading.error = Some(error);
                        return reading;
                    }
                }
            };
            let message = reading.messages.last_mut().expect("a body belongs to a message");
            match decoder.decode(&mut buffer) {
                Ok(Decoded::Data(data)) => {
                    assert!(!data.is_empty(), "an empty piece");
                    message.body.extend_from_slice(&data);
                }
                Ok(Decoded::NeedMore) => break,
                Ok(Decoded::End) => {
                    message.complete = true;
                    body = None;
                }
                Ok(Decoded::Trailers(trailers)) => {
                    message.trailers = trailers;
                    message.complete = true;
                    body = None;
                }
                Err(error) => {
                    reading.error = Some(error);
                    return reading;
                }
            }
        }
    }
    reading.rest = buffer.len();
    reading
}

/// Cuts at the lengths given, as often as there are any.
fn cut<'a>(bytes: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, behind) = rest.split_at(rest.len().min(usize::from(*length)));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

fn requests(pieces: &[&[u8]], limits: HeadLimits) -> Reading<RequestHead> {
    let mut reader = RequestReader::default();
    read(pieces, limits, |buffer| {
        let head = reader.read(buffer, &limits, true)?;
        Ok(head.map(|head| {
            let body = head.body;
            (head, body)
        }))
    })
}

fn responses(pieces: &[&[u8]], limits: HeadLimits, kind: RequestKind) -> Reading<ResponseHead> {
    let mut reader = ResponseReader::default();
    read(pieces, limits, |buffer| {
        let head = reader.read(buffer, &limits, kind)?;
        Ok(head.map(|head| {
            let body = if head.is_informational() { BodyLength::Empty } else { head.body };
            (head, body)
        }))
    })
}

/// What two readings of the same bytes must have in common: every message, and whether there is a mistake behind them.
///
/// A head that has not come to its end is checked each time it has doubled, so one reading may see a mistake in it before
/// the other. Then it is one whatever follows: the other sees it when the head ends.
fn assert_same<H: std::fmt::Debug>(
    bytes: &[u8],
    cuts: &[u8],
    read: impl Fn(&[&[u8]]) -> Reading<H>,
) -> Reading<H> {
    let end = b"\r\n\r\n".as_slice();
    let in_pieces = cut(bytes, cuts);
    let (whole, pieces) = (read(&[bytes]), read(&in_pieces));
    assert_eq!(format!("{:?}", whole.messages), format!("{:?}", pieces.messages), "cuts change the messages");
    if whole.error.is_none() && pieces.error.is_none() {
        assert_eq!(whole.rest, pieces.rest, "cuts change what is left");
    } else if whole.error.is_none() {
        assert!(read(&[bytes, end]).error.is_some(), "{:?} only in pieces", pieces.error);
    } else if pieces.error.is_none() {
        assert!(
            read(&[&in_pieces[..], &[end]].concat()).error.is_some(),
            "{:?} only as a whole",
            whole.error
        );
    }
    whole
}

/// Nothing that ends a line is in a field.
fn assert_clean(fields: &HeaderMap) {
    for (name, value) in fields {
        let bytes = value.as_bytes();
        assert!(!bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{name}: {bytes:?}");
    }
    assert!(fields.get_all(CONTENT_LENGTH).iter().count() <= 1, "two lengths");
}

/// Everything that a queue writes.
fn written(mut queue: WriteQueue) -> Vec<u8> {
    struct Sink(Vec<u8>);
    impl AsyncWrite for Sink {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let mut sink = Sink(Vec::new());
    let flushed = queue.poll_flush(&mut sink, &mut Context::from_waker(Waker::noop()));
    assert!(matches!(flushed, Poll::Ready(Ok(()))));
    sink.0
}

/// Fields without those that frame the message.
fn unframed(fields: &HeaderMap) -> HeaderMap {
    let mut fields = fields.clone();
    for name in [HOST, CONTENT_LENGTH, TRANSFER_ENCODING] {
        fields.remove(name);
    }
    fields
}

/// What a client sends: cuts change nothing, and each request that is written to an upstream reads there as itself, with
/// nothing behind it.
pub fn request(bytes: &[u8], cuts: &[u8]) {
    let whole = assert_same(bytes, cuts, |pieces| requests(pieces, LIMITS));
    for message in whole.messages {
        let head = &message.head;
        assert_clean(&head.headers.fields);
        assert_clean(&message.trailers);
        let is_tunnel =
            head.body == BodyLength::Raw || !matches!(head.kind, RequestKind::Ordinary | RequestKind::Head);
        // `GET http://h?x` has the path `?x`, as in Envoy. Only a route by expression takes it, and no upstream reads it.
        let path = head.headers.path.as_bytes();
        let is_readable = path.starts_with(b"/") || path == b"*";
        if !message.complete || is_tunnel || head.headers.authority.is_empty() || !is_readable {
            continue;
        }
        let mut queue = WriteQueue::default();
        let has_trailers = !message.trailers.is_empty();
        let end_stream = message.body.is_empty() && !has_trailers;
        let encoder = encode_request(&mut queue, &head.headers, end_stream);
        if !end_stream {
            encoder.data(&mut queue, Bytes::from(message.body.clone()).into(), !has_trailers);
            if has_trailers {
                encoder.trailers(&mut queue, &message.trailers, true);
            }
        }
        let sent = written(queue);
        let mut again = requests(&[&sent], WIDE);
        assert!(again.error.is_none() && again.rest == 0, "refused behind us: {again:?} from {message:?}");
        assert_eq!(
            again.messages.len(),
            1,
            "another number of requests behind us: {again:?} from {message:?}"
        );
        let again = again.messages.remove(0);
        assert!(again.complete, "it does not end behind us: {again:?} from {message:?}");
        let heads = (&again.head.headers, &head.headers);
        assert_eq!((&heads.0.method, &heads.0.path), (&heads.1.method, &heads.1.path));
        assert_eq!(heads.0.authority, heads.1.authority);
        assert_eq!(unframed(&heads.0.fields), unframed(&heads.1.fields));
        assert_eq!(again.body, message.body);
        if matches!(head.body, BodyLength::Chunked) {
            assert_eq!(again.trailers, unframed(&message.trailers));
        }
    }
}

/// What an upstream answers to a request of one kind: cuts change nothing, and each response that is written to the client
/// of an ordinary request reads there as itself.
pub fn response(bytes: &[u8], cuts: &[u8], kind: u8) {
    let kind = match kind % 4 {
        0 => RequestKind::Ordinary,
        1 => RequestKind::Head,
        2 => RequestKind::of(&Method::CONNECT, false),
        _ => RequestKind::of(&Method::GET, true),
    };
    let whole = assert_same(bytes, cuts, |pieces| responses(pieces, LIMITS, kind));
    for message in whole.messages {
        let head = &message.head;
        assert_clean(&head.headers.fields);
        assert_clean(&message.trailers);
        let is_framed = matches!(head.body, BodyLength::Empty | BodyLength::Length(_) | BodyLength::Chunked);
        if kind != RequestKind::Ordinary || !message.complete || !is_framed || head.is_informational() {
            continue;
        }
        let mut queue = WriteQueue::default();
        let context = ResponseContext { kind, is_http10: false, connection: None };
        let has_trailers = !message.trailers.is_empty();
        let end_stream = message.body.is_empty() && !has_trailers;
        let encoder = encode_response(&mut queue, &head.headers, end_stream, context);
        if !end_stream {
            encoder.data(&mut queue, Bytes::from(message.body.clone()).into(), !has_trailers);
            if has_trailers {
                encoder.trailers(&mut queue, &message.trailers, true);
            }
        }
        let sent = written(queue);
        let mut again = responses(&[&sent], WIDE, kind);
        assert!(again.error.is_none() && again.rest == 0, "refused behind us: {again:?} from {message:?}");
        assert_eq!(
            again.messages.len(),
            1,
            "another number of responses behind us: {again:?} from {message:?}"
        );
        let again = again.messages.remove(0);
        assert!(again.complete, "it does not end behind us: {again:?} from {message:?}");
        assert_eq!(again.head.headers.status, head.headers.status);
        assert_eq!(unframed(&again.head.headers.fields), unframed(&head.headers.fields));
        assert_eq!(again.body, message.body);
    }
}
