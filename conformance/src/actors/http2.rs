//! Client and upstream that speak HTTP/2 with prior knowledge.

use std::{future::poll_fn, time::Instant};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    client::{self, ResponseFuture, SendRequest},
    server::{self, SendResponse},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tokio::{net::TcpStream, sync::oneshot, task::JoinSet};

use super::{
    client::{WHO, finish},
    sender::{Outgoing, Sent, Start, describe},
    upstream::Connection,
};
use crate::{
    board::{Board, End, RequestSeen, Stop},
    scenario::{
        Scenario,
        steps::{SendAction, SendStep},
        text::{Field, Payload, show},
    },
};

/// Fields as a header map; what HTTP/2 cannot carry is left out.
pub(super) fn header_map(fields: &[Field]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    map
}

fn fields(map: &HeaderMap) -> Vec<Field> {
    map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

/// The side of a stream that sends: before and after its head.
enum Sink {
    Request(Box<SendRequest<Bytes>>, Option<oneshot::Sender<ResponseFuture>>),
    Response(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
}

impl Sink {
    fn head(self, out: &Outgoing, end: bool) -> Result<Self, h2::Error> {
        // Framing and hop-by-hop fields of HTTP/1.1 have no place here.
        let connection = ["transfer-encoding", "connection", "host"];
        let kept: Vec<Field> =
            out.fields.iter().filter(|(n, _)| !connection.contains(&n.as_str())).cloned().collect();
        match (self, &out.start) {
            (Self::Request(mut send, answer), Start::Request { method, path }) => {
                let host = out.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case("host"));
                let host =
                    host.map_or_else(|| "example.com".into(), |(_, value)| String::from_utf8_lossy(value));
                let mut request = Request::builder()
                    .method(method.as_str())
                    .uri(format!("http://{host}{path}"))
                    .body(())
                    .map_err(|_| h2::Error::from(Reason::PROTOCOL_ERROR))?;
                *request.headers_mut() = header_map(&kept);
                // The first becomes the authority; a second stays what it is.
                let hosts = out.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host")).skip(1);
                request.headers_mut().extend(header_map(&hosts.cloned().collect::<Vec<_>>()));
                let (response, stream) = send.send_request(request, end)?;
                if let Some(answer) = answer {
                    let _ = answer.send(response);
                }
                Ok(Self::Body(stream))
            }
            (Self::Response(mut send), Start::Response(status)) => {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::OK);
                *response.headers_mut() = header_map(&kept);
                send.send_response(response, end).map(Self::Body)
            }
            (other, _) => Ok(other),
        }
    }

    fn reset(&mut self, reason: Reason) {
        match self {
            Self::Body(stream) => stream.send_reset(reason),
            Self::Response(send) => send.send_reset(reason),
            Self::Request(..) => {}
        }
    }
}

/// Whether this is the end of the message, to be put on the frame before it.
fn ends(step: Option<&SendStep>, out: &Outgoing) -> bool {
    let Some(step) = step else { return false };
    let plain = step.pause.wait_for.is_empty() && step.pause.not_yet.is_none() && step.pause.delay.is_none();
    plain && matches!(step.action, Some(SendAction::End)) && out.trailers.is_empty()
}

