//! Clusters when the configuration changes.

use super::{
    http1::{OK, Upstream, serve},
    *,
};

fn at(addresses: &[SocketAddr]) -> Cluster {
    cluster(addresses.iter().map(|address| EndpointAddress::Socket(*address)).collect())
}

#[test]
fn a_cluster_that_did_not_change_keeps_everything() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let (_server, connections) = serve(upstream, OK);
        let mut worker = Worker::at(address);
        worker.get().await.unwrap();
        let before = worker.cluster();
        for _ in 0..3 {
            worker.update(at(&[address]));
            assert!(Rc::ptr_eq(&before, &worker.cluster()));
            worker.get().await.unwrap();
        }
        assert_eq!(connections.get(), 1);
    });
}

#[test]
fn a_cluster_that_changed_closes_its_idle_connections_and_makes_new_ones() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let mut worker = Worker::at(address);
        let (response, mut old) = tokio::join!(worker.get(), async {
            let mut peer = upstream.accept().await;
            peer.read_head().await;
            peer.write(OK).await;
            peer
        });
        response.unwrap();
        // A request that began before the update and has not come to the upstream yet.
        let mut late = worker.start().unwrap();
        worker.update(Cluster { connect_timeout: Duration::from_secs(7), ..at(&[address]) });
        old.closed().await;
        let (response, mut new) = tokio::join!(worker.get(), async {
            let mut peer = upstream.accept().await;
            peer.read_head().await;
            peer.write(OK).await;
            peer
        });
        response.unwrap();
        let (response, mut peer) = tokio::join!(
            async {
                poll_fn(|cx| late.poll_connect(cx, &get("/"), true)).await?;
                Response::read(&mut late).await
            },
            async {
                let mut peer = upstream.accept().await;
                peer.read_head().await;
                peer.write(OK).await;
                peer
            }
        );
        response.unwrap();
        // Nobody will use that one again.
        peer.closed().await;
        worker.update(at(&[]));
        new.closed().await;
    });
}

#[test]
fn endpoints_that_stay_keep_their_connections_and_the_cluster_its_counts() {
    run(async {
        let (first, first_address) = Upstream::bind().await;
        let (second, second_address) = Upstream::bind().await;
        let (_first, first_connections) = serve(first, OK);
        let (_second, second_connections) = serve(second, OK);
        let mut worker = Worker::at(first_address);
        worker.get().await.unwrap();
        let counts = worker.cluster().shared().counts.clone();
        assert_eq!(counts.connections.count(), 1);
        worker.update(at(&[second_address, first_address]));
        for _ in 0..4 {
            worker.get().await.unwrap();
        }
        assert_eq!((first_connections.get(), second_connections.get()), (1, 1));
        assert_eq!(counts.connections.count(), 2, "the limit holds for old and new connections together");
        worker.update(at(&[first_address]));
        eventually(|| counts.connections.count() == 1).await;
        worker.get().await.unwrap();
        assert_eq!((first_connections.get(), second_connections.get()), (1, 1));
        // An endpoint with another weight is another one.
        let mut heavier = at(&[first_address]);
        Arc::make_mut(&mut heavier.endpoints)[0].weight = 2;
        worker.update(heavier);
        worker.get().await.unwrap();
        assert_eq!(first_connections.get(), 2);
    });
}

#[test]
fn a_cluster_that_is_gone_ends_with_its_last_request() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let mut worker = Worker::at(address);
        let head = get("/");
        let sent = async {
            let mut request = worker.begin(&head, true).await.unwrap();
            writable(&mut request).await.unwrap();
            request
        };
        let (mut request, mut peer) = tokio::join!(sent, async {
            let mut peer = upstream.accept().await;
            peer.read_head().await;
            peer
        });
        let cluster = Rc::downgrade(&worker.cluster());
        worker.update(Cluster { name: "other".into(), ..at(&[address]) });
        assert!(worker.manager.get("upstream").is_none());
        assert_eq!(cluster.strong_count(), 0);
        peer.write(OK).await;
        Response::read(&mut request).await.unwrap();
        drop(request);
        peer.closed().await;
    });
}

/// The time that a lookup takes must not pass again with each update.
#[test]
fn names_of_a_cluster_that_did_not_change_stay_known() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let (_server, _) = serve(upstream, OK);
        let named = |port| Cluster {
            discovery: Discovery::StrictDns(dns::settings(tollgate_model::cluster::DnsLookupFamily::V4Only)),
            ..cluster(vec![EndpointAddress::Dns { host: "localhost".into(), port }])
        };
        let mut worker = Worker::new(named(address.port()));
        worker.shared.initialized().await;
        worker.get().await.unwrap();
        worker.update(named(address.port()));
        let now = std::task::Context::from_waker(std::task::Waker::noop());
        let mut initialized = std::pin::pin!(worker.shared.initialized());
        assert!(initialized.as_mut().poll(&mut { now }).is_ready(), "known at once");
        worker.get().await.unwrap();
    });
}
