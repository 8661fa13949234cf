//! Floods of what moves nothing: another client on the same worker hardly waits, and who floods is cut off where Envoy does
//! that.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use super::{
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, PING, PRIORITY, RST_STREAM, SETTINGS,
        WINDOW_UPDATE, frame, opening, request,
    },
    world::{World, longest_median},
};

/// What a flood is made of.
struct Flood {
    name: &'static str,
    begin: Vec<u8>,
    /// Sent again and again.
    unit: Vec<u8>,
    /// The client reads what comes.
    reads: bool,
    /// The connection has to end.
    ends: bool,
}

/// Floods on one connection after the other until the time is over. True: one was ended.
async fn flood(address: String, begin: &[u8], unit: &[u8], reads: bool, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    let mut ended = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return ended;
        }
        let stream = TcpStream::connect(&address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        ended |= pour(stream, begin, unit, reads, left).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sends until the connection ends or the time is over. True: it has ended.
async fn pour(mut stream: TcpStream, begin: &[u8], unit: &[u8], reads: bool, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    let pieces = unit.repeat((32 << 10) / unit.len() + 1);
    let (mut reading, mut writing) = stream.split();
    let write = async {
        if writing.write_all(begin).await.is_err() {
            return true;
        }
        while Instant::now() < deadline {
            match timeout(limit, writing.write_all(&pieces)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return true,
                // Nothing is read from us any more.
                Err(_) => return false,
            }
        }
        false
    };
    if !reads {
        return write.await;
    }
    let read = async {
        let mut unused = vec![0; 64 << 10];
        while !matches!(reading.read(&mut unused).await, Ok(0) | Err(_)) {}
        true
    };
    tokio::select! { ended = write => ended, ended = read => ended }
}

fn floods() -> Vec<Flood> {
    let http2 = opening(&[]);
    let with_stream = |head: Vec<u8>| [http2.clone(), head].concat();
    let flood =
        |name, begin: &[u8], unit, reads, ends| Flood { name, begin: begin.to_vec(), unit, reads, ends };
    let ping = frame(PING, 0, 0, b"abcdefgh");
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
    let post = with_stream(request(1, "POST", "/small", 0));
    let chunked = b"POST /small HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\n\r\n";
    vec![
        flood("PING", &http2, ping.clone(), true, false),
        flood("PING, answers unread", &http2, ping, false, true),
        flood("PING acknowledgements", &http2, frame(PING, ACK, 0, b"abcdefgh"), true, false),
        flood("SETTINGS", &http2, settings.clone(), true, false),
        flood("SETTINGS, answers unread", &http2, settings, false, true),
        flood("PRIORITY", &http2, frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]), true, true),
        flood("WINDOW_UPDATE", &http2, frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), true, true),
        flood(
            "RST_STREAM of an ended stream",
            &with_stream(request(1, "GET", "/small", END_STREAM)),
            frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]),
            true,
            true,
        ),
        flood("unknown frames", &http2, frame(0x42, 0, 0, b"abcdefgh"), true, false),
        flood("empty DATA", &post, frame(DATA, 0, 1, b""), true, true),
        flood("one-byte DATA", &post, frame(DATA, 0, 1, b"x"), true, false),
        flood(
            "CONTINUATION",
            &with_stream(frame(1, 0, 1, &[0x82, 0x86])),
            frame(CONTINUATION, 0, 1, &[0x40, 1, b'a', 1, b'b']),
            true,
            true,
        ),
        flood("one-byte chunks", chunked, b"1\r\nx\r\n".to_vec(), true, false),
        flood(
            "chunk extensions",
            chunked,
            [b"1;".as_slice(), &[b'e'; 2000], b"\r\nx\r\n"].concat(),
            true,
            false,
        ),
        flood("pipelined requests", b"", b"GET /nowhere HTTP/1.1\r\nhost: app\r\n\r\n".to_vec(), true, false),
    ]
}

