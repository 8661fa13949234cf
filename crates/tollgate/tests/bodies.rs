//! Large bodies, to the upstream and back, through a processor: equal to the last byte, in bounded memory.

#![allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]

use tollgate_testing as support;

use std::{fs, time::Instant};

use extproc_server::{
    Status,
    raw::{
        Processor, continue_with,
        messages::{
            BodyMutation, CommonResponse, ProcessingRequest, ProcessingResponse, StreamedBodyResponse,
            body_mutation::Mutation, processing_request::Request,
        },
    },
};
use support::{
    gateway::{Gateway, Route, processor},
    http1::{chunk, last_chunk, sides},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

const MEBIBYTE: usize = 1 << 20;
const SIZE: usize = 100 * MEBIBYTE;
/// What the gateway may need beyond what it has when idle; a body held as a whole would not fit.
const MEMORY: usize = 64 * MEBIBYTE;

/// Lets everything pass, with every byte of the bodies on its own hands in full-duplex mode.
struct Identity {
    duplex: bool,
}

impl Processor for Identity {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        let mutation = match &request.request {
            Some(Request::RequestBody(body) | Request::ResponseBody(body)) if self.duplex => {
                let (body, end_of_stream) = (body.body.clone(), body.end_of_stream);
                let piece = StreamedBodyResponse { body, end_of_stream, ..Default::default() };
                Some(Mutation::StreamedResponse(piece))
            }
            Some(Request::RequestBody(body) | Request::ResponseBody(body)) => {
                Some(Mutation::Body(body.body.clone()))
            }
            _ => None,
        };
        let body_mutation = mutation.map(|mutation| BodyMutation { mutation: Some(mutation) });
        continue_with(&request, CommonResponse { body_mutation, ..Default::default() })
    }
}

/// A body without end in which no two places that are near look the same; pieces of it are found by their place.
struct Pattern(Vec<u8>);

impl Pattern {
    /// A prime, so that no size of a buffer divides it.
    const PERIOD: usize = 1_048_583;

    fn new() -> Self {
        let mut state = 1_u64;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        Self((0..Self::PERIOD).map(next).collect())
    }

    /// Bytes from a place on, `most` of them at most.
    fn at(&self, place: usize, most: usize) -> &[u8] {
        let rest = &self.0[place % Self::PERIOD..];
        &rest[..most.min(rest.len())]
    }

    /// Whether a piece is what belongs to its place.
    fn is_at(&self, mut place: usize, mut piece: &[u8]) -> bool {
        while !piece.is_empty() {
            let expected = self.at(place, piece.len());
            let (now, later) = piece.split_at(expected.len());
            if now != expected {
                return false;
            }
            place += now.len();
            piece = later;
        }
        true
    }
}

/// The most memory a process ever had, in bytes.
fn peak(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a running process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    let kibibytes = line.split_whitespace().nth(1).and_then(|count| count.parse::<usize>().ok());
    kibibytes.expect("a number") * 1024
}

/// Sends [`SIZE`] bytes and compares the same number that comes back, `at_once` by an
/// upstream that reads on only when what it wrote is read.
async fn both_ways(address: &str, path: &str, at_once: bool) {
    let (mut reader, mut writer) = sides(TcpStream::connect(address).await.expect("a connection"));
    let pattern = Pattern::new();
    let send = async {
        let stream = if at_once { "x-stream: yes\r\n" } else { "" };
        let head = format!("POST {path} HTTP/1.1\r\nhost: app\r\n{stream}transfer-encoding: chunked\r\n\r\n");
        writer.write_all(head.as_bytes()).await?;
        let (mut place, mut out) = (0, Vec::new());
        while place < SIZE {
            let piece = pattern.at(place, (SIZE - place).min(60_000));
            place += piece.len();
            out.clear();
            chunk(&mut out, piece);
            writer.write_all(&out).await?;
        }
        out.clear();
        last_chunk(&mut out, &Vec::new());
        writer.write_all(&out).await
    };
    let receive = async {
        let head = reader.head().await?.expect("a response");
        assert_eq!(head.status(), 200, "{head:?}");
        let (mut place, mut piece) = (0, Vec::new());
        while reader.piece(&mut piece).await? {
            assert!(pattern.is_at(place, &piece), "{path}: wrong bytes in {} after {place}", piece.len());
            place += piece.len();
        }
        assert_eq!(place, SIZE, "{path}");
        Ok::<(), std::io::Error>(())
    };
    tokio::try_join!(send, receive).expect("a connection that lasts");
}

async fn pass(test: &str, mode: &str, at_once: bool) {
    let duplex = mode == "FULL_DUPLEX_STREAMED";
    let trailers = if duplex { "SEND" } else { "SKIP" };
    let (processor, _serving) = processor(move |_| Identity { duplex }).await;
    let overrides = format!(
        "processing_mode: {{request_body_mode: {mode}, response_body_mode: {mode}, \
         request_trailer_mode: {trailers}, response_trailer_mode: {trailers}}}"
    );
    let gateway = Gateway::start(test, "60s", &[Route { path: "/body", processor, overrides }]).await;
    let idle = peak(gateway.process.id());
    let began = Instant::now();
    timeout(support::DEADLINE, both_ways(&gateway.address, "/body", at_once)).await.expect("an end");
    let took = Instant::now().saturating_duration_since(began);
    let peak = peak(gateway.process.id());
    println!(
        "{mode}: {} MiB each way in {took:?}, at most {} KiB of memory, {} KiB of them when idle",
        SIZE / MEBIBYTE,
        peak / 1024,
        idle / 1024
    );
    assert!(peak - idle < MEMORY, "{mode}: {} KiB more than when idle", (peak - idle) / 1024);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streamed_bodies_pass_whole_in_bounded_memory() {
    pass("bodies_streamed", "STREAMED", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_duplex_bodies_pass_whole_in_bounded_memory() {
    pass("bodies_duplex", "FULL_DUPLEX_STREAMED", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streamed_directions_do_not_wait_for_each_other() {
    pass("bodies_streamed_at_once", "STREAMED", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_duplex_directions_do_not_wait_for_each_other() {
    pass("bodies_duplex_at_once", "FULL_DUPLEX_STREAMED", true).await;
}
