//! Steady traffic while the configuration changes all the time: no request is lost, and none is served by a mixture of
//! two configurations.
//!
//! The short version is part of every run of the tests. The long one:
//! `cargo test -p tollgate --test updates -- --ignored`

#![allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]
#![allow(clippy::unwrap_used, reason = "what a test sets up works or ends the test")]

mod client;
mod world;

use std::{
    collections::HashSet,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use client::{Connection, Version};
use hyper::{HeaderMap, Response};
use rustls::{ClientConfig, RootCertStore};
use tokio::{task::JoinSet, time::timeout};
use tollgate_model::listener::BindAddress;
use tollgate_proxy::{Gateway, Options};
use world::{UPSTREAMS, World};

/// Nothing in these tests takes longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// What all clients share.
#[derive(Default)]
struct Progress {
    /// The latest generation of which it is certain that it is in force.
    in_force: AtomicU64,
    over: AtomicBool,
    answered: AtomicUsize,
    /// By the listener that comes and goes.
    answered_now_and_then: AtomicUsize,
    refused: AtomicUsize,
}

impl Progress {
    fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }
}

fn number(headers: &HeaderMap, name: &str) -> u64 {
    let value = headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name}: {headers:?}"))
}

/// Everything says the same generation, which is not older than `oldest`. Gives the generation.
fn check(response: &Response<()>, steady: bool, oldest: u64) -> u64 {
    let headers = response.headers();
    assert_eq!(response.status(), 200, "{headers:?}");
    let generation = number(headers, "server");
    assert!(generation >= oldest, "{generation} although {oldest} was in force: {headers:?}");
    for name in [
        "got-route",
        "x-response-route",
        "got-request-policy-changing",
        "got-request-policy-steady",
        "x-response-policy-changing",
        "x-response-policy-steady",
    ] {
        assert_eq!(number(headers, name), generation, "{name}: {headers:?}");
    }
    let upstream = if steady { UPSTREAMS as u64 } else { generation % UPSTREAMS as u64 };
    assert_eq!(number(headers, "x-upstream"), upstream, "{headers:?}");
    for name in ["got-request-processor-changing", "x-response-processor-changing"] {
        assert_eq!(number(headers, name), generation % 2, "{name}: {headers:?}");
    }
    generation
}

/// Sends requests one after the other. A connection that says that it ends is replaced by another one.
async fn ask_on(
    address: SocketAddr,
    version: Version,
    tls: Option<Arc<ClientConfig>>,
    progress: Arc<Progress>,
) {
    // Those with TLS see new certificates on new connections.
    let most = if tls.is_some() { 5 } else { u64::MAX };
    while !progress.is_over() {
        let mut connection = Connection::open(address, version, tls.clone()).await.expect("it is accepted");
        let (mut count, mut latest) = (0, 0);
        while count < most && !progress.is_over() && !connection.is_ending() {
            let oldest = progress.in_force.load(SeqCst).max(latest);
            let steady = count % 3 == 0;
            let path = if steady { "/steady" } else { "/" };
            let answer = timeout(DEADLINE, connection.get(path, count % 4 * 8)).await;
            let response = answer.expect("an answer in time").expect("no request is lost");
            latest = check(&response, steady, oldest);
            count += 1;
            progress.answered.fetch_add(1, SeqCst);
        }
    }
}

/// Many requests at a time on one connection.
async fn ask_together(address: SocketAddr, progress: Arc<Progress>) {
    while !progress.is_over() {
        let connection = Connection::open(address, Version::Http2, None).await.expect("it is accepted");
        while !progress.is_over() && !connection.is_ending() {
            let oldest = progress.in_force.load(SeqCst);
            let mut requests = JoinSet::new();
            for index in 0..8 {
                let mut connection = connection.clone();
                requests.spawn(async move { timeout(DEADLINE, connection.get("/", index * 5)).await });
            }
            while let Some(answer) = requests.join_next().await {
                let answer = answer.expect("no panic").expect("an answer in time");
                check(&answer.expect("no request is lost"), false, oldest);
                progress.answered.fetch_add(1, SeqCst);
            }
        }
    }
}

