//! What is measured.

use std::net::SocketAddr;

use crate::{
    http1::Message,
    load::{Clients, Exchange},
    processor::Behavior,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// One setting in which both gateways are measured.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) filter: Filter,
    /// Processors, one filter each.
    pub(crate) processors: usize,
    pub(crate) transport: Transport,
    pub(crate) clients: Clients,
    /// Bytes of the request's body and of the response's.
    pub(crate) body: usize,
    /// Fields of the request beside `host` and what the body needs.
    pub(crate) fields: usize,
    /// Routes of other hosts.
    pub(crate) routes: usize,
    pub(crate) balancing: Balancing,
    pub(crate) latency: bool,
}

/// How the upstream's cluster looks after its endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Balancing {
    /// Not at all.
    Plain,
    /// Health checks and outlier detection.
    Health,
    /// The `override_host` policy, and a header that picks the endpoint.
    Picked,
}

/// What the filters do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    Headers,
    Buffered,
    Streamed,
    Duplex,
    Observability,
    Immediate,
}

/// How processors are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Unix,
    Tls,
}

impl Case {
    fn new(name: &'static str, title: &'static str, filter: Filter) -> Self {
        Self {
            name,
            title,
            filter,
            processors: 1,
            transport: Transport::Tcp,
            clients: Clients::Http1 { connections: 32 },
            body: 0,
            fields: 6,
            routes: 0,
            balancing: Balancing::Plain,
            latency: false,
        }
    }

    fn body(self, body: usize) -> Self {
        Self { body, ..self }
    }

    fn processors(self, processors: usize) -> Self {
        Self { processors, ..self }
    }

    fn transport(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }

    fn connections(self, connections: usize) -> Self {
        Self { clients: Clients::Http1 { connections }, ..self }
    }

    fn http2(self) -> Self {
        Self { clients: Clients::Http2 { connections: 8, streams: 4 }, ..self }
    }

    fn routes(self, routes: usize) -> Self {
        Self { routes, ..self }
    }

    fn balancing(self, balancing: Balancing) -> Self {
        Self { balancing, ..self }
    }

    fn with_latency(self) -> Self {
        Self { latency: true, ..self }
    }

    pub(crate) fn behavior(&self) -> Behavior {
        match self.filter {
            Filter::Duplex => Behavior::Echo,
            Filter::Immediate => Behavior::Immediate,
            Filter::Headers | Filter::Buffered | Filter::Streamed | Filter::Observability => {
                Behavior::Continue
            }
        }
    }

    /// What clients send and must get.
    pub(crate) fn exchange(&self, upstream: SocketAddr) -> Exchange {
        let expect = if self.filter == Filter::Immediate && self.processors > 0 {
            Message { status: 403, body: 0 }
        } else {
            Message { status: 200, body: self.response_body() }
        };
        let mut fields = vec![
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
            ),
            ("accept", "application/json, text/plain, */*".to_owned()),
            ("accept-encoding", "gzip, deflate, br".to_owned()),
            ("authorization", format!("Bearer {}", "abcdefgh".repeat(12))),
            ("cookie", "session=0f9d1c2b3a4e5f60718293a4b5c6d7e8; theme=dark".to_owned()),
            ("x-tenant", "north".to_owned()),
        ];
        let more = [
            "accept-language",
            "cache-control",
            "dnt",
            "origin",
            "pragma",
            "priority",
            "referer",
            "sec-ch-ua",
            "sec-ch-ua-mobile",
            "sec-fetch-dest",
            "sec-fetch-mode",
            "sec-fetch-site",
            "traceparent",
            "x-requested-with",
        ];
        fields.extend(more.map(|name| (name, "a value of some thirty letters.".to_owned())));
        fields.truncate(self.fields);
        if self.balancing == Balancing::Picked {
            fields.push(("x-gateway-destination-endpoint", upstream.to_string()));
        }
        Exchange {
            method: if self.body > 0 { "POST" } else { "GET" },
            host: "bench.example.com".to_owned(),
            path: "/api/v1/items/42?page=2&order=name",
            fields,
            body: self.body,
            expect,
        }
    }

    /// A case without bodies has a small response all the same, as requests for headers alone are rare.
    pub(crate) fn response_body(&self) -> usize {
        if self.body > 0 { self.body } else { 512 }
    }

    /// Messages that processors must get for each request in all, where the number is fixed.
    pub(crate) fn messages(&self) -> Option<u64> {
        match self.filter {
            Filter::Headers | Filter::Observability => Some(2 * self.processors as u64),
            Filter::Immediate => Some(self.processors as u64),
            Filter::Buffered => Some(4 * self.processors as u64),
            Filter::Streamed | Filter::Duplex => None,
        }
    }
}

