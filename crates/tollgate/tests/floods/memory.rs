//! Clients that do not read, or never end what they send: memory stays bounded, and others are served.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    frames::{
        ACK, DATA, END_STREAM, GOAWAY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, opening, request, take,
    },
    world::{World, longest_median},
};

const SETTINGS_INITIAL_WINDOW_SIZE: u16 = 4;
/// What the process may have at most, MiB.
const MOST: usize = 256;

/// Clients of HTTP/1 that ask for much and read nothing.
async fn unread(world: &World, clients: usize, path: &str) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..clients {
        let mut stream = world.connect_small().await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: app\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("a request");
        streams.push(stream);
    }
    sleep(Duration::from_secs(1)).await;
    streams
}

/// Small requests are fast beside what has been opened and waits. While thousands of answers fill their buffers, the
/// upstream, which is this process, is as busy as the gateway: then small requests have to be answered, but how fast says
/// little. On a busy machine that takes a while.
async fn assert_served_well(world: &World) {
    let mut median = Duration::MAX;
    for _ in 0..10 {
        let ((), times) = world.while_served(sleep(Duration::from_secs(2))).await;
        times.show("    beside them", world);
        median = times.median();
        if median < longest_median() {
            return;
        }
    }
    panic!("median {median:?}");
}

/// Each costs what the limits of buffers say, not what the answer has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_responses_follow_the_buffer_limit() {
    let world = World::new("floods-unread").await;
    let before = world.peak();
    let (streams, times) = world.while_served(unread(&world, 50, "/large")).await;
    times.show("50 unread answers of 10 MiB", &world);
    let each = (world.peak() - before) as f64 / streams.len() as f64;
    assert!(each < 1.0, "{each} MiB for each");
}

#[ignore = "takes a while"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_unread_responses_stay_within_the_bound() {
    for path in ["/large", "/streamed/large", "/duplex/large"] {
        let world = World::new("floods-unread-many").await;
        let (_streams, times) = world.while_served(unread(&world, 300, path)).await;
        times.show(&format!("300 unread answers, {path}"), &world);
        assert!(world.peak() < MOST, "{} MiB", world.peak());
        assert_served_well(&world).await;
    }
}

/// Uploads of HTTP/1 while the processor looks at the headers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_wait_for_a_processor_follow_the_buffer_limit() {
    let world = World::new("floods-waiting-uploads").await;
    let before = world.peak();
    let harm = async {
        let mut tasks = JoinSet::new();
        for _ in 0..20 {
            let mut stream = world.connect().await;
            tasks.spawn(async move {
                let head = b"POST /waits HTTP/1.1\r\nhost: app\r\ncontent-length: 50000000\r\n\r\n";
                stream.write_all(head).await.expect("a request");
                let _ = timeout(Duration::from_secs(1), stream.write_all(&vec![0; 50_000_000])).await;
                stream
            });
        }
        tasks.join_all().await
    };
    let (streams, times) = world.while_served(harm).await;
    times.show("20 uploads that wait", &world);
    let each = (world.peak() - before) as f64 / streams.len() as f64;
    assert!(each < 2.2, "{each} MiB for each");
}

