//! Upstream requests over real sockets.

mod churn;
mod dns;
mod health;
mod http1;
mod http2;
mod processor;
mod tls;
mod update;

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use extproc::{RequestHeaders, ResponseHeaders};
use http::{HeaderMap, HeaderValue, Method};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Handle,
    time::timeout,
};
use tollgate_model::{
    Snapshot,
    cluster::{Cluster, Discovery, Endpoint, EndpointAddress, LbPolicy, UpstreamProtocol},
};

use super::{
    Choice, ClusterManager, SharedClusters, UpstreamFailure, UpstreamRequest, cluster::manager::WorkerCluster,
};
use crate::{
    stats::{Stats, WorkerStats},
    stream::{BodyEvent, ResponseEvent},
};

/// Runs a test on a worker's runtime; fails it when it takes too long.
fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
    runtime.block_on(async { timeout(Duration::from_secs(20), test).await.expect("the test hangs") });
}

/// Waits until the runtime knows what has happened to all sockets so far: loopback sockets deliver at once, so an event
/// that comes later is seen after those.
async fn sockets_looked_at() {
    let (mut one, mut other) = tokio::net::UnixStream::pair().unwrap();
    one.write_all(b"x").await.unwrap();
    other.read_u8().await.unwrap();
}

/// Polls until it holds.
async fn eventually(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(5), wait).await.expect("the condition never held");
}

fn cluster(endpoints: Vec<EndpointAddress>) -> Cluster {
    let endpoints: Vec<_> = endpoints.into_iter().map(Endpoint::new).collect();
    Cluster::new("upstream".into(), Discovery::Static, endpoints)
}

/// One worker with one cluster.
struct Worker {
    manager: Rc<ClusterManager>,
    shared: Arc<SharedClusters>,
    stats: WorkerStats,
}

impl Worker {
    fn new(cluster: Cluster) -> Self {
        let clusters = HashMap::from([(cluster.name.clone(), Arc::new(cluster))]);
        let snapshot = Snapshot { clusters, ..Snapshot::default() };
        let stats = WorkerStats::new(Stats::new(), 0);
        let of_control = WorkerStats::new(stats.stats().clone(), 1);
        let shared = SharedClusters::new(&snapshot, &Handle::current(), 1, &of_control);
        Self { manager: ClusterManager::new(&shared, &stats), shared, stats }
    }

    fn at(address: SocketAddr) -> Self {
        Self::new(cluster(vec![EndpointAddress::Socket(address)]))
    }

    /// Another worker of the same gateway.
    fn sibling(&self) -> Self {
        let stats = self.stats.clone();
        Self { manager: ClusterManager::new(&self.shared, &stats), shared: self.shared.clone(), stats }
    }

    /// The same worker with the next configuration.
    fn update(&mut self, cluster: Cluster) {
        let clusters = HashMap::from([(cluster.name.clone(), Arc::new(cluster))]);
        let snapshot = Snapshot { clusters, ..Snapshot::default() };
        self.shared = self.shared.succeeded_by(&snapshot, &Handle::current());
        self.manager = self.manager.succeeded_by(&self.shared);
    }

    fn cluster(&self) -> Rc<WorkerCluster> {
        self.manager.get("upstream").unwrap()
    }

    fn start(&self) -> Result<UpstreamRequest, UpstreamFailure> {
        UpstreamRequest::start(&self.cluster(), &Choice::default(), 1, Instant::now())
    }

    /// A request whose head is on its way.
    async fn begin(
        &self,
        head: &RequestHeaders,
        end_stream: bool,
    ) -> Result<UpstreamRequest, UpstreamFailure> {
        let mut request = self.start()?;
        poll_fn(|cx| request.poll_connect(cx, head, end_stream)).await?;
        Ok(request)
    }

    async fn send(&self, head: RequestHeaders) -> Result<Response, UpstreamFailure> {
        let mut request = self.begin(&head, true).await?;
        Response::read(&mut request).await
    }

    async fn get(&self) -> Result<Response, UpstreamFailure> {
        self.send(get("/")).await
    }
}

fn request(method: Method, path: &'static str) -> RequestHeaders {
    RequestHeaders {
        method,
        scheme: HeaderValue::from_static("http"),
        authority: HeaderValue::from_static("example.com"),
        path: HeaderValue::from_static(path),
        fields: HeaderMap::new(),
    }
}

fn get(path: &'static str) -> RequestHeaders {
    request(Method::GET, path)
}

/// A whole response.
#[derive(Debug)]
struct Response {
    informational: Vec<ResponseHeaders>,
    head: ResponseHeaders,
    /// The head ended the response.
    head_only: bool,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

impl Response {
    async fn read(request: &mut UpstreamRequest) -> Result<Self, UpstreamFailure> {
        let mut informational = Vec::new();
        let (head, head_only) = loop {
            match next(request).await? {
                ResponseEvent::Informational(head) => informational.push(head),
                ResponseEvent::Headers { head, end_stream } => break (head, end_stream),
                ResponseEvent::Body(event) => panic!("body before head: {event:?}"),
            }
        };
        let mut response = Self { informational, head, head_only, body: Bytes::new(), trailers: None };
        if head_only {
            return Ok(response);
        }
        let mut body = BytesMut::new();
        loop {
            match next(request).await? {
                ResponseEvent::Body(BodyEvent::Data { data, end_stream }) => {
                    body.extend_from_slice(&data);
                    if end_stream {
                        break;
                    }
                }
                ResponseEvent::Body(BodyEvent::Trailers(trailers)) => {
                    response.trailers = Some(trailers);
                    break;
                }
                other => panic!("head within the body: {other:?}"),
            }
        }
        response.body = body.freeze();
        Ok(response)
    }
}

async fn next(request: &mut UpstreamRequest) -> Result<ResponseEvent, UpstreamFailure> {
    poll_fn(|cx| request.poll_response(cx)).await
}

async fn writable(request: &mut UpstreamRequest) -> Result<(), UpstreamFailure> {
    poll_fn(|cx| request.poll_writable(cx)).await
}