/// Asks a listener that comes and goes. A connection may be refused, and cut off before anything was read from it, as it
/// would be by a server that ends; whatever is answered is answered well.
async fn ask_in_vain(address: SocketAddr, progress: Arc<Progress>) {
    while !progress.is_over() {
        let Ok(mut connection) = Connection::open(address, Version::Http1, None).await else {
            progress.refused.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let mut first = true;
        while !progress.is_over() && !connection.is_ending() {
            match timeout(DEADLINE, connection.get("/", 3)).await.expect("an answer in time") {
                Ok(response) => {
                    check(&response, false, 0);
                    progress.answered_now_and_then.fetch_add(1, SeqCst);
                }
                Err(_) if first => break,
                Err(error) => panic!("a request on a connection in use is lost: {error}"),
            }
            first = false;
        }
    }
}

fn address_of(gateway: &Gateway, name: &str) -> SocketAddr {
    let addresses = gateway.local_addresses();
    match addresses.iter().find(|(listener, _)| listener == name) {
        Some((_, BindAddress::Socket(address))) => *address,
        other => panic!("{other:?}"),
    }
}

/// The sum of counters that have nothing else in common than the end of their names.
fn counted(gateway: &Gateway, names: [&str; 2]) -> usize {
    let text = gateway.stats().envoy_text(None);
    let values =
        text.lines().filter_map(|line| line.split_once(": ")).filter(|(name, _)| names.contains(name));
    values.map(|(_, value)| value.parse::<usize>().unwrap()).sum()
}

/// Nothing of what was counted is forgotten by an update.
async fn check_counters(gateway: &Gateway, progress: &Progress) {
    let answered = progress.answered.load(SeqCst);
    let all = answered + progress.answered_now_and_then.load(SeqCst);
    let counters = || {
        let requests = ["http.plain.downstream_rq_completed", "http.tls.downstream_rq_completed"];
        let upstream = ["cluster.app.upstream_rq_completed", "cluster.steady.upstream_rq_completed"];
        (counted(gateway, requests), counted(gateway, upstream))
    };
    // An answer is counted when it is on its way.
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while counters() != (answered, all) {
        assert!(tokio::time::Instant::now() < deadline, "{:?} instead of {:?}", counters(), (answered, all));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn trusting(world: &World) -> (Arc<ClientConfig>, Arc<client::Seen>) {
    let mut roots = RootCertStore::empty();
    for certificate in &world.certificates {
        roots.add(certificate.cert.der().clone()).unwrap();
    }
    client::config(roots)
}

/// Changes the configuration that often, in that interval, under traffic.
async fn change(updates: u64, interval: Duration) {
    let world = World::new().await;
    let options = Options { workers: NonZeroUsize::new(2).unwrap(), ..Options::default() };
    let mut compiled = world.generation(0, None);
    let first = Arc::clone(compiled.snapshot());
    let gateway =
        tokio::task::spawn_blocking(move || Gateway::start(&first, options)).await.unwrap().unwrap();
    let (plain, tls) = (address_of(&gateway, "plain"), address_of(&gateway, "tls"));
    let (config, seen) = trusting(&world);
    let progress = Arc::new(Progress::default());
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(ask_on(plain, Version::Http1, None, progress.clone()));
    }
    for _ in 0..2 {
        clients.spawn(ask_on(plain, Version::Http2, None, progress.clone()));
        clients.spawn(ask_on(tls, Version::Http1, Some(config.clone()), progress.clone()));
    }
    clients.spawn(ask_on(tls, Version::Http2, Some(config), progress.clone()));
    clients.spawn(ask_together(plain, progress.clone()));
    clients.spawn(ask_in_vain(world.extra, progress.clone()));

    let mut ticks = tokio::time::interval(interval);
    for generation in 1..=updates {
        ticks.tick().await;
        compiled = world.generation(generation, Some(&compiled));
        let update = gateway.update(Arc::clone(compiled.snapshot())).await.expect("it is served");
        assert!(update.failures.is_empty(), "{update:?}");
        progress.in_force.store(generation, SeqCst);
        if let Some(ended) = clients.try_join_next() {
            ended.expect("every answer is right");
            panic!("a client ended early");
        }
    }
    progress.over.store(true, SeqCst);
    while let Some(ended) = clients.join_next().await {
        ended.expect("every answer is right");
    }

    check_counters(&gateway, &progress).await;
    let answered = progress.answered.load(SeqCst);
    let refused = progress.refused.load(SeqCst);
    let (upstream, processor) = world.steady_connections();
    println!(
        "{updates} updates: {answered} answers, {refused} refused, {upstream} and {processor} connections"
    );
    assert!(answered > usize::try_from(updates).unwrap() * 2, "{answered}");
    assert!(refused > 0, "the listener that comes and goes was always there");
    assert_eq!(seen.certificates(), world.certificates.len(), "both certificates were shown");
    // One for each worker to the processor, and as many as there were requests at a time to the upstream.
    assert!(processor <= 2, "{processor} connections to a processor that never changed");
    assert!(upstream <= 2 * 16, "{upstream} connections to an upstream that never changed");
    let local: HashSet<_> = gateway.local_addresses().into_iter().map(|(name, _)| name).collect();
    assert!(local.contains("plain") && local.contains("tls"));
    tokio::task::spawn_blocking(move || gateway.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_updates_in_two_seconds() {
    change(100, Duration::from_millis(20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes 30 seconds"]
async fn an_update_every_fifth_of_a_second_for_half_a_minute() {
    change(150, Duration::from_millis(200)).await;
}