/// Uploads on many streams of one connection, none of which ends.
async fn endless_uploads(mut stream: TcpStream, streams: u32, mebibytes: usize) -> u32 {
    let mut begin = opening(&[]);
    for number in 0..streams {
        begin.extend(request(2 * number + 1, "POST", "/buffered", 0));
    }
    let (mut reading, mut writing) = stream.split();
    if writing.write_all(&begin).await.is_err() {
        return 0;
    }
    let ended = std::cell::Cell::new(0);
    let (window, opened) = (std::cell::Cell::new(65_535_i64), tokio::sync::Notify::new());
    let windows = std::cell::RefCell::new(vec![65_535_i64; streams as usize]);
    // The windows that the gateway has asked for; they are in force when that was acknowledged.
    let settings = std::cell::Cell::new(None::<i64>);
    let read = async {
        let mut received = Vec::new();
        let mut more = vec![0; 64 << 10];
        while let Ok(count @ 1..) = reading.read(&mut more).await {
            received.extend_from_slice(&more[..count]);
            for (kind, flags, id, payload) in take(&mut received) {
                match kind {
                    WINDOW_UPDATE => {
                        let more = payload.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte));
                        match id.checked_sub(1) {
                            None => window.set(window.get() + more),
                            Some(id) => windows.borrow_mut()[id as usize / 2] += more,
                        }
                    }
                    SETTINGS if flags == 0 => {
                        for setting in payload.chunks(6) {
                            if setting[..2] == SETTINGS_INITIAL_WINDOW_SIZE.to_be_bytes() {
                                settings.set(Some(
                                    setting[2..].iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte)),
                                ));
                            }
                        }
                    }
                    RST_STREAM | GOAWAY => ended.set(ended.get() + 1),
                    _ => {}
                }
                opened.notify_one();
            }
        }
    };
    let write = async {
        let piece = vec![0; 16 << 10];
        for _ in 0..(mebibytes << 20) / piece.len() {
            for number in 0..streams {
                if let Some(size) = settings.take() {
                    if writing.write_all(&frame(SETTINGS, ACK, 0, &[])).await.is_err() {
                        return;
                    }
                    windows.borrow_mut().iter_mut().for_each(|window| *window += size - 65_535);
                }
                let needed = piece.len() as i64;
                let waited = timeout(Duration::from_secs(2), async {
                    while window.get() < needed {
                        opened.notified().await;
                    }
                });
                if waited.await.is_err() {
                    return;
                }
                if windows.borrow()[number as usize] < needed {
                    continue;
                }
                window.set(window.get() - needed);
                windows.borrow_mut()[number as usize] -= needed;
                if writing.write_all(&frame(DATA, 0, 2 * number + 1, &piece)).await.is_err() {
                    return;
                }
            }
        }
        sleep(Duration::from_secs(1)).await;
    };
    tokio::select! { () = read => {}, () = write => {} }
    ended.get()
}

async fn play_uploads(test: &str, connections: usize, streams: u32, mebibytes: usize) {
    let world = World::new(test).await;
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(world.connect().await);
    }
    let harm = async {
        let uploads = opened.into_iter().map(|stream| endless_uploads(stream, streams, mebibytes));
        let mut ended = 0;
        let local = tokio::task::LocalSet::new();
        let mut tasks = JoinSet::new();
        for upload in uploads {
            tasks.spawn_local_on(upload, &local);
        }
        local
            .run_until(async {
                while let Some(of_one) = tasks.join_next().await {
                    ended += of_one.unwrap_or(0);
                }
            })
            .await;
        ended
    };
    let (ended, times) = world.while_served(harm).await;
    times.show(&format!("{connections} x {streams} uploads of {mebibytes} MiB that never end"), &world);
    assert!(ended > 0, "no stream was given up");
    assert!(world.peak() < MOST, "{} MiB", world.peak());
    assert!(times.median() < longest_median(), "median {:?}", times.median());
}

/// A processor wants whole bodies, and none of them ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_buffered_uploads_stay_within_the_bound() {
    play_uploads("floods-uploads", 1, 40, 6).await;
}

#[ignore = "takes a minute"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_buffered_uploads_of_three_connections_stay_within_the_bound() {
    play_uploads("floods-uploads-one", 1, 60, 14).await;
    play_uploads("floods-uploads-many", 3, 100, 14).await;
}

/// Many streams whose windows never open.
async fn play_closed_windows(test: &str, connections: usize, streams: u32, path: &str, wait: Duration) {
    let world = World::new(test).await;
    let harm = async {
        let mut opened = Vec::new();
        for _ in 0..connections {
            let mut stream = world.connect().await;
            let mut begin = opening(&[(SETTINGS_INITIAL_WINDOW_SIZE, 0)]);
            for number in 0..streams {
                begin.extend(request(2 * number + 1, "GET", path, END_STREAM));
            }
            stream.write_all(&begin).await.expect("requests");
            opened.push(stream);
        }
        sleep(wait).await;
        opened
    };
    let (_opened, times) = world.while_served(harm).await;
    times.show(&format!("{connections} x {streams} closed windows, {path}"), &world);
    assert_served_well(&world).await;
    assert!(world.peak() < MOST, "{} MiB", world.peak());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_windows_stay_within_the_bound() {
    play_closed_windows("floods-windows", 2, 50, "/streamed/large", Duration::from_secs(2)).await;
}

#[ignore = "takes a minute"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_windows_of_many_streams_stay_within_the_bound() {
    for path in ["/large", "/streamed/large", "/duplex/large"] {
        play_closed_windows("floods-windows-many", 4, 100, path, Duration::from_secs(8)).await;
    }
    play_closed_windows("floods-windows-most", 4, 1000, "/large", Duration::from_secs(8)).await;
}
