//! Recorded exchanges, played to another build of the processor.

use std::{fmt::Write, io, path::Path, time::Duration};

use extproc_server::{
    raw::messages::{
        CommonResponse, ProcessingResponse, StreamedBodyResponse, body_mutation::Mutation,
        processing_response::Response,
    },
    test::{Connection, RemoteExchange, describe},
};
use serde_json::json;
use tokio::time::timeout;

use super::{Outcome, connect::Connector};
use crate::recording::{self, Recorded, Said};

/// What has come of all exchanges.
#[derive(Debug)]
pub(super) struct Replay {
    played: usize,
    /// Of which messages are missing.
    left_out: usize,
    differences: Vec<Difference>,
}

/// An exchange with other answers than those recorded.
#[derive(Debug)]
struct Difference {
    /// The line of the file.
    line: usize,
    processor: String,
    recorded: Vec<String>,
    now: Vec<String>,
}

/// Plays all of a file, one exchange after the other.
pub(super) async fn replay(path: &Path, connector: &Connector<'_>, patience: Duration) -> io::Result<Replay> {
    let recorded = recording::read(path).map_err(io::Error::other)?;
    let connection = connector.connect().await?;
    let mut replay = Replay { played: 0, left_out: 0, differences: Vec::new() };
    for (index, exchange) in recorded.iter().enumerate() {
        if exchange.truncated {
            replay.left_out += 1;
            continue;
        }
        replay.played += 1;
        let (before, now) = (Answers::recorded(exchange), play(&connection, exchange, patience).await);
        if before != now {
            let (recorded, now) = (before.lines(&now), now.lines(&before));
            let processor = exchange.processor.clone();
            replay.differences.push(Difference { line: index + 2, processor, recorded, now });
        }
    }
    Ok(replay)
}

/// The processor's side of an exchange.
#[derive(Debug, Default, PartialEq)]
struct Answers {
    /// About the request, about the response, and its own. How they lie between each other is chance.
    said: [Vec<ProcessingResponse>; 3],
    end: End,
}

#[derive(Debug, Default, PartialEq)]
enum End {
    /// With OK, or when the gateway ended it.
    #[default]
    Well,
    Status(i32),
    /// Nothing more was said, and something was awaited.
    Silence,
}

impl Answers {
    fn recorded(exchange: &Recorded) -> Self {
        let mut answers = Self::default();
        for message in &exchange.messages {
            if let Said::Processor(reply) = message {
                answers.add(reply.clone());
            }
        }
        if let Some(status) = exchange.status.filter(|status| *status != 0) {
            answers.end = End::Status(status);
        }
        answers
    }

    /// Pieces of a body become one: where they begin and end is chance, too.
    fn add(&mut self, mut reply: ProcessingResponse) {
        let place = match &reply.response {
            Some(Response::RequestHeaders(_) | Response::RequestBody(_) | Response::RequestTrailers(_)) => 0,
            Some(
                Response::ResponseHeaders(_) | Response::ResponseBody(_) | Response::ResponseTrailers(_),
            ) => 1,
            _ => 2,
        };
        let said = &mut self.said[place];
        let last = said.pop();
        if let Some(mut last) = last {
            match (piece(&mut last), piece(&mut reply)) {
                (Some(before), Some(more)) if !before.end_of_stream => {
                    before.body = [&before.body[..], &more.body].concat().into();
                    before.end_of_stream = more.end_of_stream;
                    said.push(last);
                    return;
                }
                _ => said.push(last),
            }
        }
        said.push(reply);
    }

    /// Whether nothing is missing that `before` has.
    fn reach(&self, before: &Self) -> bool {
        let finished =
            |said: &[ProcessingResponse]| said.len() - usize::from(said.last().is_some_and(is_unfinished));
        self.said.iter().zip(&before.said).all(|(now, before)| finished(now) >= finished(before))
    }

    /// In words; with everything that there is where words do not show a difference to `other`.
    fn lines(&self, other: &Self) -> Vec<String> {
        let words = |answers: &Self| answers.said.iter().flatten().map(describe).collect::<Vec<_>>();
        let mut lines = words(self);
        if lines == words(other) && self.said != other.said {
            lines = self.said.iter().flatten().map(|reply| format!("{reply:?}")).collect();
        }
        match &self.end {
            End::Well => {}
            End::Status(code) => lines.push(format!("ends the stream with the gRPC status {code}")),
            End::Silence => lines.push("says nothing more".to_owned()),
        }
        lines
    }
}

