//! The HTTP/2 upstream. Its library reads strictly: what it takes is a request that everybody reads alike.

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use http::{Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{
    strict,
    upstream::{OWN, Shared, note, with},
};

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, shared.clone()));
    }
}

async fn connection(stream: TcpStream, shared: Shared) {
    let Ok(mut connection) = Builder::new().enable_connect_protocol().handshake::<_, Bytes>(stream).await
    else {
        return;
    };
    let mut streams = JoinSet::new();
    while let Some(accepted) = connection.accept().await {
        match accepted {
            Ok((request, respond)) => drop(streams.spawn(exchange(request, respond, shared.clone()))),
            Err(error) => {
                with(&shared, |seen| note(seen, None, format!("AMBIGUOUS {error}")));
                return;
            }
        }
    }
}

async fn exchange(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    shared: Shared,
) -> Option<()> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str()).to_owned();
    let host = head.uri.authority().map_or("", |host| host.as_str());
    let is_own = path.starts_with(OWN);
    let mut text = format!("{} {path} {host}", head.method);
    let place = with(&shared, |seen| {
        for name in &seen.show {
            let values: Vec<_> =
                head.headers.get_all(name).iter().map(|value| strict::latin1(value.as_bytes())).collect();
            if !values.is_empty() {
                text.push_str(&format!(" [{name}: {}]", values.join(",")));
            }
        }
        if is_own {
            seen.own.push(path.clone());
            return None;
        }
        Some(note(seen, None, format!("{text} (cut)")))
    });
    let is_tunnel = head.method == "CONNECT";
    if is_tunnel {
        with(&shared, |seen| note(seen, place, text.clone()));
        let status: u16 =
            with(&shared, |seen| seen.answer.as_ref().map_or(200, |answer| answer.parse().unwrap_or(200)));
        let mut send =
            respond.send_response(Response::builder().status(status).body(()).ok()?, status != 200).ok()?;
        let mut data = String::new();
        while let Some(Ok(piece)) = body.data().await {
            let _ = body.flow_control().release_capacity(piece.len());
            data.push_str(&strict::latin1(&piece));
            with(&shared, |seen| note(seen, place, format!("{text} {data}")));
        }
        return send.send_data(Bytes::new(), true).ok();
    }
    let mut data = String::new();
    while let Some(piece) = body.data().await {
        let piece = piece.ok()?;
        let _ = body.flow_control().release_capacity(piece.len());
        data.push_str(&strict::latin1(&piece));
    }
    body.trailers().await.ok()?;
    if !is_own {
        let space = if data.is_empty() { "" } else { " " };
        with(&shared, |seen| note(seen, place, format!("{text}{space}{data}")));
    }
    let answer = if is_own { path } else { "ok".to_owned() };
    let response = Response::builder().header("content-length", answer.len()).body(()).ok()?;
    let mut send = respond.send_response(response, false).ok()?;
    send.send_data(answer.into(), true).ok()
}
