//! Calls to gRPC services that belong to no request: streams to management servers. They use the clusters of the configuration in
//! force, as requests do, on a thread of their own.

use std::{
    cell::RefCell,
    fmt,
    future::{Future, poll_fn},
    io,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    thread::JoinHandle,
};

use bytes::{BufMut, Bytes, BytesMut};
use extproc_client::{Event, GrpcStatus, PickError};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use tokio::{
    runtime::LocalOptions,
    sync::{oneshot, watch},
    task::spawn_local,
};
use tollgate_model::processor::GrpcService;

use crate::{
    stats::{DiscoveryStats, WorkerStats},
    upstream::{ClusterManager, ProcessorCall, SharedClusters},
};

/// A thread for calls. Dropping it ends them.
#[derive(Debug)]
pub struct CallsThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for CallsThread {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // That it has died was said when it did.
            let _ = thread.join();
        }
    }
}

/// Makes calls to the services of the configuration in force. It stays on its thread.
#[derive(Debug)]
pub struct Calls {
    clusters: Rc<RefCell<Rc<ClusterManager>>>,
    stats: DiscoveryStats,
}

/// A call under way: messages go both ways until one side ends it. Dropping it resets it.
pub struct GrpcStream {
    call: ProcessorCall,
}

/// What comes on a [`GrpcStream`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// A whole message.
    Message(Bytes),
    /// The call has ended: the server's reason, or that of the connection. Nothing follows.
    Closed(String),
}

impl Calls {
    /// Begins a call of a method; its path has the service. A connection is made if there is none. Metadata that come of requests
    /// are left out.
    ///
    /// # Errors
    /// When there is no such cluster, no endpoint, or no room for another call.
    pub fn open(&self, service: &GrpcService, method: &str) -> Result<GrpcStream, GrpcStatus> {
        let client = self.clusters.borrow().client(service).ok_or(PickError::ClusterNotAvailable)?;
        Ok(GrpcStream { call: client.open(head(service, method))? })
    }

    /// Where it is counted what comes of the calls.
    #[must_use]
    pub fn stats(&self) -> &DiscoveryStats {
        &self.stats
    }
}

fn head(service: &GrpcService, method: &str) -> http::Request<()> {
    let uri = Uri::builder().scheme("http").authority(service.authority.as_str()).path_and_query(method);
    let mut fields = HeaderMap::new();
    for (name, format) in &service.initial_metadata {
        let entry = format
            .as_literal()
            .filter(|value| !value.is_empty())
            .and_then(|value| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?)));
        if let Some((name, value)) = entry {
            fields.append(name, value);
        }
    }
    fields.insert("te", HeaderValue::from_static("trailers"));
    fields.insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut request = http::Request::new(());
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri.build().unwrap_or_default();
    *request.headers_mut() = fields;
    request
}

impl GrpcStream {
    /// Queues a message.
    pub fn send(&mut self, message: &[u8]) {
        let mut framed = BytesMut::with_capacity(5 + message.len());
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        framed.put_slice(message);
        self.call.send(framed.freeze());
    }

    /// Whether there is a connection for it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.call.is_open()
    }

    /// Bytes of messages that the server has not taken yet.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.call.queued_bytes()
    }

    /// Sends what is queued, and gives what has come.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<StreamEvent> {
        self.call.poll(cx).map(|event| match event {
            Event::Message(message) => {
                let length = message.len();
                let message = message.into_bytes();
                self.call.credit(length);
                StreamEvent::Message(message)
            }
            Event::Closed(Ok(())) => StreamEvent::Closed("the server has ended the stream".to_owned()),
            Event::Closed(Err(status)) => StreamEvent::Closed(status.to_string()),
        })
    }

    /// Waits for what comes next.
    pub async fn next(&mut self) -> StreamEvent {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl fmt::Debug for GrpcStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcStream").finish_non_exhaustive()
    }
}

/// Runs `task` on a thread of its own, with the clusters that `adopted` has from time to time.
pub(super) fn start<F, T>(
    stats: WorkerStats,
    mut adopted: watch::Receiver<Arc<SharedClusters>>,
    task: F,
) -> io::Result<CallsThread>
where
    F: FnOnce(Calls) -> T + Send + 'static,
    T: Future<Output = ()> + 'static,
{
    let (stop, stopped) = oneshot::channel::<()>();
    let run = move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let Ok(runtime) = runtime else {
            tracing::error!("management servers cannot be asked: there is no runtime for it");
            return;
        };
        runtime.block_on(async move {
            let first = adopted.borrow_and_update().clone();
            let clusters = Rc::new(RefCell::new(ClusterManager::new(&first, &stats)));
            let followed = clusters.clone();
            spawn_local(async move {
                while adopted.changed().await.is_ok() {
                    let next = adopted.borrow_and_update().clone();
                    let next = followed.borrow().succeeded_by(&next);
                    followed.replace(next);
                }
            });
            let calls = Calls { clusters, stats: DiscoveryStats::new(&stats) };
            tokio::select! {
                () = task(calls) => {}
                _ = stopped => {}
            }
        });
    };
    let thread = std::thread::Builder::new().name("tollgate-xds".to_owned()).spawn(run)?;
    Ok(CallsThread { stop: Some(stop), thread: Some(thread) })
}
