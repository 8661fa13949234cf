//! The scripted HTTP/1.1 client.

use std::time::{Duration, Instant};

use tokio::net::{TcpStream, tcp::OwnedReadHalf};

use super::{
    http2,
    sender::{self, Outgoing, Sent, Start},
};
use crate::{
    board::{Board, End, Stop},
    http1::{Framing, Reader},
    scenario::{
        Protocol, Request, Scenario,
        steps::{SendAction, SendStep},
        text::show,
    },
};

/// Name in the transcript.
pub(super) const WHO: &str = "client";

/// Sends the request of a scenario and reads the response, until it ended or patience did.
pub(crate) async fn run(board: &Board, scenario: &Scenario, request: &Request, port: u16) {
    let stream = match TcpStream::connect(("127.0.0.1", port)).await {
        Ok(stream) => stream,
        Err(error) => {
            board.fail(WHO, &format!("cannot connect to the gateway: {error}"));
            return;
        }
    };
    let _ = stream.set_nodelay(true);
    let out = outgoing(request);
    if request.protocol == Protocol::Http2 {
        return http2::client(board, scenario, request, &out, stream).await;
    }
    let (read, mut write) = stream.into_split();
    let sending = async {
        match sender::play(board, WHO, &mut write, &out).await {
            Ok(Sent::Open) => {}
            Ok(Sent::Gone) => return board.note(WHO, "left", |state| state.client.left = true),
            Err(Stop) => return,
        }
        finish(board, scenario, request).await;
    };
    tokio::select! {
        () = sending => {}
        () = receive(board, &request.method, read) => {}
    }
}

/// Waits for the end of the response, and of the connection if the scenario asks for it.
pub(crate) async fn finish(board: &Board, scenario: &Scenario, request: &Request) {
    let patience = request.patience.unwrap_or(scenario.deadline).0;
    let ended = |state: &crate::board::State| state.client.end.is_some() || !state.failures.is_empty();
    if !board.until(patience, ended).await {
        board.note(WHO, "gives up", |_| ());
    }
    if let Some(closed) = scenario.expect.client.connection_closed {
        let longest = Duration::from_millis(if closed { 1500 } else { 100 });
        board.until(longest, |state| state.client.closed).await;
    }
}

fn outgoing(request: &Request) -> Outgoing {
    let mut fields = request.headers.0.clone();
    if request.headers.get("host").is_none() {
        fields.insert(0, ("host".to_owned(), b"example.com".to_vec()));
    }
    let is_body = |step: &SendStep| matches!(step.action, Some(SendAction::Body(_)));
    let sends_body = request.send.iter().flatten().any(is_body);
    let has_body = request.body.is_some() || sends_body || request.chunked;
    let steps = request.send.clone().unwrap_or_else(|| {
        let body = request.body.clone().map(|body| SendStep::act(SendAction::Body(body)));
        let ends = [SendStep::act(SendAction::End)];
        std::iter::once(SendStep::act(SendAction::Head)).chain(body).chain(ends).collect()
    });
    let mut out = Outgoing {
        start: Start::Request { method: request.method.clone(), path: request.path.clone() },
        fields,
        chunked: request.chunked,
        trailers: request.trailers.0.clone(),
        no_body: false,
        steps,
    };
    out.frame(has_body);
    out
}

/// Reads heads and the body, then waits for the end of the connection. Only returns by being dropped.
async fn receive(board: &Board, method: &str, io: OwnedReadHalf) {
    let mut reader = Reader::new(io);
    let end = response(board, method, &mut reader).await;
    let text = match &end {
        End::Complete => "response complete".to_owned(),
        End::Cut(why) => format!("response cut: {why}"),
    };
    board.note(WHO, &text, |state| state.client.end = Some((end, Instant::now())));
    let extra = |bytes: &[u8]| {
        board.fail(WHO, &format!("got bytes after the response: {}", show(bytes)));
    };
    reader.closed(extra).await;
    board.note(WHO, "connection closed", |state| state.client.closed = true);
    std::future::pending::<()>().await;
}

async fn response(board: &Board, method: &str, reader: &mut Reader<OwnedReadHalf>) -> End {
    let (head, status) = loop {
        let head = match reader.head().await {
            Ok(Some(head)) => head,
            Ok(None) => return End::Cut("closed before any response".to_owned()),
            Err(error) => return End::Cut(error),
        };
        let status: u16 = head.words().1.parse().unwrap_or(0);
        if status == 101 || !(100..200).contains(&status) {
            break (head, status);
        }
        board.note(WHO, &format!("got {}", head.line), |state| state.client.informational.push(status));
    };
    let what = format!("got {} {}", head.line, sender::describe(&head.fields));
    board.note(WHO, &what, |state| state.client.head = Some((status, head.fields.clone())));
    let framing = match Framing::of_response(&head, method, status) {
        Ok(framing) => framing,
        Err(error) => return End::Cut(error),
    };
    let body = reader
        .body(framing, |data, new| {
            board.note(WHO, &format!("got body {}", show(data)), |state| state.client.body.add(data, new));
        })
        .await;
    match body {
        Ok(trailers) => {
            if !trailers.is_empty() {
                let what = format!("got trailers {}", sender::describe(&trailers));
                board.note(WHO, &what, |state| state.client.trailers = trailers);
            }
            End::Complete
        }
        Err(why) => End::Cut(why),
    }
}
