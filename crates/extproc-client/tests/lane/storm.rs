//! Everything at once, at random: whatever processors and callers do, each exchange ends once and every place on every
//! connection becomes free again.

use std::{cell::Cell, rc::Rc, time::Duration};

use extproc_client::{
    Call, ClientSettings, Close, ConnectError, Endpoint, EndpointSettings, Event, KeepAlive, RetryPolicy,
};
use fastrand::Rng;
use tokio::{
    sync::Mutex,
    task::{JoinSet, spawn_local},
    time::{sleep, timeout},
};

use crate::support::*;

/// Does one random thing with a stream.
fn act(peer: &mut Peer, stream: u32, random: &mut Rng) {
    match random.u8(0..20) {
        0..=4 => drop(peer.head(stream).reply(stream, b"one").trailers(stream, "0")),
        5..=8 => drop(peer.head(stream).reply(stream, b"one")),
        9 => drop(peer.head(stream).trailers(stream, "14")),
        10 => drop(peer.fields(stream, &[(":status", "503")], true)),
        11 => drop(peer.fields(stream, &[(":status", "200"), ("grpc-status", "14")], true)),
        12 => drop(peer.reset(stream, 7)),
        13 => drop(peer.head(stream).reset(stream, 8)),
        14 => drop(peer.head(stream).data(stream, b"hello")),
        15 => drop(peer.head(stream).data(stream, b"\0\0\0\0\x09part")),
        16 if random.u8(0..4) == 0 => drop(peer.go_away(stream, 0)),
        17 if random.u8(0..4) == 0 => drop(peer.go_away(stream.saturating_sub(2), 2)),
        18 => drop(peer.window(stream, 1 << 20).window(0, 1 << 20)),
        _ => {}
    }
}

/// A processor that takes a random number of streams and may vanish at any time.
async fn processor(io: Box<dyn extproc_client::Io>, mut random: Rng) {
    let streams = random.choice([1, 3, 50]).unwrap();
    let window = random.choice([0, 10, 65_535]).unwrap();
    let mut peer = Peer::greet(io, &[(MAX_CONCURRENT_STREAMS, streams), (INITIAL_WINDOW_SIZE, window)]).await;
    let mut seen = Vec::new();
    while let Ok(Some(frame)) = timeout(Duration::from_secs(20), peer.next()).await {
        if frame.kind == HEADERS {
            seen.push(frame.stream);
        }
        if frame.kind == PING && frame.flags == 0 && random.u8(0..10) > 0 {
            peer.put(PING, 1, 0, &frame.payload);
        }
        if frame.stream != 0 && frame.kind != RST_STREAM {
            act(&mut peer, frame.stream, &mut random);
        }
        if random.u8(0..4) == 0
            && let Some(stream) = random.choice(&seen)
        {
            act(&mut peer, *stream, &mut random);
        }
        if random.u16(0..500) == 0 {
            return;
        }
        if random.u8(0..4) == 0 {
            sleep(Duration::from_millis(random.u64(0..300))).await;
        }
        if peer.try_flush().await.is_err() {
            return;
        }
    }
}

/// An exchange that sends and waits at random, and ends by itself or is ended.
async fn exchange(client: extproc_client::Client, mut random: Rng, closed: Rc<Cell<usize>>) {
    sleep(Duration::from_millis(random.u64(0..2000))).await;
    let Ok(mut call) = client.open(request()) else { return };
    for _ in 0..random.u8(0..6) {
        if random.bool() && call.is_writable() {
            let limit = random.choice([10, 100_000]).unwrap();
            call.send(framed(&vec![b'x'; random.usize(0..=limit)]));
        }
        let pause = Duration::from_millis(random.u64(0..300));
        match timeout(pause, std::future::poll_fn(|cx| call.poll(cx))).await {
            Ok(Event::Message(message)) => call.credit(message.len()),
            Ok(Event::Closed(_)) => {
                closed.set(closed.get() + 1);
                idle(&mut call).await;
                break;
            }
            Err(_) => {}
        }
    }
    end(call, &mut random);
}