async fn play(kind: &Flood, connections: usize, limit: Duration) {
    let world = World::new(&format!("floods-pace-{}", kind.name.replace([' ', ','], "-"))).await;
    let harm = async {
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            let address = world.address.clone();
            let (begin, unit, reads) = (kind.begin.clone(), kind.unit.clone(), kind.reads);
            tasks.spawn(async move { flood(address, &begin, &unit, reads, limit).await });
        }
        tasks.join_all().await
    };
    let (ended, times) = world.while_served(harm).await;
    times.show(kind.name, &world);
    if kind.ends {
        assert!(ended.iter().all(|ended| *ended), "{}: the connection goes on", kind.name);
    }
    assert!(times.median() < longest_median(), "{}: median {:?}", kind.name, times.median());
    assert!(world.peak() < 256, "{}: {} MiB", kind.name, world.peak());
}

/// Each for a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_and_chunks_harm_nobody_else() {
    for flood in floods() {
        play(&flood, 1, Duration::from_millis(700)).await;
    }
}

/// Each from five connections, for longer.
#[ignore = "takes a minute"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_floods_from_five_connections_harm_nobody_else() {
    for flood in floods() {
        play(&flood, 5, Duration::from_secs(3)).await;
    }
}

/// Requests that are reset at once: the connection ends, and the processor hears of few of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_end_the_connection() {
    let world = World::new("floods-rapid-reset").await;
    let mut stream = world.connect().await;
    let harm = async {
        if stream.write_all(&opening(&[])).await.is_err() {
            return 0;
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut pairs = 0;
        while Instant::now() < deadline {
            let id = 2 * pairs + 1;
            // In two segments, so that the request is begun before it is reset.
            let head = request(id, "GET", "/waits", END_STREAM | END_HEADERS);
            if stream.write_all(&head).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
            if stream.write_all(&frame(RST_STREAM, 0, id, &[0, 0, 0, 8])).await.is_err() {
                break;
            }
            pairs += 1;
        }
        pairs
    };
    let (pairs, times) = world.while_served(harm).await;
    times.show("rapid reset", &world);
    assert!(pairs < 400, "{pairs} requests were reset");
    assert!(times.median() < longest_median(), "median {:?}", times.median());
}

/// A host that sends 1xx heads for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_informational_heads_end_the_request() {
    let world = World::new("floods-1xx").await;
    let harm = async {
        let mut tasks = JoinSet::new();
        for _ in 0..5 {
            let mut stream = world.connect().await;
            tasks.spawn(async move {
                stream.write_all(b"GET /1xx HTTP/1.1\r\nhost: app\r\n\r\n").await.expect("a request");
                let mut answer = vec![0; 4096];
                let count = timeout(Duration::from_secs(20), stream.read(&mut answer)).await;
                let count = count.expect("an answer in time").expect("an answer");
                String::from_utf8_lossy(&answer[..count]).into_owned()
            });
        }
        tasks.join_all().await
    };
    let (answers, times) = world.while_served(harm).await;
    times.show("endless 1xx", &world);
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    }
    assert!(times.median() < longest_median(), "median {:?}", times.median());
}

/// Heads and bodies that come byte by byte from many clients.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_and_bodies_harm_nobody_else() {
    let world = World::new("floods-slow").await;
    let harm = async {
        let mut tasks = JoinSet::new();
        for number in 0..200 {
            let mut stream = world.connect().await;
            tasks.spawn(async move {
                let head: &[u8] = match number % 2 {
                    0 => b"GET /small HTTP/1.1\r\nhost: app\r\nx-slow: ",
                    _ => b"POST /buffered HTTP/1.1\r\nhost: app\r\ncontent-length: 1000000\r\n\r\n",
                };
                let _ = stream.write_all(head).await;
                for _ in 0..50 {
                    let _ = stream.write_all(b"x").await;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
        tasks.join_all().await;
    };
    let ((), times) = world.while_served(harm).await;
    times.show("slow heads and bodies", &world);
    assert!(times.median() < longest_median(), "median {:?}", times.median());
    assert!(world.peak() < 128, "{} MiB", world.peak());
}