/// Every case, in the order of the table.
pub(crate) fn all() -> Vec<Case> {
    use Filter::{Buffered, Duplex, Headers, Immediate, Observability, Streamed};
    vec![
        Case::new("none", "no processor", Headers).processors(0).with_latency(),
        Case::new("none-64k", "no processor, 64 KiB bodies", Headers).processors(0).body(64 * KIB),
        Case::new("none-1m", "no processor, 1 MiB bodies", Headers).processors(0).body(MIB),
        Case::new("none-health", "no processor, health checks and outlier detection", Headers)
            .processors(0)
            .balancing(Balancing::Health),
        Case::new("none-picked", "no processor, override_host by a header", Headers)
            .processors(0)
            .balancing(Balancing::Picked),
        Case::new("headers", "headers", Headers).with_latency(),
        Case { fields: 20, ..Case::new("headers-20", "headers, 20 request fields", Headers) },
        Case::new("headers-x2", "headers, 2 processors", Headers).processors(2),
        Case::new("headers-x4", "headers, 4 processors", Headers).processors(4),
        Case::new("buffered-4k", "buffered, 4 KiB bodies", Buffered).body(4 * KIB).with_latency(),
        Case::new("buffered-64k", "buffered, 64 KiB bodies", Buffered).body(64 * KIB),
        Case::new("streamed-4k", "streamed, 4 KiB bodies", Streamed).body(4 * KIB).with_latency(),
        Case::new("streamed-64k", "streamed, 64 KiB bodies", Streamed).body(64 * KIB),
        Case::new("streamed-1m", "streamed, 1 MiB bodies", Streamed).body(MIB),
        Case::new("duplex-4k", "full duplex, 4 KiB bodies", Duplex).body(4 * KIB).with_latency(),
        Case::new("duplex-64k", "full duplex, 64 KiB bodies", Duplex).body(64 * KIB),
        Case::new("duplex-1m", "full duplex, 1 MiB bodies", Duplex).body(MIB),
        Case::new("observability", "headers, observability mode", Observability),
        Case::new("immediate", "immediate response", Immediate),
        Case::new("headers-unix", "headers, Unix socket to the processor", Headers)
            .transport(Transport::Unix),
        Case::new("headers-tls", "headers, TLS to the processor", Headers).transport(Transport::Tls),
        Case::new("duplex-64k-unix", "full duplex, 64 KiB bodies, Unix socket", Duplex)
            .body(64 * KIB)
            .transport(Transport::Unix),
        Case::new("duplex-64k-tls", "full duplex, 64 KiB bodies, TLS", Duplex)
            .body(64 * KIB)
            .transport(Transport::Tls),
        Case::new("none-http2", "no processor, HTTP/2 clients", Headers).processors(0).http2(),
        Case::new("headers-http2", "headers, HTTP/2 clients", Headers).http2(),
        Case::new("duplex-4k-http2", "full duplex, 4 KiB bodies, HTTP/2 clients", Duplex)
            .body(4 * KIB)
            .http2(),
        Case::new("headers-c1", "headers, 1 connection", Headers).connections(1),
        Case::new("headers-c256", "headers, 256 connections", Headers).connections(256),
        Case::new("headers-c2000", "headers, 2,000 connections", Headers).connections(2000),
        Case::new("routes-10", "no processor, 10 routes of other hosts", Headers).processors(0).routes(10),
        Case::new("routes-10000", "no processor, 10,000 routes of other hosts", Headers)
            .processors(0)
            .routes(10_000),
    ]
}