/// Plays all steps; what cannot be sent any more is noted, as the scenario judges by what was seen.
async fn play(
    board: &Board,
    who: &str,
    out: &Outgoing,
    mut sink: Sink,
) -> Result<(Sent, Option<Sink>), Stop> {
    let mut ended = false;
    let steps: Vec<&SendStep> = out
        .steps
        .iter()
        .filter(|step| !(out.no_body && matches!(step.action, Some(SendAction::Body(_)))))
        .collect();
    for (at, step) in steps.iter().enumerate() {
        board.pause(who, &step.pause).await?;
        let last = ends(steps.get(at + 1).copied(), out);
        let sent = match &step.action {
            None => Ok(()),
            Some(SendAction::Head) => {
                board.note(who, &format!("sends {} {}", out.start.line(), describe(&out.fields)), |_| ());
                ended = last;
                sink = match sink.head(out, last) {
                    Ok(sink) => sink,
                    Err(error) => {
                        board.note(who, &format!("cannot send: {error}"), |_| ());
                        return Ok((Sent::Open, None));
                    }
                };
                Ok(())
            }
            Some(SendAction::Informational(code, fields)) => {
                board.note(who, &format!("sends {code}"), |_| ());
                let mut head = Response::new(());
                *head.status_mut() = StatusCode::from_u16(*code).unwrap_or(StatusCode::EARLY_HINTS);
                *head.headers_mut() = header_map(&fields.0);
                match &mut sink {
                    Sink::Response(send) => send.send_informational(head),
                    Sink::Request(..) | Sink::Body(_) => Ok(()),
                }
            }
            Some(SendAction::Body(Payload(bytes))) => {
                board.note(who, &format!("sends body {}", show(bytes)), |_| ());
                ended = last;
                match &mut sink {
                    Sink::Body(stream) => stream.send_data(Bytes::copy_from_slice(bytes), last),
                    Sink::Request(..) | Sink::Response(_) => Ok(()),
                }
            }
            Some(SendAction::End) if ended => Ok(()),
            Some(SendAction::End) => {
                board.note(who, &format!("sends end {}", describe(&out.trailers)), |_| ());
                ended = true;
                match &mut sink {
                    Sink::Body(stream) if out.trailers.is_empty() => stream.send_data(Bytes::new(), true),
                    Sink::Body(stream) => stream.send_trailers(header_map(&out.trailers)),
                    Sink::Request(..) | Sink::Response(_) => Ok(()),
                }
            }
            Some(SendAction::Close | SendAction::Reset) => {
                board.note(who, "resets its stream", |_| ());
                let close = matches!(step.action, Some(SendAction::Close));
                sink.reset(if close { Reason::NO_ERROR } else { Reason::CANCEL });
                return Ok((Sent::Gone, Some(sink)));
            }
            Some(SendAction::Raw(_) | SendAction::HalfClose) => {
                return Err(board.fail(who, "raw and half_close are for HTTP/1.1"));
            }
        };
        if let Err(error) = sent {
            board.note(who, &format!("cannot send: {error}"), |_| ());
        }
    }
    Ok((Sent::Open, Some(sink)))
}

/// Reads a body to its end and returns the trailers.
async fn read_body(mut body: RecvStream, mut on_data: impl FnMut(&[u8])) -> Result<Vec<Field>, String> {
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| error.to_string())?;
        let _ = body.flow_control().release_capacity(data.len());
        if !data.is_empty() {
            on_data(&data);
        }
    }
    let trailers = body.trailers().await.map_err(|error| error.to_string())?;
    Ok(trailers.map(|map| fields(&map)).unwrap_or_default())
}

