//! Clients that know what each answer has to be, to the last byte.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, tcp::OwnedWriteHalf},
    time::timeout,
};

use super::{
    configuration::{KINDS, Kind},
    link::Link,
    support::{
        DEADLINE,
        http1::{Head, Reader, chunk, last_chunk, sides},
        stamp::{Side, body_of, key, stamp},
    },
};

/// What clients share.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) over: AtomicBool,
    pub(crate) answered: AtomicUsize,
    /// Answers that were none, or failures, while a peer of theirs failed.
    pub(crate) failed: AtomicUsize,
    /// The latest generation that an answer was of.
    pub(crate) generation: AtomicU64,
    ids: AtomicU64,
}

/// The links that an answer depends on.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) processor: Link,
    pub(crate) http1: Link,
    pub(crate) http2: Link,
}

impl Links {
    pub(crate) fn all(&self) -> [&Link; 3] {
        [&self.processor, &self.http1, &self.http2]
    }

    /// Why a request of a kind may have failed.
    fn explain(&self, kind: Kind, began: Instant) -> bool {
        let upstream = if kind.http2 { &self.http2 } else { &self.http1 };
        let processor = kind.body_mode.is_some() && self.processor.failed_since(began);
        processor || upstream.failed_since(began)
    }
}

/// One connection after the other, one request after the other, until the end.
pub(crate) async fn run(address: String, links: Arc<Links>, progress: Arc<Progress>) {
    while !progress.over.load(Relaxed) {
        let stream = TcpStream::connect(&address).await.expect("the gateway accepts");
        let (mut reader, mut writer) = sides(stream);
        for kind in KINDS.into_iter().cycle() {
            if progress.over.load(Relaxed) {
                break;
            }
            let id = progress.ids.fetch_add(1, Relaxed);
            let began = Instant::now();
            let outcome = timeout(DEADLINE, exchange(id, kind, &mut reader, &mut writer)).await;
            match outcome {
                Ok(Ok(Answer { generation, closes })) => {
                    progress.answered.fetch_add(1, Relaxed);
                    progress.generation.fetch_max(generation, Relaxed);
                    if closes {
                        break;
                    }
                }
                Ok(Err(failure)) => {
                    assert!(
                        links.explain(kind, began),
                        "{} {id} after {:?}: {failure}, and nothing explains it",
                        kind.path,
                        Instant::now().saturating_duration_since(began)
                    );
                    progress.failed.fetch_add(1, Relaxed);
                    // The same connection after a failure is not clearly at the start of a response.
                    break;
                }
                Err(_) => panic!("{} {id} is not answered within {DEADLINE:?}", kind.path),
            }
        }
    }
}

/// An answer that is right.
struct Answer {
    generation: u64,
    closes: bool,
}

/// Panics at an answer that is wrong: one that is cut off, or refused, is a failure instead.
async fn exchange(
    id: u64,
    kind: Kind,
    reader: &mut Reader,
    writer: &mut OwnedWriteHalf,
) -> Result<Answer, String> {
    let body = body_of(id);
    let mut out = format!("POST {} HTTP/1.1\r\nhost: app\r\nx-id: {id}\r\n", kind.path).into_bytes();
    if id.is_multiple_of(2) {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        body.chunks(1500).for_each(|piece| chunk(&mut out, piece));
        last_chunk(&mut out, &Vec::new());
    } else {
        out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend_from_slice(&body);
    }
    writer.write_all(&out).await.map_err(|error| error.to_string())?;
    let head = reader.head().await.map_err(|error| error.to_string())?.ok_or("no response")?;
    let got = reader.body().await.map_err(|error| format!("{error} after {head:?}"))?;
    if head.status() != 200 {
        return Err(format!("{head:?} {}", String::from_utf8_lossy(&got)));
    }
    assert_eq!(head.values("x-id"), [id.to_string()], "{} {id} has the answer to another request", kind.path);
    let generation = number(&head, "x-generation");
    assert_eq!(number(&head, "x-response-generation"), generation, "{} {id} mixes generations", kind.path);
    check_stamps(id, kind, &head);
    check_body(id, kind, &body, &got);
    Ok(Answer { generation, closes: head.values("connection") == ["close"] })
}

fn number(head: &Head, name: &str) -> u64 {
    match head.values(name)[..] {
        [value] => value.parse().unwrap_or_else(|_| panic!("{name}: {value}")),
        _ => panic!("not one {name}: {head:?}"),
    }
}

fn check_stamps(id: u64, kind: Kind, head: &Head) {
    for (name, side) in [("x-request", Side::Request), ("x-response", Side::Response)] {
        let values = head.values(name);
        if kind.body_mode.is_none() {
            assert!(values.is_empty(), "{} {id} met a processor: {head:?}", kind.path);
        } else if !(kind.fails_open && values.is_empty()) {
            assert_eq!(values, [stamp(id, side)], "{} {id}: {head:?}", kind.path);
        }
    }
}

/// A body is what the processor made of it; where a failure is passed by, some of it may be as it was.
fn check_body(id: u64, kind: Kind, sent: &[u8], got: &[u8]) {
    assert_eq!(got.len(), sent.len(), "{} {id}: bytes were lost or added", kind.path);
    let changes: &[u8] = match kind.body_mode {
        None | Some("NONE") => &[0],
        Some(_) => {
            let (request, response) = (key(id, Side::Request), key(id, Side::Response));
            match kind.fails_open {
                true => &[request ^ response, request, response, 0],
                false => &[request ^ response],
            }
        }
    };
    let wrong = sent.iter().zip(got).position(|(sent, got)| !changes.contains(&(sent ^ got)));
    assert!(wrong.is_none(), "{} {id}: byte {wrong:?} of {} is wrong", kind.path, sent.len());
}

/// Waits until answers are of a generation.
pub(crate) async fn until_generation(generation: u64, progress: &Progress) {
    let reached = async {
        while progress.generation.load(Relaxed) < generation {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, reached).await.expect("the last generation is served");
}
