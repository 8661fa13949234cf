//! A processor and upstreams that do what a request asks for.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

use extproc_server::{
    Status,
    raw::{
        Processor, continue_with,
        messages::{
            BodyMutation, CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption, ImmediateResponse,
            ProcessingRequest, ProcessingResponse, StreamedImmediateResponse, body_mutation::Mutation,
            processing_request::Request, processing_response::Response, streamed_immediate_response,
        },
    },
};

/// A processor that does in each exchange what the field `do` of the first message asks for.
#[derive(Debug, Default)]
pub(crate) struct Puppet {
    task: String,
}

fn set(key: &str, value: &'static str) -> Option<HeaderMutation> {
    let header = HeaderValue { key: key.into(), raw_value: value.into(), ..Default::default() };
    let set_headers = vec![HeaderValueOption { header: Some(header), ..Default::default() }];
    Some(HeaderMutation { set_headers, ..Default::default() })
}

impl Processor for Puppet {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        if let Some(Request::RequestHeaders(headers) | Request::ResponseHeaders(headers)) = &request.request
            && let Some(map) = &headers.headers
            && let Some(wish) = map.headers.iter().find(|header| header.key == "do")
        {
            self.task = String::from_utf8_lossy(&wish.raw_value).into_owned();
        }
        let kind = match &request.request {
            Some(Request::RequestHeaders(_)) => "request_headers",
            Some(Request::RequestBody(_)) => "request_body",
            Some(Request::ResponseHeaders(_)) => "response_headers",
            Some(Request::ResponseBody(_)) => "response_body",
            _ => "trailers",
        };
        let mut common = CommonResponse::default();
        let respond = |response| Ok(ProcessingResponse { response: Some(response), ..Default::default() });
        match (self.task.as_str(), kind) {
            ("silence", _) | ("silence-at-the-response-body", "response_body") => {
                std::future::pending::<()>().await;
            }
            ("error", _) | ("error-at-the-response-body", "response_body") => {
                return Err(Status::internal("database is down"));
            }
            ("wrong-kind", "request_headers") => {
                return respond(Response::ResponseBody(
                    extproc_server::raw::messages::BodyResponse::default(),
                ));
            }
            ("bad-header", "request_headers") => common.header_mutation = set("x-bad name", "v"),
            ("host", "request_headers") => common.header_mutation = set("host", "elsewhere"),
            ("clear-alone", "request_headers") => common.clear_route_cache = true,
            ("clear", "request_headers") => {
                common.header_mutation = set("x-a", "b");
                common.clear_route_cache = true;
            }
            ("trailers-early", "request_body") => {
                return respond(Response::RequestTrailers(Default::default()));
            }
            ("immediate", "request_headers") => {
                return respond(Response::ImmediateResponse(ImmediateResponse::default()));
            }
            ("streamed-without-status", "request_headers") => {
                let head = streamed_immediate_response::Response::HeadersResponse(Default::default());
                return respond(Response::StreamedImmediateResponse(StreamedImmediateResponse {
                    response: Some(head),
                }));
            }
            ("length", "request_body") => {
                let mutation = Some(Mutation::Body(b"longer than it was".as_slice().into()));
                common.header_mutation = set("content-length", "3");
                common.body_mutation = Some(BodyMutation { mutation });
            }
            ("timeout-0", "request_headers") | ("timeout-1", "request_headers") => {
                // Only the extension; the reply never comes.
                let milliseconds = if self.task == "timeout-0" { 0 } else { 50 };
                return Ok(ProcessingResponse {
                    override_message_timeout: Some(extproc_server::raw::messages::Duration {
                        seconds: 0,
                        nanos: milliseconds * 1_000_000,
                    }),
                    ..Default::default()
                });
            }
            _ => {}
        }
        continue_with(&request, common)
    }
}

/// An upstream of HTTP/1 that answers by the path.
pub(crate) fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A client that leaves ends its connection, and nothing else.
            thread::spawn(move || _ = answer(stream));
        }
    });
    address
}

/// Every other answer to `flaky` is a good one, the second first.
static FLAKY: AtomicBool = AtomicBool::new(false);

fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut chunked) = (0, false);
        loop {
            let mut field = String::new();
            reader.read_line(&mut field)?;
            let field = field.trim_end().to_ascii_lowercase();
            if field.is_empty() {
                break;
            }
            if let Some(value) = field.strip_prefix("content-length: ") {
                length = value.parse().unwrap_or_default();
            }
            chunked |= field == "transfer-encoding: chunked";
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        while chunked {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap_or_default();
            if size == 0 {
                // Trailers, and the empty line behind them.
                while line.trim_end() != "" {
                    line.clear();
                    reader.read_line(&mut line)?;
                }
                chunked = false;
            } else {
                let mut piece = vec![0; size + 2];
                reader.read_exact(&mut piece)?;
            }
        }
        let part = path.split('/').next_back().unwrap_or_default();
        let text: String = match part {
            "silent" => {
                // Until the gateway hangs up.
                return reader.read_to_end(&mut Vec::new()).map(drop);
            }
            "cut" => {
                writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")?;
                return Ok(());
            }
            "garbage" => "NONSENSE\r\n\r\n".into(),
            "flaky" if FLAKY.fetch_xor(true, SeqCst) => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into(),
            "flaky" => "HTTP/1.1 500 Error\r\ncontent-length: 0\r\n\r\n".into(),
            "large" => format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}", "x".repeat(100_000)),
            "upgrade" => {
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n".into()
            }
            "trailers" => {
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n".into()
            }
            status if status.len() == 3 && status.parse::<u16>().is_ok() => {
                format!("HTTP/1.1 {status} Status\r\ncontent-length: 0\r\n\r\n")
            }
            _ => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".into(),
        };
        writer.write_all(text.as_bytes())?;
        if part == "upgrade" {
            return reader.read_to_end(&mut Vec::new()).map(drop);
        }
    }
}

/// An address nobody listens on, and which nobody else gets.
pub(crate) fn down() -> SocketAddr {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = socket.local_addr().expect("bound");
    std::mem::forget(socket);
    address
}

/// Accepts connections and says nothing.
pub(crate) fn mute() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let _all: Vec<_> = listener.incoming().collect();
    });
    address
}

/// Speaks TLS as far as the handshake, with a certificate for `name`. Gives the certificate, PEM, too.
pub(crate) fn tls(name: &str) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a configuration");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let config = config.clone();
            thread::spawn(move || {
                let mut session = rustls::ServerConnection::new(config).expect("a session");
                while session.is_handshaking() && session.complete_io(&mut stream).is_ok() {}
            });
        }
    });
    (address, made.cert.pem())
}
