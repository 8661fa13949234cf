//! Processors on clusters.

use std::{cell::Cell, rc::Rc};

use extproc_client::Event;
use tokio::{
    net::{TcpListener, UnixListener},
    task::spawn_local,
};
use tollgate_model::processor::{GrpcService, GrpcTarget};

use super::*;
use crate::upstream::cluster::processor::ProcessorClient;

fn service(target: GrpcTarget) -> GrpcService {
    GrpcService {
        target,
        target_uri: None,
        authority: "processor".into(),
        initial_metadata: Vec::new(),
        max_receive_message_length: 1024,
        skip_envoy_headers: false,
        retry_policy: None,
    }
}

fn envoy_grpc(name: &str) -> GrpcService {
    service(GrpcTarget::EnvoyGrpc(name.into()))
}

fn call() -> http::Request<()> {
    http::Request::post("http://processor/envoy.service.ext_proc.v3.ExternalProcessor/Process")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

/// Answers each stream with one empty message and ends it.
async fn serve<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static>(stream: S) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((_request, mut respond))) = connection.accept().await {
        let mut body = respond.send_response(http::Response::new(()), false).unwrap();
        body.send_data(Bytes::from_static(&[0; 5]), false).unwrap();
        body.send_trailers(HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        )]))
        .unwrap();
    }
}

async fn exchange(client: &ProcessorClient) -> Result<(), String> {
    let mut call = client.open(call()).map_err(|status| status.rcd())?;
    call.send(Bytes::from_static(&[0; 5]));
    match poll_fn(|cx| call.poll(cx)).await {
        Event::Message(message) => {
            assert!(message.is_empty());
            Ok(())
        }
        Event::Closed(outcome) => Err(outcome.unwrap_err().rcd()),
    }
}

/// CF-21: a cluster without HTTP/2 options is spoken HTTP/2 with all the same.
#[test]
fn a_cluster_by_name() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let worker = Worker::at(listener.local_addr().unwrap());
        let connections = Rc::new(Cell::new(0));
        let counter = connections.clone();
        spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.set(counter.get() + 1);
                spawn_local(serve(stream));
            }
        });
        let (one, other) = (envoy_grpc("upstream"), envoy_grpc("upstream"));
        for service in [&one, &one, &other] {
            exchange(&worker.manager.client(service).unwrap()).await.unwrap();
        }
        // Filters with the same cluster share its connections.
        assert_eq!(connections.get(), 1);
    });
}

/// F-9.
#[test]
fn a_cluster_that_does_not_exist() {
    run(async {
        let worker = Worker::new(cluster(Vec::new()));
        assert!(worker.manager.client(&envoy_grpc("unknown")).is_none());
    });
}

#[test]
fn a_cluster_without_endpoints() {
    run(async {
        let worker = Worker::new(cluster(Vec::new()));
        let client = worker.manager.client(&envoy_grpc("upstream")).unwrap();
        assert_eq!(
            exchange(&client).await.unwrap_err(),
            "ext_proc_error_gRPC_error_14{no_healthy_upstream{no_healthy_upstream}}"
        );
    });
}

/// As Envoy 1.39.3 (section 12.2).
#[test]
fn a_processor_that_is_down() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let worker = Worker::at(address);
        let client = worker.manager.client(&envoy_grpc("upstream")).unwrap();
        assert_eq!(
            exchange(&client).await.unwrap_err(),
            "ext_proc_error_gRPC_error_14{upstream_connect_error_or_disconnect/reset_before_headers._reset_reason:_\
             remote_connection_failure{upstream_reset_before_response_started{remote_connection_failure|\
             delayed_connect_error:_Connection_refused}}}"
        );
    });
}

#[test]
fn a_unix_socket() {
    run(async {
        let directory = std::env::temp_dir().join(format!("tollgate-processor-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("processor.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let worker = Worker::new(cluster(vec![EndpointAddress::Pipe(path)]));
        spawn_local(async move { serve(listener.accept().await.unwrap().0).await });
        exchange(&worker.manager.client(&envoy_grpc("upstream")).unwrap()).await.unwrap();
        std::fs::remove_dir_all(directory).unwrap();
    });
}

#[test]
fn too_many_exchanges_overflow() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = cluster(vec![EndpointAddress::Socket(listener.local_addr().unwrap())]);
        settings.circuit_breakers.max_requests = 1;
        let worker = Worker::new(settings);
        let client = worker.manager.client(&envoy_grpc("upstream")).unwrap();
        let mut first = client.open(call()).unwrap();
        poll_fn(|cx| {
            assert!(first.poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        assert_eq!(
            client.open(call()).unwrap_err().details,
            "upstream_reset_before_response_started{overflow}"
        );
        // The limit is the gateway's, not the worker's.
        let other = ClusterManager::new(&worker.shared, &worker.stats);
        let other = other.client(&envoy_grpc("upstream")).unwrap();
        assert!(other.open(call()).is_err());
        drop(first);
        assert!(other.open(call()).is_ok());
    });
}
