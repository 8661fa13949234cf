//! A gateway of one worker with everything around it.

use std::{
    convert::Infallible,
    env, fs,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use extproc_server::{
    Status,
    raw::{
        Processor, continue_with,
        messages::{CommonResponse, ProcessingRequest, ProcessingResponse, processing_request::Request},
    },
};
use hyper::{
    Request as HttpRequest, Response,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    frames::{ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame, take},
    support::{DEADLINE, gateway::processor, process::Running, scratch, tollgate},
};

/// A large answer of the upstream.
pub(crate) const LARGE: usize = 10 << 20;

/// The median time of a small request while there is a flood. Debug builds are many times slower.
pub(crate) fn longest_median() -> Duration {
    Duration::from_millis(if is_release() { 20 } else { 400 })
}

fn is_release() -> bool {
    env::var("TOLLGATE_BIN").is_ok_and(|path| path.contains("release"))
}

/// A gateway and everything around it.
pub(crate) struct World {
    pub(crate) process: Running,
    pub(crate) address: String,
    pub(crate) tls: String,
}

/// Lets everything pass, after a while if the path asks for it.
struct Pass;

impl Processor for Pass {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        if let Some(Request::RequestHeaders(headers)) = &request.request {
            let fields = headers.headers.iter().flat_map(|map| &map.headers);
            if fields.clone().any(|field| field.key == ":path" && field.raw_value.starts_with(b"/waits")) {
                sleep(DEADLINE).await;
            }
        }
        continue_with(&request, CommonResponse::default())
    }
}

/// So many bytes, none of which are kept anywhere.
struct Answer(usize);

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static PIECE: [u8; 64 << 10] = [b'x'; 64 << 10];
        let length = self.0.min(PIECE.len());
        self.0 -= length;
        Poll::Ready((length > 0).then(|| Ok(Frame::data(Bytes::from_static(&PIECE[..length])))))
    }

    fn is_end_stream(&self) -> bool {
        self.0 == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0 as u64)
    }
}

/// Answers small or large by the path, and reads requests.
async fn upstream(listener: TcpListener) {
    let answer = |request: HttpRequest<Incoming>| async move {
        let size = if request.uri().path().contains("large") { LARGE } else { 4 };
        Ok::<_, Infallible>(Response::new(Answer(size)))
    };
    while let Ok((stream, _)) = listener.accept().await {
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
}

/// HTTP/2 whose answers are one-byte frames: many for `/tiny`, one for anything else.
async fn tiny_frames(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut received = Vec::new();
            let mut preface = [0; PREFACE.len()];
            stream.read_exact(&mut preface).await?;
            stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
            loop {
                let mut more = vec![0; 64 << 10];
                let count = stream.read(&mut more).await?;
                if count == 0 {
                    return Ok::<_, std::io::Error>(());
                }
                received.extend_from_slice(&more[..count]);
                for (kind, flags, id, payload) in take(&mut received) {
                    let answer = match kind {
                        SETTINGS if flags & ACK == 0 => frame(SETTINGS, ACK, 0, &[]),
                        HEADERS => {
                            let many = payload.windows(5).any(|bytes| bytes == b"/tiny" || bytes == TINY);
                            let mut answer = frame(HEADERS, END_HEADERS, id, &[0x88]);
                            for _ in 0..if many { 60_000 } else { 0 } {
                                answer.extend(frame(DATA, 0, id, b"x"));
                            }
                            answer.extend(frame(DATA, if many { 0 } else { END_STREAM }, id, b"x"));
                            answer
                        }
                        _ => continue,
                    };
                    stream.write_all(&answer).await?;
                }
            }
        });
    }
}

/// `/tiny` in the code of HPACK.
const TINY: &[u8] = &[0x62, 0x69, 0x36, 0xaa, 0xf5];

/// Sends 1xx heads for ever.
async fn endless_1xx(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let heads = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(500);
            while stream.write_all(&heads).await.is_ok() {}
        });
    }
}

impl World {
    pub(crate) async fn new(test: &str) -> Self {
        let mut addresses = Vec::new();
        let serve: [fn(TcpListener) -> JoinHandle<()>; 3] = [
            |listener| tokio::spawn(upstream(listener)),
            |listener| tokio::spawn(tiny_frames(listener)),
            |listener| tokio::spawn(endless_1xx(listener)),
        ];
        for serve in serve {
            // Thousands of connections come at once. Those that do not fit are tried again by the kernel, a minute later at worst.
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
            let listener = socket.listen(16_384).expect("a listener");
            addresses.push(listener.local_addr().expect("bound"));
            serve(listener);
        }
        let (processor, _) = processor(|_| Pass).await;
        let directory = scratch(test);
        let certificate = rcgen::generate_simple_self_signed(["app".to_owned()]).expect("a certificate");
        for (name, text) in
            [("chain.pem", certificate.cert.pem()), ("key.pem", certificate.signing_key.serialize_pem())]
        {
            fs::write(directory.join(name), text).expect("the file is written");
        }
        let path = directory.join("gateway.yaml");
        fs::write(&path, bootstrap(&addresses, processor)).expect("the file is written");
        tokio::task::spawn_blocking(move || {
            let mut command = match env::var_os("TOLLGATE_BIN") {
                Some(path) => std::process::Command::new(path),
                None => tollgate(),
            };
            let arguments = ["run", "--workers", "1", "--admin-address", "127.0.0.1:0"];
            let mut process = Running::spawn(command.args(arguments).arg(path).current_dir(directory));
            let address = process.wait_for("listener main at ");
            let tls = process.wait_for("listener tls at ");
            process.wait_for("serving");
            Self { process, address, tls }
        })
        .await
        .expect("a gateway")
    }

