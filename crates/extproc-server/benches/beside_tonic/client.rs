//! The client: as many exchanges as the server can do.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use extproc_server::{
    ListenAddress,
    raw::messages::{
        HeaderMap, HeaderValue, HttpBody, HttpHeaders, ProcessingRequest, ProtocolConfiguration,
        processing_request::Request,
    },
    test::Connection,
};
use tokio::task::{LocalSet, spawn_local};

use super::server::{Kind, Running};

/// Exchanges at a time.
const AT_ONCE: usize = 32;
const CONNECTIONS: usize = 2;
const WARM_UP: Duration = Duration::from_millis(300);

/// What is exchanged.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    mode: i32,
    /// Pieces of a body, and their size.
    pieces: usize,
    size: usize,
}

pub(crate) const CASES: &[Case] = &[
    Case { name: "headers", mode: 0, pieces: 0, size: 0 },
    Case { name: "buffered 4 KiB", mode: 2, pieces: 1, size: 4 << 10 },
    Case { name: "duplex 64 KiB", mode: 4, pieces: 4, size: 16 << 10 },
];

/// What has come of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Exchanges a second.
    pub(crate) rate: f64,
    /// Seconds of the server's CPU for an exchange.
    pub(crate) cpu: f64,
}

/// The messages of a request or a response that are sent before an answer is awaited, and the answers to them.
type Turn = (Vec<ProcessingRequest>, usize);

/// Measures a server.
pub(crate) fn measure(kind: Kind, case: &Case, time: Duration) -> Measured {
    with_server(kind, case, async |server, connections, turns| {
        run(&connections, &turns, Until::Time(Instant::now() + WARM_UP)).await;
        let (cpu, began) = (server.cpu_time().await, Instant::now());
        let exchanges = run(&connections, &turns, Until::Time(Instant::now() + time)).await;
        let took = Instant::now().duration_since(began);
        let cpu = server.cpu_time().await - cpu;
        Measured { rate: exchanges / took.as_secs_f64(), cpu: cpu.as_secs_f64() / exchanges }
    })
}

/// Has a server do so many exchanges.
pub(crate) fn exchange_so_often(kind: Kind, case: &Case, exchanges: u32) {
    with_server(kind, case, async |_, connections, turns| {
        run(&connections, &turns, Until::Count(Rc::new(Cell::new(exchanges)))).await;
    });
}

fn with_server<T>(
    kind: Kind,
    case: &Case,
    run: impl AsyncFnOnce(Running, Vec<Connection>, Rc<Vec<Turn>>) -> T,
) -> T {
    let server = Running::start(kind, case.pieces > 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = LocalSet::new();
    let turns = Rc::new(turns(case));
    local.block_on(&runtime, async {
        let address: ListenAddress = server.address.to_string().parse().expect("an address");
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Connection::to(&address).await.expect("it listens"));
        }
        run(server, connections, turns).await
    })
}

/// When enough was exchanged.
#[derive(Debug, Clone)]
enum Until {
    Time(Instant),
    /// So many are left.
    Count(Rc<Cell<u32>>),
}

impl Until {
    /// Whether another exchange is to begin.
    fn goes_on(&self) -> bool {
        match self {
            Self::Time(end) => Instant::now() < *end,
            Self::Count(left) => {
                let go = left.get() > 0;
                left.set(left.get().saturating_sub(1));
                go
            }
        }
    }
}

async fn run(connections: &[Connection], turns: &Rc<Vec<Turn>>, until: Until) -> f64 {
    let clients: Vec<_> = (0..AT_ONCE)
        .map(|client| {
            let (connection, turns) = (connections[client % CONNECTIONS].clone(), turns.clone());
            let until = until.clone();
            spawn_local(async move {
                let mut exchanges = 0_u32;
                while until.goes_on() {
                    exchange(&connection, &turns).await;
                    exchanges += 1;
                }
                exchanges
            })
        })
        .collect();
    let mut exchanges = 0.0;
    for client in clients {
        exchanges += f64::from(client.await.expect("no answer is missing"));
    }
    exchanges
}

async fn exchange(connection: &Connection, turns: &[Turn]) {
    let mut exchange = connection.open();
    for (messages, answers) in turns {
        for message in messages {
            exchange.send(message).await;
        }
        for _ in 0..*answers {
            exchange.next().await.expect("an answer").expect("no error");
        }
    }
    exchange.close();
    while let Some(more) = exchange.next().await {
        more.expect("no error");
    }
}

fn turns(case: &Case) -> Vec<Turn> {
    let mut turns = Vec::new();
    for response in [false, true] {
        let first = (!response).then_some(ProtocolConfiguration {
            request_body_mode: case.mode,
            response_body_mode: case.mode,
            ..Default::default()
        });
        let head = head(response, case.pieces == 0);
        let part = if response { Request::ResponseHeaders(head) } else { Request::RequestHeaders(head) };
        let head = ProcessingRequest { request: Some(part), protocol_config: first, ..Default::default() };
        let body = (1..=case.pieces).map(|piece| {
            let end_of_stream = piece == case.pieces;
            let body =
                HttpBody { body: Bytes::from(vec![b'a'; case.size]), end_of_stream, ..Default::default() };
            let part = if response { Request::ResponseBody(body) } else { Request::RequestBody(body) };
            ProcessingRequest { request: Some(part), ..Default::default() }
        });
        if case.mode == 4 {
            // Nobody waits for the answer to the head.
            turns.push(([head].into_iter().chain(body).collect(), 1 + case.pieces));
        } else {
            turns.push((vec![head], 1));
            turns.extend(body.map(|piece| (vec![piece], 1)));
        }
    }
    turns
}

/// As many fields as a browser's request, or as a response has.
fn head(response: bool, end_of_stream: bool) -> HttpHeaders {
    let request: &[(&str, &str)] = &[
        (":authority", "example.com"),
        (":path", "/products/1234?color=blue"),
        (":method", "POST"),
        (":scheme", "https"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("cookie", "session=0123456789abcdef0123456789abcdef; theme=dark"),
        ("x-request-id", "6f1d1bf0-5b8e-4d2c-9a3e-0c9a52f1f2aa"),
        ("x-forwarded-proto", "https"),
    ];
    let answer: &[(&str, &str)] = &[
        (":status", "200"),
        ("content-type", "application/json"),
        ("cache-control", "private, max-age=0"),
        ("date", "Mon, 01 Jan 2035 00:00:00 GMT"),
        ("etag", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
        ("server", "upstream"),
    ];
    let fields = if response { answer } else { request };
    let headers = fields.iter().map(|(key, value)| HeaderValue {
        key: (*key).to_owned(),
        raw_value: Bytes::from_static(value.as_bytes()),
        ..Default::default()
    });
    HttpHeaders {
        headers: Some(HeaderMap { headers: headers.collect() }),
        end_of_stream,
        ..Default::default()
    }
}
