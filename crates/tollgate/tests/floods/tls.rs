//! TLS handshakes that are begun and not ended.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::world::{World, longest_median};

/// They end by the configured time, silent ones and those that have sent half of a hello.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_handshakes_end_and_harm_nobody_else() {
    let world = World::new("floods-tls").await;
    let harm = async {
        let mut streams = Vec::new();
        for number in 0..200 {
            let mut stream = TcpStream::connect(&world.tls).await.expect("a connection");
            if number % 2 == 0 {
                stream.write_all(&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]).await.expect("half a hello");
            }
            streams.push(stream);
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        for stream in &mut streams {
            let mut rest = Vec::new();
            let left = deadline.saturating_duration_since(Instant::now());
            let ended = timeout(left, stream.read_to_end(&mut rest)).await;
            assert!(ended.is_ok(), "the handshake goes on");
        }
    };
    let ((), times) = world.while_served(harm).await;
    times.show("half-open TLS", &world);
    assert!(times.median() < longest_median(), "median {:?}", times.median());
    assert!(world.peak() < 128, "{} MiB", world.peak());
}
