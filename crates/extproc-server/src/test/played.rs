//! What has come of a play.

use std::{fmt, time::Duration};

use extproc::{
    ProcessingMode,
    lint::Finding,
    messages::{
        CommonResponse, HeaderMutation, ProcessingResponse, body_mutation::Mutation, common_response,
        processing_response::Response as Reply,
    },
    metadata::DynamicMetadata,
};
use serde_json::Value;

use super::{
    Message,
    message::{Difference, excerpt},
    script::Cut,
};
use crate::{Status, exchange::from_struct};

/// A message of the gateway's that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Which one: `request_headers`, and so on.
    pub kind: &'static str,
    /// How long the gateway has waited for the answer. In FULL_DUPLEX_STREAMED, for the next piece of the body.
    pub time: Duration,
}

/// What has come of a play. Shown, it is the whole exchange; `+` and `-` mark what upstream and client see otherwise than it was
/// sent.
#[derive(Debug)]
pub struct Played {
    pub(super) mode: ProcessingMode,
    pub(super) cut: Cut,
    pub(super) eager: bool,
    /// As the client sent it.
    pub(super) request: Message,
    /// As the upstream sent it.
    pub(super) response: Message,
    pub(super) client: Message,
    pub(super) upstream: Option<Message>,
    pub(super) metadata: DynamicMetadata,
    pub(super) rerouted: u32,
    pub(super) status: Option<Status>,
    pub(super) details: Option<String>,
    pub(super) failed: bool,
    /// What the client sees is the upstream's response.
    pub(super) passed: bool,
    pub(super) hangs: bool,
    pub(super) steps: Vec<Step>,
    /// From when it was due to its end.
    pub(super) took: Duration,
    pub(super) transcript: Vec<(Duration, String)>,
    pub(super) findings: Vec<Finding>,
}

impl Played {
    /// The mode it was played in.
    #[must_use]
    pub fn mode(&self) -> ProcessingMode {
        self.mode
    }

    /// The response as the client sees it.
    #[must_use]
    pub fn client(&self) -> &Message {
        &self.client
    }

    /// The request as the upstream sees it; `None` if it never came there.
    #[must_use]
    pub fn upstream(&self) -> Option<&Message> {
        self.upstream.as_ref()
    }

    /// Dynamic metadata that the processor has set, by namespace.
    #[must_use]
    pub fn metadata(&self, namespace: &str) -> Value {
        self.metadata.namespace(namespace).map(from_struct).unwrap_or_default()
    }

    /// How often the route was chosen again.
    #[must_use]
    pub fn rerouted(&self) -> u32 {
        self.rerouted
    }

    /// The status that the processor has ended the stream with, if it is not OK.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// The response code details of a response that is not the upstream's.
    #[must_use]
    pub fn details(&self) -> Option<&str> {
        self.details.as_deref()
    }

    /// Whether the gateway says that the processor has failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed
    }
}

impl Played {
    /// What went wrong: the exchange hangs, or the gateway would refuse or ignore something. Each is a sentence or two.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let hangs = self.hangs.then(|| "the exchange hangs".to_owned());
        hangs.into_iter().chain(self.findings.iter().map(ToString::to_string)).collect()
    }

    /// The longest that the gateway has waited for an answer.
    #[must_use]
    pub fn slowest(&self) -> Duration {
        self.steps.iter().map(|step| step.time).max().unwrap_or_default()
    }

    /// The messages that were answered, in the order of the answers.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How long all of it has taken.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// How the bodies were cut, and whether messages came as soon as they could.
    #[must_use]
    pub fn schedule(&self) -> String {
        let cut = match self.cut {
            Cut::Whole => "bodies in one piece".to_owned(),
            Cut::Halves => "bodies in two pieces and an end".to_owned(),
            Cut::Bytes => "bodies in single bytes".to_owned(),
            Cut::Pieces(bytes) => format!("bodies in pieces of {bytes} bytes"),
        };
        format!("{cut}, {}", if self.eager { "as soon as possible" } else { "one after the other" })
    }
}

