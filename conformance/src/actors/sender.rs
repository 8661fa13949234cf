//! Plays the sending steps of a client or an upstream on an HTTP/1.1 connection.

use tokio::{io::AsyncWriteExt, net::tcp::OwnedWriteHalf};

use crate::{
    board::{Board, Stop},
    http1,
    scenario::{
        steps::{SendAction, SendStep},
        text::{Field, Payload, show},
    },
};

/// The start of a message.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// A request.
    Request {
        /// Method.
        method: String,
        /// Path with query.
        path: String,
    },
    /// A response with this status.
    Response(u16),
}

impl Start {
    /// The first line of an HTTP/1.1 message.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Request { method, path } => format!("{method} {path} HTTP/1.1"),
            Self::Response(101) => "HTTP/1.1 101 Switching Protocols".to_owned(),
            Self::Response(200) => "HTTP/1.1 200 OK".to_owned(),
            Self::Response(status) => format!("HTTP/1.1 {status} Status"),
        }
    }
}

/// The message that is being sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// What begins the message.
    pub start: Start,
    /// Fields, with the framing ones.
    pub fields: Vec<Field>,
    /// Chunked encoding.
    pub chunked: bool,
    /// Trailers.
    pub trailers: Vec<Field>,
    /// Body bytes are not sent (the answer to HEAD).
    pub no_body: bool,
    /// Steps.
    pub steps: Vec<SendStep>,
}

impl Outgoing {
    /// Sets content-length or transfer-encoding, unless the scenario wrote one of them itself.
    pub(crate) fn frame(&mut self, has_body: bool) {
        let has = |name: &str| self.fields.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if has("content-length") || has("transfer-encoding") || !has_body {
            return;
        }
        if self.chunked {
            self.fields.push(("transfer-encoding".to_owned(), b"chunked".to_vec()));
        } else {
            let length: usize = self.steps.iter().map(SendStep::body_length).sum();
            self.fields.push(("content-length".to_owned(), length.to_string().into_bytes()));
        }
    }
}

impl SendStep {
    /// A step that only acts.
    pub(crate) fn act(action: SendAction) -> Self {
        Self { action: Some(action), ..Self::default() }
    }

    fn body_length(&self) -> usize {
        match &self.action {
            Some(SendAction::Body(Payload(bytes))) => bytes.len(),
            _ => 0,
        }
    }
}

/// Whether the connection is still of use after the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Everything was sent, or the other side does not take more.
    Open,
    /// The script closed or reset the connection.
    Gone,
}

/// Plays all steps. Steps without a pause between them go out in one write.
///
/// # Errors
/// A wait that failed.
pub(crate) async fn play(
    board: &Board,
    who: &str,
    io: &mut OwnedWriteHalf,
    out: &Outgoing,
) -> Result<Sent, Stop> {
    let mut pending = Vec::new();
    for step in &out.steps {
        let pauses =
            !step.pause.wait_for.is_empty() || step.pause.not_yet.is_some() || step.pause.delay.is_some();
        if pauses && !flush(board, who, io, &mut pending).await {
            return Ok(Sent::Open);
        }
        board.pause(who, &step.pause).await?;
        match &step.action {
            None => {}
            Some(SendAction::Head) => {
                board.note(who, &format!("sends {} {}", out.start.line(), describe(&out.fields)), |_| ());
                pending.extend(http1::write_head(&out.start.line(), &out.fields));
            }
            Some(SendAction::Informational(code, fields)) => {
                board.note(who, &format!("sends {code}"), |_| ());
                pending.extend(http1::write_head(&format!("HTTP/1.1 {code} Informational"), &fields.0));
            }
            Some(SendAction::Body(_) | SendAction::End) if out.no_body => {}
            Some(SendAction::Body(Payload(bytes))) => {
                board.note(who, &format!("sends body {}", show(bytes)), |_| ());
                pending.extend(http1::write_piece(bytes, out.chunked));
            }
            Some(SendAction::End) => {
                board.note(who, &format!("sends end {}", describe(&out.trailers)), |_| ());
                pending.extend(http1::write_end(&out.trailers, out.chunked));
            }
            Some(SendAction::Raw(Payload(bytes))) => {
                board.note(who, &format!("sends {}", show(bytes)), |_| ());
                pending.extend_from_slice(bytes);
            }
            Some(SendAction::HalfClose) => {
                flush(board, who, io, &mut pending).await;
                board.note(who, "closes its half", |_| ());
                let _ = io.shutdown().await;
            }
            Some(SendAction::Close) => {
                flush(board, who, io, &mut pending).await;
                board.note(who, "closes", |_| ());
                return Ok(Sent::Gone);
            }
            Some(SendAction::Reset) => {
                flush(board, who, io, &mut pending).await;
                board.note(who, "resets", |_| ());
                let _ = socket2::SockRef::from(io.as_ref()).set_linger(Some(std::time::Duration::ZERO));
                return Ok(Sent::Gone);
            }
        }
    }
    flush(board, who, io, &mut pending).await;
    Ok(Sent::Open)
}

/// Writes what is pending; `false` if the other side is gone or takes no more within the deadline of a step, which the
/// scenario judges by what was seen.
async fn flush(board: &Board, who: &str, io: &mut OwnedWriteHalf, pending: &mut Vec<u8>) -> bool {
    if pending.is_empty() {
        return true;
    }
    let limit = board.deadline();
    let written = match tokio::time::timeout(limit, io.write_all(pending)).await {
        Ok(written) => written.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the other side takes no more within {limit:?}")),
    };
    pending.clear();
    if let Err(error) = &written {
        board.note(who, &format!("cannot send: {error}"), |_| ());
    }
    written.is_ok()
}

/// Fields in one line.
pub(crate) fn describe(fields: &[Field]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .take(40)
        .map(|(name, value)| format!("{name}: {}", show(value).trim_matches('"')))
        .collect();
    format!("[{}]", fields.join(", "))
}
