//! Everything at once: processors and upstreams that are killed, stopped or send garbage, files that change five times a
//! second, and floods beside the traffic. No answer is lost without a reason, none is wrong, and afterwards the gateway is
//! as it was before.
//!
//! `CHAOS_SECONDS=1200 cargo test -p tollgate --test chaos -- --ignored --nocapture`; a minute if nothing is said.

#![allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]

mod client;
mod configuration;
mod floods;
mod link;
use tollgate_testing as support;

use std::{
    convert::Infallible,
    env, fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use client::{Links, Progress};
use configuration::{Peers, Writer};
use hyper::{Request, Response, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use link::{Link, Mode};
use support::{DEADLINE, gateway::processor, http1::echo, process::Running, scratch, stamp::Stamp, tollgate};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

const CLIENTS: usize = 16;
/// Between two versions of the file.
const REWRITE: Duration = Duration::from_millis(200);

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Holdings {
    descriptors: usize,
    mebibytes: usize,
}

impl Holdings {
    fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process that runs");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse::<usize>().ok());
        Self {
            descriptors: fs::read_dir(format!("/proc/{process}/fd")).expect("a process that runs").count(),
            mebibytes: kibibytes.expect("a size") >> 10,
        }
    }
}

/// Gives requests back over HTTP/2: fields `x-...` and the body.
async fn echo_http2(listener: TcpListener) {
    let answer = |request: Request<Incoming>| async move {
        let (head, body) = request.into_parts();
        let mut response = Response::new(body);
        let shown = head.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-"));
        shown.for_each(|(name, value)| {
            response.headers_mut().append(name, value.clone());
        });
        Ok::<_, Infallible>(response)
    };
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let connection = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// One failure after the other, each followed by a time without any.
async fn disturb(links: &Links, until: Instant) {
    let modes = [Mode::Cut, Mode::Stall, Mode::Garbage];
    let disturbances = modes.into_iter().flat_map(|mode| links.all().map(|link| (link, mode)));
    for (number, (link, mode)) in disturbances.cycle().enumerate() {
        if Instant::now() >= until {
            return;
        }
        let duration = Duration::from_millis([200, 700, 1500][number % 3]);
        link.disturb(mode, duration).await;
        sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute: .ci/run runs it"]
async fn nothing_is_lost_or_mixed_while_everything_fails() {
    let seconds =
        env::var("CHAOS_SECONDS").map_or(60, |text| text.parse().expect("CHAOS_SECONDS is a number"));
    let (http1, http1_address) = listen().await;
    let (http2, http2_address) = listen().await;
    tokio::spawn(echo(http1));
    tokio::spawn(echo_http2(http2));
    let (processor_address, _serving) = processor(|_| Stamp::default()).await;
    let links = Arc::new(Links {
        processor: Link::to("processor", processor_address).await,
        http1: Link::to("HTTP/1 upstream", http1_address).await,
        http2: Link::to("HTTP/2 upstream", http2_address).await,
    });
    let peers =
        Peers { processor: links.processor.address, http1: links.http1.address, http2: links.http2.address };
    let path = scratch("chaos").join("gateway.yaml");
    let mut writer = Writer::new(&path, peers);
    let (gateway, address) = tokio::task::spawn_blocking(move || {
        let arguments = ["run", "--workers", "2", "--admin-address", "127.0.0.1:0"];
        let mut process = Running::spawn(tollgate().args(arguments).arg(path));
        let address = process.wait_for("listener main at ");
        process.wait_for("serving");
        (process, address)
    })
    .await
    .expect("a gateway");

    let progress = Arc::<Progress>::default();
    let mut clients = JoinSet::new();
    let client = || client::run(address.clone(), links.clone(), progress.clone());
    for _ in 0..CLIENTS {
        clients.spawn(client());
    }
    // What a gateway holds when it is warm is what it may hold at the end.
    client::until_generation(1, &progress).await;
    sleep(Duration::from_secs(2)).await;
    let before = Holdings::of(gateway.id());

    let flood_over = Arc::default();
    let flooding = Arc::<AtomicUsize>::default();
    let mut floods = JoinSet::new();
    for flood in floods::FLOODS {
        floods.spawn(floods::run(flood, address.clone(), Arc::clone(&flood_over), flooding.clone()));
    }
    let until = Instant::now() + Duration::from_secs(seconds);
    let disturbing = tokio::spawn({
        let links = links.clone();
        async move { disturb(&links, until).await }
    });
    let mut highest = before;
    for step in 0.. {
        if Instant::now() >= until {
            break;
        }
        writer.step(step);
        let now = Holdings::of(gateway.id());
        highest.descriptors = highest.descriptors.max(now.descriptors);
        highest.mebibytes = highest.mebibytes.max(now.mebibytes);
        // A client that saw something wrong ends the test at once.
        tokio::select! {
            Some(client) = clients.join_next() => client.expect("answers that are right"),
            () = sleep(REWRITE) => {}
        }
    }
    disturbing.await.expect("disturbances");
    flood_over.store(true, Relaxed);
    while floods.join_next().await.is_some() {}
    let last = writer.replace();
    client::until_generation(last, &progress).await;
    progress.over.store(true, Relaxed);
    while let Some(client) = clients.join_next().await {
        client.expect("answers that are right");
    }

    let began = Instant::now();
    let after = loop {
        let now = Holdings::of(gateway.id());
        if now.descriptors <= before.descriptors || Instant::now().saturating_duration_since(began) > DEADLINE
        {
            break now;
        }
        sleep(Duration::from_millis(100)).await;
    };
    println!(
        "{} answers, {} failures that a peer explains, {last} generations, {} floods, failures of peers {:?}",
        progress.answered.load(Relaxed),
        progress.failed.load(Relaxed),
        flooding.load(Relaxed),
        links.all().map(|link| (link.name, link.failures())),
    );
    println!("before {before:?}, highest {highest:?}, after {after:?}");
    assert!(after.descriptors <= before.descriptors, "descriptors are left: {before:?}, {after:?}");
    assert!(after.mebibytes <= before.mebibytes + 32, "memory is left: {before:?}, {after:?}");
    gateway.signal("TERM");
    let (status, log) = tokio::task::spawn_blocking(move || gateway.wait()).await.expect("an end");
    assert!(status.success(), "{status}");
    assert!(!log.contains("panicked"), "{log}");
}
