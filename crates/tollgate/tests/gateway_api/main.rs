//! Every Core and Extended feature of HTTPRoute, GRPCRoute and ReferenceGrant that `docs/conformance.md` claims, over real
//! sockets: configurations as they are applied to clusters, requests, and what clients and backends see.

mod backend_tls;
mod grpc;
mod http_routes;
mod listeners;
mod mirrors;
mod retries;
mod sessions;
mod upstream;
mod websocket;
mod world;
