//! `tollgate echo`.

use std::{collections::BTreeMap, io, net::SocketAddr, process::ExitCode};

use extproc_server::Body;
use hyper::{Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    cli::{Echo, LogFormat},
    http_server::{self, Limits},
    logging,
    signals::Signals,
};

/// Largest body that is shown.
const LIMIT: usize = 1 << 20;

/// Answers with what it got until a signal stops it.
pub(crate) fn run(arguments: &Echo) -> ExitCode {
    let _flush = logging::start(LogFormat::Text, "info");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve(arguments.listen))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the echo cannot be served at {}: {error}", arguments.listen);
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: SocketAddr) -> io::Result<()> {
    let stop = Signals::listen()?;
    let listener = TcpListener::bind(address).await?;
    tracing::info!("echo listens on {}", listener.local_addr()?);
    tokio::select! {
        never = http_server::serve_with(listener, Limits::DEFAULT, answer) => match never {},
        _ = stop.first() => Ok(()),
    }
}

async fn answer(request: Request<Incoming>, peer: SocketAddr) -> Response<String> {
    let (head, body) = request.into_parts();
    let body = match Body::new(body).collect(LIMIT).await {
        Ok(body) => body,
        Err(error) => return text(StatusCode::PAYLOAD_TOO_LARGE, format!("{error}\n")),
    };
    let mut headers = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str()).or_default().push(value);
    }
    let shown: Value = json!({
        "method": head.method.as_str(),
        "path": head.uri.to_string(),
        "from": peer.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let mut response = text(StatusCode::OK, format!("{shown:#}\n"));
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