/// A piece of a body, if the reply is nothing else.
fn piece(reply: &mut ProcessingResponse) -> Option<&mut StreamedBodyResponse> {
    if reply.dynamic_metadata.is_some() || reply.mode_override.is_some() {
        return None;
    }
    let Some(Response::RequestBody(body) | Response::ResponseBody(body)) = &mut reply.response else {
        return None;
    };
    let common = body.response.as_mut()?;
    let CommonResponse { header_mutation: None, body_mutation: Some(mutation), .. } = common else {
        return None;
    };
    match &mut mutation.mutation {
        Some(Mutation::StreamedResponse(piece)) => Some(piece),
        _ => None,
    }
}

/// Sends what the gateway has sent, each message when the processor has said what it had said before.
async fn play(connection: &Connection, recorded: &Recorded, patience: Duration) -> Answers {
    let mut exchange = connection.open();
    let (mut answers, mut before) = (Answers::default(), Answers::default());
    for message in &recorded.messages {
        match message {
            // A processor may put pieces together in another way, and wait for more before it gives some.
            Said::Processor(reply) if is_unfinished(reply) => {}
            Said::Processor(reply) => before.add(reply.clone()),
            Said::Gateway(request) => {
                if !wait(&mut exchange, &mut answers, Some(&before), patience).await {
                    return answers;
                }
                exchange.send(request).await;
            }
        }
    }
    let all = wait(&mut exchange, &mut answers, Some(&before), patience).await;
    // What it says after that counts only if it was the processor that ended the stream then.
    if all && recorded.status.is_some() {
        exchange.close();
        wait(&mut exchange, &mut answers, None, patience).await;
    }
    answers
}

/// Takes answers until there are as many as `before`, or until the end. False if there will be none any more.
async fn wait(
    exchange: &mut RemoteExchange,
    answers: &mut Answers,
    before: Option<&Answers>,
    patience: Duration,
) -> bool {
    while before.is_none_or(|before| !answers.reach(before)) {
        match timeout(patience, exchange.next()).await {
            Ok(Some(Ok(reply))) => answers.add(reply),
            Ok(Some(Err(status))) => {
                answers.end = End::Status(status.code() as i32);
                return false;
            }
            Ok(None) => return false,
            Err(_) => {
                answers.end = End::Silence;
                return false;
            }
        }
    }
    true
}

/// A piece of a body that more follow.
fn is_unfinished(reply: &ProcessingResponse) -> bool {
    piece(&mut reply.clone()).is_some_and(|piece| !piece.end_of_stream)
}

impl Replay {
    fn summary(&self) -> String {
        let mut text = format!("{} exchanges, {} with other answers", self.played, self.differences.len());
        if self.left_out > 0 {
            let _ = write!(text, "; {} left out, of which the recording has a part only", self.left_out);
        }
        text
    }
}

impl Outcome for Replay {
    fn text(&self) -> String {
        let mut text = String::new();
        for difference in &self.differences {
            let _ = writeln!(text, "line {}, {}", difference.line, difference.processor);
            text += &difference.text();
        }
        text + &self.summary() + "\n"
    }

    fn markdown(&self) -> String {
        let mut text = format!("{}.\n", self.summary());
        for difference in &self.differences {
            let Difference { line, processor, .. } = difference;
            let _ = write!(text, "\n## Line {line}, {processor}\n\n```diff\n{}```\n", difference.text());
        }
        text
    }

    fn has_problems(&self) -> bool {
        !self.differences.is_empty()
    }

    fn json(&self) -> String {
        let differences = self.differences.iter().map(|difference| {
            json!({
                "line": difference.line,
                "processor": difference.processor,
                "recorded": difference.recorded,
                "now": difference.now,
            })
        });
        let document = json!({
            "exchanges": self.played,
            "left_out": self.left_out,
            "differences": differences.collect::<Vec<_>>(),
        });
        format!("{document:#}\n")
    }
}

impl Difference {
    /// What is the same at the beginning and at the end, and between them what was recorded and what is said now.
    fn text(&self) -> String {
        let Self { recorded, now, .. } = self;
        let same = recorded.iter().zip(now).take_while(|(before, now)| before == now).count();
        let (recorded, now) = (&recorded[same..], &now[same..]);
        let rest =
            recorded.iter().rev().zip(now.iter().rev()).take_while(|(before, now)| before == now).count();
        let (before, after) = recorded.split_at(recorded.len() - rest);
        let lines = |sign: char, lines: &[String]| {
            lines.iter().map(|line| format!("{sign} {line}\n")).collect::<String>()
        };
        [
            lines(' ', &self.recorded[..same]),
            lines('-', before),
            lines('+', &now[..now.len() - rest]),
            lines(' ', after),
        ]
        .concat()
    }
}