impl fmt::Display for Played {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProcessingMode { request_body_mode, response_body_mode, .. } = self.mode;
        writeln!(formatter, "modes {request_body_mode:?} and {response_body_mode:?}, {}", self.schedule())?;
        for (time, line) in &self.transcript {
            writeln!(formatter, "  {:>6.1} ms  {line}", time.as_secs_f64() * 1000.0)?;
        }
        match &self.upstream {
            Some(message) => {
                let seen = Difference { original: Some(&self.request), message };
                write!(formatter, "the upstream sees\n{seen}")?;
            }
            None => writeln!(formatter, "the upstream sees nothing")?,
        }
        // What the processor says itself is not made of the upstream's response.
        let original = self.passed.then_some(&self.response);
        write!(formatter, "the client sees\n{}", Difference { original, message: &self.client })?;
        self.problems().iter().try_for_each(|problem| writeln!(formatter, "{problem}"))
    }
}

/// A message of a processor in a line.
#[must_use]
pub fn describe(message: &ProcessingResponse) -> String {
    let mut words = Vec::new();
    if let Some(timeout) = &message.override_message_timeout {
        words.push(format!("wants {} ms", timeout.whole_milliseconds()));
    }
    if let Some(mode) = &message.mode_override {
        words.push(format!("wants {mode:?}"));
    }
    if let Some(metadata) = &message.dynamic_metadata {
        words.push(format!("sets metadata {}", from_struct(metadata)));
    }
    if let Some(response) = &message.response {
        words.push(reply(response));
    }
    words.join(", ")
}

/// The kind of a reply, as the message that it answers.
pub(super) fn kind_of_reply(reply: &Reply) -> &'static str {
    match reply {
        Reply::RequestHeaders(_) => "request_headers",
        Reply::ResponseHeaders(_) => "response_headers",
        Reply::RequestBody(_) => "request_body",
        Reply::ResponseBody(_) => "response_body",
        Reply::RequestTrailers(_) => "request_trailers",
        Reply::ResponseTrailers(_) => "response_trailers",
        Reply::ImmediateResponse(_) => "immediate_response",
        Reply::StreamedImmediateResponse(_) => "streamed_immediate_response",
    }
}

fn reply(response: &Reply) -> String {
    match response {
        Reply::RequestHeaders(reply) => format!("request_headers {}", common(reply.response.as_ref())),
        Reply::ResponseHeaders(reply) => format!("response_headers {}", common(reply.response.as_ref())),
        Reply::RequestBody(reply) => format!("request_body {}", common(reply.response.as_ref())),
        Reply::ResponseBody(reply) => format!("response_body {}", common(reply.response.as_ref())),
        Reply::RequestTrailers(reply) => {
            format!("request_trailers {}", mutation(reply.header_mutation.as_ref()))
        }
        Reply::ResponseTrailers(reply) => {
            format!("response_trailers {}", mutation(reply.header_mutation.as_ref()))
        }
        Reply::ImmediateResponse(response) => {
            let status = response.status.map_or(200, |status| status.code);
            let body = excerpt(&response.body);
            format!("immediate_response {status} {} {body}", mutation(response.headers.as_ref()))
        }
        Reply::StreamedImmediateResponse(piece) => format!("streamed_immediate_response {piece:?}"),
    }
}

fn common(common: Option<&CommonResponse>) -> String {
    let Some(common) = common else { return String::new() };
    let mut words = Vec::new();
    if common.status == common_response::CONTINUE_AND_REPLACE {
        words.push("CONTINUE_AND_REPLACE".to_owned());
    }
    words.push(mutation(common.header_mutation.as_ref()));
    match common.body_mutation.as_ref().and_then(|mutation| mutation.mutation.as_ref()) {
        None => {}
        Some(Mutation::Body(body)) => words.push(format!("body {}", excerpt(body))),
        Some(Mutation::ClearBody(_)) => words.push("clear_body".to_owned()),
        Some(Mutation::StreamedResponse(piece)) => {
            let end = if piece.end_of_stream { ", the end" } else { "" };
            words.push(format!("piece {}{end}", excerpt(&piece.body)));
        }
    }
    if common.clear_route_cache {
        words.push("clear_route_cache".to_owned());
    }
    words.retain(|word| !word.is_empty());
    words.join(", ")
}

fn mutation(mutation: Option<&HeaderMutation>) -> String {
    let Some(mutation) = mutation else { return String::new() };
    let set = mutation.set_headers.iter().filter_map(|option| {
        let header = option.header.as_ref()?;
        let verb = if option.append.is_some_and(|append| append.value) { "append" } else { "set" };
        Some(format!("{verb} {}: {}", header.key, String::from_utf8_lossy(&header.raw_value)))
    });
    let removed = mutation.remove_headers.iter().map(|name| format!("remove {name}"));
    set.chain(removed).collect::<Vec<_>>().join(", ")
}
