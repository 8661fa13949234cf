//! Hosts that are checked, and hosts that fail requests.

use tokio::net::TcpListener;
use tollgate_model::cluster::{
    EndpointHealthCheck, HealthCheck, HealthChecker, HttpHealthCheck, OutlierDetection, TcpHealthCheck,
};

use super::*;

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::new(EndpointAddress::Socket(address))
}

fn often(checker: HealthChecker) -> HealthCheck {
    let soon = Duration::from_millis(5);
    let check = HealthCheck::new(checker, Duration::from_secs(5), soon, 1, 1);
    HealthCheck { no_traffic_interval: soon, ..check }
}

/// Answers every request with this status, which the test can change.
async fn answering(status: Rc<std::cell::Cell<u16>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let status = status.clone();
            tokio::task::spawn_local(async move {
                let mut buffer = BytesMut::new();
                while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
                    if buffer.ends_with(b"\r\n\r\n") {
                        buffer.clear();
                        let head = format!("HTTP/1.1 {} x\r\ncontent-length: 2\r\n\r\nok", status.get());
                        if stream.write_all(head.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

/// Where the next requests go.
fn chosen(worker: &Worker) -> Vec<String> {
    let mut addresses: Vec<String> =
        (0..8).filter_map(|_| Some(worker.start().ok()?.info().address.as_deref()?.to_owned())).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

#[test]
fn a_host_that_is_checked_comes_and_goes() {
    run(async {
        let [one, other] = [200, 200].map(|status| Rc::new(std::cell::Cell::new(status)));
        let addresses = [answering(one.clone()).await, answering(other).await];
        let mut cluster = cluster(Vec::new());
        cluster.endpoints = addresses.map(endpoint).into();
        cluster.health.health_checks =
            vec![often(HealthChecker::Http(HttpHealthCheck::new("/healthz".into())))];
        let worker = Worker::new(cluster);
        worker.shared.initialized().await;
        let mut both = addresses.map(|address| address.to_string()).to_vec();
        both.sort();
        assert_eq!(chosen(&worker), both, "all are checked before the first request");
        one.set(503);
        eventually(|| chosen(&worker) == [addresses[1].to_string()]).await;
        one.set(200);
        eventually(|| chosen(&worker) == both).await;
    });
}

#[test]
fn checks_go_where_the_endpoint_says() {
    run(async {
        let checked = answering(Rc::new(std::cell::Cell::new(200))).await;
        let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut cluster = cluster(Vec::new());
        cluster.endpoints = [Endpoint {
            health_check: EndpointHealthCheck {
                port: Some(checked.port()),
                ..EndpointHealthCheck::default()
            },
            ..endpoint(nobody)
        }]
        .into();
        cluster.health.health_checks = vec![often(HealthChecker::Tcp(TcpHealthCheck::default()))];
        cluster.health.healthy_panic_threshold = 0.0;
        let worker = Worker::new(cluster);
        worker.shared.initialized().await;
        assert_eq!(chosen(&worker), [nobody.to_string()]);
    });
}

#[test]
fn checks_go_on_where_the_next_configuration_says() {
    run(async {
        let status = Rc::new(std::cell::Cell::new(200));
        let addresses =
            [answering(status.clone()).await, answering(Rc::new(std::cell::Cell::new(200))).await];
        let with = |endpoints: &[SocketAddr]| {
            let mut cluster = cluster(Vec::new());
            cluster.endpoints = endpoints.iter().copied().map(endpoint).collect();
            cluster.health.health_checks = vec![often(HealthChecker::Http(HttpHealthCheck::new("/".into())))];
            cluster.health.healthy_panic_threshold = 0.0;
            cluster
        };
        let mut worker = Worker::new(with(&addresses[..1]));
        worker.shared.initialized().await;
        worker.update(with(&addresses));
        worker.shared.initialized().await;
        assert_eq!(chosen(&worker).len(), 2);
        status.set(500);
        eventually(|| chosen(&worker) == [addresses[1].to_string()]).await;
        worker.update(with(&addresses[..1]));
        assert_eq!(chosen(&worker), [""; 0], "what was known of a host is known on");
    });
}

#[test]
fn a_host_that_fails_requests_is_ejected() {
    run(async {
        let well = answering(Rc::new(std::cell::Cell::new(200))).await;
        let dead = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut cluster = cluster(Vec::new());
        cluster.endpoints = [well, dead].map(endpoint).into();
        cluster.health.outlier_detection = Some(OutlierDetection {
            consecutive_5xx: 1,
            max_ejection_percent: 50,
            interval: Duration::from_millis(50),
            base_ejection_time: Duration::from_millis(200),
            max_ejection_time: Duration::from_millis(200),
            ..OutlierDetection::default()
        });
        let worker = Worker::new(cluster);
        worker.shared.initialized().await;
        assert_eq!(chosen(&worker).len(), 2);
        let outcomes = [worker.get().await.is_ok(), worker.get().await.is_ok()];
        assert_ne!(outcomes[0], outcomes[1], "round robin meets both");
        eventually(|| chosen(&worker) == [well.to_string()]).await;
        eventually(|| chosen(&worker).len() == 2).await;
    });
}
