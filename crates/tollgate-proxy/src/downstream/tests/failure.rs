//! Workers that die or hang.

use super::*;

#[test]
fn a_worker_that_dies_is_noticed_and_the_others_serve_on() {
    let running = Running::start(listener(vec![chain(manager())]), 2);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let failed = || {
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_millis(20), running.gateway.worker_failed()).await
        })
    };
    assert!(failed().is_err(), "nobody has died yet");
    running.gateway.kill_worker(1);
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, running.gateway.worker_failed()).await })
        .unwrap();
    for _ in 0..20 {
        let mut client = running.connect();
        client.send("GET /direct HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        assert!(client.read_to_end().starts_with("HTTP/1.1 200"));
    }
    let start = Instant::now();
    while !running.gateway.stats().envoy_text(None).contains("server.workers_failed: 1\n") {
        assert!(Instant::now().saturating_duration_since(start) < PATIENCE);
        std::thread::yield_now();
    }
    // Updates and the drain do not wait for it.
    running.update(vec![listener(vec![chain(manager())])]);
    assert_eq!(runtime.block_on(running.gateway.drain(PATIENCE)), 0);
}

#[test]
fn a_worker_that_hangs_is_noticed() {
    let running = Running::start(listener(vec![chain(manager())]), 2);
    // On a busy machine other workers may be counted, too.
    let counted = |name: &str| -> u64 {
        let text = running.gateway.stats().envoy_text(None);
        let found = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        found.parse().unwrap()
    };
    let until = |most: u64| {
        let start = Instant::now();
        while counted("workers.watchdog_mega_miss: ") < most {
            assert!(Instant::now().saturating_duration_since(start) < PATIENCE);
            std::thread::park_timeout(Duration::from_millis(5));
        }
    };
    let before = counted("workers.watchdog_mega_miss: ");
    let release = running.gateway.hang_worker(1);
    until(before + 1);
    assert!(counted("workers.watchdog_miss: ") > 0);
    drop(release);
    // It serves again, and so does the watchdog.
    running.update(vec![listener(vec![chain(manager())])]);
    let before = counted("workers.watchdog_mega_miss: ");
    let release = running.gateway.hang_worker(0);
    until(before + 1);
    drop(release);
}
