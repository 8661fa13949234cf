//! What one client does on a connection that others share.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    frames::{DATA, END_STREAM, GOAWAY, HEADERS, frame, opening, request, take},
    world::World,
};

/// A host sends many tiny frames to a client that does not read. Other requests on the same connection to that host go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_of_tiny_frames_breaks_nothing_for_others() {
    let world = World::new("floods-slow-reader").await;
    let mut slow = world.connect_small().await;
    slow.write_all(&opening(&[(4, 0)])).await.expect("an opening");
    slow.write_all(&request(1, "GET", "/h2/tiny", END_STREAM)).await.expect("a request");
    sleep(Duration::from_millis(300)).await;
    for number in 0..20 {
        let mut stream = world.connect().await;
        stream
            .write_all(b"GET /h2/other HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n")
            .await
            .expect("a request");
        let mut answer = String::new();
        let read = timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await;
        read.expect("an answer in time").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "request {number}: {answer}");
        sleep(Duration::from_millis(30)).await;
    }
}

/// A client, say a proxy with many users, sends a body in tiny frames at once, and nobody reads it yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiny_frames_of_one_request_break_nothing_for_others_on_the_connection() {
    let world = World::new("floods-tiny-request").await;
    let mut stream = world.connect().await;
    let mut bytes = [opening(&[]), request(1, "POST", "/waits", 0)].concat();
    for _ in 0..20_000 {
        bytes.extend(frame(DATA, 0, 1, b"x"));
    }
    bytes.extend(request(3, "GET", "/small", END_STREAM));
    stream.write_all(&bytes).await.expect("requests");
    let answered = timeout(Duration::from_secs(20), answer_of(&mut stream, 3)).await;
    assert!(answered.expect("an answer in time"), "the connection has ended");
}

/// True when the stream has a head; false when the connection ends.
async fn answer_of(stream: &mut TcpStream, wanted: u32) -> bool {
    let mut received = Vec::new();
    let mut more = vec![0; 64 << 10];
    while let Ok(count @ 1..) = stream.read(&mut more).await {
        received.extend_from_slice(&more[..count]);
        for (kind, _, id, _) in take(&mut received) {
            match kind {
                HEADERS if id == wanted => return true,
                GOAWAY => return false,
                _ => {}
            }
        }
    }
    false
}
