//! A processor that lets everything pass but what the case says.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use envoy_types::pb::envoy::service::ext_proc::v3::ProcessingRequest;
use h2::server;
use http::{Request, Response};
use prost::Message as _;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::upstream::OWN;
use crate::{
    actors::replies::{frame, unchanged, unframe},
    message::Message,
    scenario::reply::Reply,
};

/// What is answered, by the kind of the message.
pub(super) type Replies = Arc<Mutex<BTreeMap<String, Reply>>>;

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, replies: Replies) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, replies.clone()));
    }
}

async fn connection(stream: TcpStream, replies: Replies) {
    let _ = stream.set_nodelay(true);
    let Ok(mut connection) = server::handshake(stream).await else { return };
    let mut streams = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        streams.spawn(exchange(request, respond, replies.clone()));
    }
}

async fn exchange(
    request: Request<h2::RecvStream>,
    mut respond: server::SendResponse<Bytes>,
    replies: Replies,
) -> Option<()> {
    let head = Response::builder().header("content-type", "application/grpc").body(()).ok()?;
    let mut send = respond.send_response(head, false).ok()?;
    let mut body = request.into_body();
    let mut buffer = BytesMut::new();
    let mut first: Option<Message> = None;
    let mut is_own = false;
    while let Some(data) = body.data().await {
        let data = data.ok()?;
        body.flow_control().release_capacity(data.len()).ok()?;
        buffer.extend_from_slice(&data);
        while let Some(message) = unframe(&mut buffer).ok()? {
            let message = Message::new(&ProcessingRequest::decode(message).ok()?);
            let opening = first.get_or_insert_with(|| message.clone());
            let path = message.headers.iter().find(|(name, _)| name == ":path");
            is_own |= path.is_some_and(|(_, path)| path.starts_with(OWN.as_bytes()));
            let scripted = replies.lock().unwrap_or_else(PoisonError::into_inner).get(&message.kind).cloned();
            let reply = match scripted.filter(|_| !is_own) {
                Some(Reply::Message(reply)) => *reply,
                Some(Reply::Continue) | None => unchanged(&message, opening),
            };
            send.send_data(frame(&[reply]), false).ok()?;
        }
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    send.send_trailers(trailers).ok()
}
