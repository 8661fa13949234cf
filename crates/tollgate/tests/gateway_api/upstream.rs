//! Backends that tell what they saw.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

/// A backend on a port of its own.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    name: &'static str,
    seen: Arc<Mutex<HashMap<String, usize>>>,
}

impl Upstream {
    /// Serves for as long as the test runs; `http2` speaks that, with prior knowledge, instead of HTTP/1.1.
    pub(crate) async fn start(name: &'static str, http2: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let upstream = Self { address, name, seen: Arc::default() };
        let server = upstream.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(server.clone().serve(stream, http2));
            }
        });
        upstream
    }

    async fn serve(self, stream: TcpStream, http2: bool) {
        let answer = service_fn(move |request| self.clone().answer(request));
        let io = TokioIo::new(stream);
        // A gateway that closes a connection ends it, and nothing else.
        let _ = match http2 {
            true => http2::Builder::new(TokioExecutor::new()).serve_connection(io, answer).await,
            false => http1::Builder::new().serve_connection(io, answer).await,
        };
    }

    /// How often a path was requested.
    pub(crate) fn count(&self, path: &str) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(path).copied().unwrap_or_default()
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<String>, Infallible> {
        let path = request.uri().path().to_owned();
        let times = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let times = seen.entry(path.clone()).or_default();
            *times += 1;
            *times
        };
        if path.contains("/never") || (path.contains("/first-never") && times == 1) {
            pending::<()>().await;
        }
        // `/fail-2/...` fails twice.
        let failures = path.split_once("/fail-").and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
        let status = match failures {
            Some(failures) if times <= failures => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        };
        let mut headers: BTreeMap<&str, String> = BTreeMap::new();
        for (name, value) in request.headers() {
            let value = value.to_str().unwrap_or_default();
            headers
                .entry(name.as_str())
                .and_modify(|known| *known = format!("{known},{value}"))
                .or_insert_with(|| value.to_owned());
        }
        let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
        let told = serde_json::json!({
            "backend": self.name,
            "method": request.method().as_str(),
            "path": request.uri().path_and_query().map(|path| path.as_str()),
            "host": authority.or_else(|| headers.get("host").cloned()),
            "headers": headers,
        });
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("x-backend", self.name)
            .header("x-replaced", "by the backend");
        Ok(response.body(told.to_string()).expect("a response"))
    }
}