    /// The most memory it has had, MiB.
    pub(crate) fn peak(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("a process");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<usize>().ok());
        peak.expect("a size") >> 10
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        stream
    }

    /// A connection whose side here takes next to nothing that is not read.
    pub(crate) async fn connect_small(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a socket option");
        socket.connect(self.address.parse().expect("an address")).await.expect("a connection")
    }

    /// Sends small requests on one connection, again and again, while something else goes on. Gives what became of that,
    /// and the times.
    pub(crate) async fn while_served<T>(&self, harm: impl Future<Output = T>) -> (T, Times) {
        let over = Arc::new(AtomicBool::new(false));
        let client = tokio::spawn(small_requests(self.address.clone(), over.clone()));
        let outcome = harm.await;
        over.store(true, Relaxed);
        (outcome, Times(client.await.expect("every small request is answered")))
    }
}

/// How long requests took.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn median(&self) -> Duration {
        let mut times = self.0.clone();
        times.sort();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    pub(crate) fn show(&self, what: &str, world: &World) {
        let longest = self.0.iter().max().copied().unwrap_or_default();
        println!(
            "{what:40} {:5} requests, median {:9.3?}, longest {longest:9.3?}, peak {} MiB",
            self.0.len(),
            self.median(),
            world.peak()
        );
    }
}

async fn small_requests(address: String, over: Arc<AtomicBool>) -> Vec<Duration> {
    let mut times = Vec::new();
    let mut stream = TcpStream::connect(&address).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket option");
    while !over.load(Relaxed) || times.is_empty() {
        let began = Instant::now();
        stream.write_all(b"GET /small HTTP/1.1\r\nhost: app\r\n\r\n").await.expect("a request");
        let mut answer = Vec::new();
        let mut piece = [0; 1024];
        while !answer.ends_with(b"\r\n\r\nxxxx") {
            let count =
                timeout(DEADLINE, stream.read(&mut piece)).await.expect("in time").expect("an answer");
            assert!(count > 0, "a small request is answered: {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&piece[..count]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        times.push(Instant::now().saturating_duration_since(began));
        sleep(Duration::from_millis(5)).await;
    }
    times
}

fn bootstrap(upstreams: &[SocketAddr], processor: SocketAddr) -> String {
    let ext_proc = |mode: &str| {
        format!(
            "{{ext_proc: {{\"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute, {mode}}}}}"
        )
    };
    let mode = |mode: &str| ext_proc(&format!("overrides: {{processing_mode: {mode}}}"));
    let routes = [
        ("/buffered", "app", mode("{request_body_mode: BUFFERED}")),
        ("/streamed", "app", mode("{response_body_mode: STREAMED}")),
        ("/duplex", "app", mode("{response_body_mode: FULL_DUPLEX_STREAMED, response_trailer_mode: SEND}")),
        ("/waits", "app", mode("{}")),
        ("/h2", "tiny", ext_proc("disabled: true")),
        ("/1xx", "endless", ext_proc("disabled: true")),
        ("/", "app", ext_proc("disabled: true")),
    ];
    let routes: String = routes
        .iter()
        .map(|(path, cluster, filters)| {
            format!(
                "
      - match: {{prefix: {path}}}
        route: {{cluster: {cluster}, timeout: 60s}}
        typed_per_filter_config: {filters}"
            )
        })
        .collect();
    let http2 = "
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}";
    let cluster = |name: &str, address: SocketAddr, options: &str| {
        format!(
            "
  - name: {name}{options}
    circuit_breakers: {{thresholds: [{{max_connections: 100000, max_requests: 100000, max_pending_requests: 100000}}]}}
    load_assignment:
      cluster_name: {name}
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}}}]}}]",
            address.ip(),
            address.port()
        )
    };
    let clusters = [
        cluster("app", upstreams[0], ""),
        cluster("tiny", upstreams[1], http2),
        cluster("endless", upstreams[2], ""),
        cluster("processor", processor, http2),
    ]
    .concat();
    let manager = r#"
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          route_config: *routes
          http_filters:
          - name: ext_proc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              grpc_service: {envoy_grpc: {cluster_name: processor}}
              message_timeout: 60s
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}"#;
    let first = manager.replace(
        "route_config: *routes",
        &format!(
            "route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes:{}",
            routes.replace("\n      ", "\n              ")
        ),
    );
    let second = first.clone();
    format!(
        r#"
static_resources:
  listeners:
  - name: main
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: hcm{first}
  - name: tls
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - transport_socket_connect_timeout: 2s
      transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_certificates: [{{certificate_chain: {{filename: chain.pem}}, private_key: {{filename: key.pem}}}}]
      filters:
      - name: hcm{second}
  clusters:{clusters}
"#
    )
}