/// Plays the client of a scenario.
pub(super) async fn client(
    board: &Board,
    scenario: &Scenario,
    request: &crate::scenario::Request,
    out: &Outgoing,
    stream: TcpStream,
) {
    let (send, connection) = match client::handshake(stream).await {
        Ok(both) => both,
        Err(error) => {
            board.fail(WHO, &format!("HTTP/2 handshake: {error}"));
            return;
        }
    };
    let (answer, answered) = oneshot::channel();
    let driving = async {
        let _ = connection.await;
        board.note(WHO, "connection closed", |state| state.client.closed = true);
        std::future::pending::<()>().await;
    };
    let receiving = async {
        if let Ok(response) = answered.await {
            let end = receive(board, response).await;
            let text = match &end {
                End::Complete => "response complete".to_owned(),
                End::Cut(why) => format!("response cut: {why}"),
            };
            board.note(WHO, &text, |state| state.client.end = Some((end, Instant::now())));
        }
        std::future::pending::<()>().await;
    };
    let sending = async {
        // Without a handle the connection would be closed by this side.
        let _kept = send.clone();
        let sink = Sink::Request(Box::new(send), Some(answer));
        match play(board, WHO, out, sink).await {
            // Dropping the stream would reset it.
            Ok((Sent::Open, _stream)) => finish(board, scenario, request).await,
            // The reset frame has to leave before the connection goes.
            Ok((Sent::Gone, _)) => {
                board.note(WHO, "left", |state| state.client.left = true);
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            Err(Stop) => {}
        }
    };
    tokio::select! {
        () = sending => {}
        () = driving => {}
        () = receiving => {}
    }
}

async fn receive(board: &Board, mut response: ResponseFuture) -> End {
    loop {
        match poll_fn(|cx| response.poll_informational(cx)).await {
            Some(Ok(head)) => {
                let status = head.status().as_u16();
                board.note(WHO, &format!("got {status}"), |state| state.client.informational.push(status));
            }
            Some(Err(error)) => return End::Cut(error.to_string()),
            None => break,
        }
    }
    let response = match response.await {
        Ok(response) => response,
        Err(error) => return End::Cut(error.to_string()),
    };
    let (head, body) = response.into_parts();
    let (status, got) = (head.status.as_u16(), fields(&head.headers));
    board.note(WHO, &format!("got {status} {}", describe(&got)), |state| {
        state.client.head = Some((status, got));
    });
    let on_data = |data: &[u8]| {
        board.note(WHO, &format!("got body {}", show(data)), |state| state.client.body.add(data, true));
    };
    match read_body(body, on_data).await {
        Ok(trailers) => {
            if !trailers.is_empty() {
                let what = format!("got trailers {}", describe(&trailers));
                board.note(WHO, &what, |state| state.client.trailers = trailers);
            }
            End::Complete
        }
        Err(why) => End::Cut(why),
    }
}

/// Serves one connection of an upstream.
pub(super) async fn upstream(upstream: Connection, stream: TcpStream) {
    let upstream = std::sync::Arc::new(upstream);
    // Upgrades of HTTP/1 arrive as extended CONNECT.
    let mut connection = match server::Builder::new().enable_connect_protocol().handshake(stream).await {
        Ok(connection) => connection,
        Err(error) => {
            upstream.board.note(&upstream.name, &format!("HTTP/2 handshake: {error}"), |_| ());
            return;
        }
    };
    let mut streams = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        streams.spawn(exchange(std::sync::Arc::clone(&upstream), request, respond));
    }
    upstream.board.note(&upstream.name, "connection closed by the gateway", |_| ());
    while streams.join_next().await.is_some() {}
}

async fn exchange(
    upstream: std::sync::Arc<Connection>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let (head, body) = request.into_parts();
    let mut headers = fields(&head.headers);
    if let Some(protocol) = head.extensions.get::<h2::ext::Protocol>() {
        headers.insert(0, (":protocol".to_owned(), protocol.as_str().as_bytes().to_vec()));
    }
    if let Some(authority) = head.uri.authority() {
        headers.insert(0, ("host".to_owned(), authority.as_str().as_bytes().to_vec()));
    }
    let path = head.uri.path_and_query().map_or_else(String::new, |path| path.as_str().to_owned());
    let method = head.method.as_str().to_owned();
    let number =
        upstream.begin(RequestSeen { method: method.clone(), path, headers, ..RequestSeen::default() });
    let reading = async {
        let on_data = |data: &[u8]| {
            upstream
                .change(number, &format!("got body {}", show(data)), |request| request.body.add(data, true));
        };
        match read_body(body, on_data).await {
            Ok(trailers) => {
                let what = format!("request complete {}", describe(&trailers));
                upstream.change(number, &what, |request| {
                    request.trailers = trailers;
                    request.end = Some(End::Complete);
                });
            }
            Err(why) => {
                upstream.change(number, &format!("request cut: {why}"), |request| {
                    request.end = Some(End::Cut(why));
                    request.response_cut |= !request.done;
                });
            }
        }
    };
    let responding = async {
        let out = upstream.answer(number, &method).await;
        let played = play(&upstream.board, &upstream.name, &out, Sink::Response(respond)).await;
        let left = !matches!(played, Ok((Sent::Open, Some(_))));
        upstream.change(number, if left { "left" } else { "answered" }, |request| {
            request.done = !left;
            request.left = left;
        });
        if let Ok((_, Some(Sink::Body(mut stream)))) = played {
            // A reset after this point says that the response was not wanted to its end.
            let reset = poll_fn(|cx| stream.poll_reset(cx)).await;
            if let Ok(reason) = reset {
                upstream.change(number, &format!("reset by the gateway: {reason}"), |request| {
                    request.response_cut |= reason != Reason::NO_ERROR;
                });
            }
        }
    };
    tokio::join!(reading, responding);
}