fn end(call: Call, random: &mut Rng) {
    match random.u8(0..4) {
        0 => drop(call),
        1 => call.close(Close::Reset),
        2 => call.close(Close::Graceful(Duration::from_secs(1))),
        _ => call.close(Close::Deferred(Duration::from_secs(2))),
    }
}

/// A processor that answers each exchange with one message and ends it with OK.
async fn answer_well(network: &mut Network) {
    loop {
        let mut peer = Peer::greet(network.accept_forever().await, &[]).await;
        spawn_local(async move {
            while let Some(frame) = peer.next().await {
                if frame.kind == HEADERS {
                    peer.head(frame.stream)
                        .reply(frame.stream, b"one")
                        .trailers(frame.stream, "0")
                        .flush()
                        .await;
                }
            }
        });
    }
}

async fn storm(seed: u64) -> usize {
    let mut random = Rng::with_seed(seed);
    let (network, connector) = Network::new(random.choice([1000, 1 << 20]).unwrap());
    let settings = EndpointSettings {
        max_connections: random.choice([1, 2, 100]).unwrap(),
        max_pending_requests: random.choice([5, 1000]).unwrap(),
        max_concurrent_streams: random.choice([2, 1000]).unwrap(),
        max_requests_per_connection: random.choice([None, Some(7)]).unwrap(),
        idle_timeout: Some(Duration::from_secs(3)),
        keepalive: random.bool().then_some(KeepAlive {
            interval: Some(Duration::from_secs(1)),
            jitter: 0.15,
            ..KeepAlive::on_suspicion(Duration::from_millis(400))
        }),
        ..EndpointSettings::default()
    };
    let retry = random.bool().then(|| RetryPolicy {
        retriable_codes: vec![14],
        reset: true,
        num_retries: 3,
        ..RetryPolicy::default()
    });
    let endpoint = Endpoint::new(connector, settings);
    let client = client_of(vec![endpoint.clone()], ClientSettings { retry, ..ClientSettings::default() });
    let failures = network.failures.clone();
    for _ in 0..random.u8(0..5) {
        failures.borrow_mut().push(ConnectError::Timeout);
    }
    let mut processors = random.fork();
    let network = Rc::new(Mutex::new(network));
    let listening = network.clone();
    let accepting = spawn_local(async move {
        let mut serving = JoinSet::new();
        loop {
            let io = listening.lock().await.accept_forever().await;
            serving.spawn_local(processor(io, processors.fork()));
        }
    });
    let closed = Rc::<Cell<usize>>::default();
    let mut exchanges = JoinSet::new();
    for _ in 0..200 {
        exchanges.spawn_local(exchange(client.clone(), random.fork(), closed.clone()));
    }
    while let Some(result) = exchanges.join_next().await {
        result.unwrap();
    }
    // The last deferred end, and its grace.
    sleep(Duration::from_secs(5)).await;
    assert_eq!(endpoint.active_requests(), 0, "seed {seed}");
    accepting.abort();
    let _ = accepting.await;
    // The endpoint still works: with a processor that answers, an exchange comes to its end in order. What connections
    // there were are broken, so a first one may find that out, and a pause follows an attempt that failed.
    failures.borrow_mut().clear();
    endpoint.retire_all();
    sleep(Duration::from_secs(2)).await;
    let good = spawn_local(async move { answer_well(&mut *network.lock().await).await });
    let mut call = client.open(request()).unwrap();
    call.send(framed(b"hello"));
    assert_eq!(message(&mut call).await, "one", "seed {seed}");
    assert_eq!(crate::support::closed(&mut call).await, Ok(()), "seed {seed}");
    drop(call);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(endpoint.active_requests(), 0, "seed {seed}");
    good.abort();
    closed.get()
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn every_exchange_ends_and_leaves_nothing() {
    let mut closed = 0;
    for seed in 0..40 {
        closed += storm(seed).await;
    }
    // Not all of them were ended by their callers.
    assert!(closed > 1000, "{closed}");
}
