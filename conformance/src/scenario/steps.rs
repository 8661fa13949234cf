//! Scripts: what client, upstream and processor do, step by step.

use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use serde_json::{Value, json};

use super::{
    condition::Condition,
    expect::MessageExpect,
    reply::Reply,
    text::{Fields, Payload, Span},
};

/// Reads a step; a bare word is a flag, so `- end` means `- {end: true}`.
fn step<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let value = match Value::deserialize(deserializer)? {
        Value::String(word) => json!({ word: true }),
        other => other,
    };
    serde_json::from_value(value).map_err(D::Error::custom)
}

/// What every step of every party can do before it acts, in this order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pause {
    /// Wait until all of these hold.
    pub wait_for: Vec<Condition>,
    /// Fail if this becomes true within 100 ms.
    pub not_yet: Option<Condition>,
    /// Let time pass; only where time is the subject.
    pub delay: Option<Span>,
    /// Publish a signal others can wait for.
    pub signal: Option<String>,
}

/// One value or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Condition>, D::Error> {
    let texts = match OneOrMany::<String>::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    };
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
}

/// One step of the client or of the upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct SendStep {
    /// What to wait for first.
    pub pause: Pause,
    /// The action, if the step has one.
    pub action: Option<SendAction>,
}

/// What a client or an upstream can do on its connection.
#[derive(Clone, Debug)]
pub(crate) enum SendAction {
    /// Send the message head (request line or status line, and headers).
    Head,
    /// Upstream only: send an informational (1xx) head.
    Informational(u16, Fields),
    /// Send a piece of body (one chunk when chunked, one DATA frame in HTTP/2).
    Body(Payload),
    /// End the message: the last chunk with the trailers, END_STREAM.
    End,
    /// Send bytes as they are (HTTP/1.1 only).
    Raw(Payload),
    /// Close the sending half.
    HalfClose,
    /// Close the connection (HTTP/2: reset the stream with NO_ERROR).
    Close,
    /// Reset the connection (HTTP/2: reset the stream with CANCEL).
    Reset,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSendStep {
    #[serde(default, deserialize_with = "one_or_many")]
    wait_for: Vec<Condition>,
    not_yet: Option<Condition>,
    delay: Option<Span>,
    signal: Option<String>,
    #[serde(default)]
    head: bool,
    informational: Option<u16>,
    headers: Option<Fields>,
    body: Option<Payload>,
    #[serde(default)]
    end: bool,
    raw: Option<Payload>,
    #[serde(default)]
    half_close: bool,
    #[serde(default)]
    close: bool,
    #[serde(default)]
    reset: bool,
}

impl<'de> Deserialize<'de> for SendStep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: RawSendStep = step(deserializer)?;
        let mut actions = Vec::new();
        let mut flag = |set: bool, action: SendAction| {
            if set {
                actions.push(action);
            }
        };
        flag(raw.head, SendAction::Head);
        flag(raw.end, SendAction::End);
        flag(raw.half_close, SendAction::HalfClose);
        flag(raw.close, SendAction::Close);
        flag(raw.reset, SendAction::Reset);
        if let Some(code) = raw.informational {
            actions.push(SendAction::Informational(code, raw.headers.unwrap_or_default()));
        }
        actions.extend(raw.body.map(SendAction::Body));
        actions.extend(raw.raw.map(SendAction::Raw));
        if actions.len() > 1 {
            return Err(D::Error::custom("a step sends one thing: head, body, end, raw, close or reset"));
        }
        let pause =
            Pause { wait_for: raw.wait_for, not_yet: raw.not_yet, delay: raw.delay, signal: raw.signal };
        Ok(Self { pause, action: actions.pop() })
    }
}

/// One step of a processor on one stream: an optional expected message, pauses, then an action.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessorStep {
    /// The next message must be this.
    pub expect: Option<MessageExpect>,
    /// What to wait for after it.
    pub pause: Pause,
    /// The action, if the step has one.
    pub action: Option<ProcessorAction>,
}

/// What a processor can do on its stream.
#[derive(Clone, Debug)]
pub(crate) enum ProcessorAction {
    /// Send these replies, all of them in one DATA frame.
    Reply(Vec<Reply>),
    /// Answer every message from here on with the "continue unchanged" reply of its kind.
    Auto,
    /// Send the response head: by default status 200 and `content-type: application/grpc`.
    Answer(Answer),
    /// Send raw bytes in a DATA frame.
    Data(Payload),
    /// End the stream with this gRPC status.
    Close(GrpcClose),
    /// Reset the stream with this HTTP/2 error code.
    Reset(u32),
    /// Drop the whole TCP connection.
    Disconnect,
    /// Wait until the gateway has ended the stream (half-close or reset).
    AwaitEnd,
    /// Wait until the gateway has reset the stream, after a half-close or without one.
    AwaitReset,
    /// Do not read the body of the stream any further (flow control closes).
    StopReading,
}

/// Response head of the processor's stream.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// HTTP status.
    #[serde(default = "status_ok")]
    pub status: u16,
    /// Headers, instead of `content-type: application/grpc`.
    pub headers: Option<Fields>,
    /// A body, sent in one DATA frame.
    pub body: Option<Payload>,
    /// END_STREAM after it, without any trailers.
    #[serde(default)]
    pub end: bool,
}

fn status_ok() -> u16 {
    200
}

/// How a processor ends its stream.
#[derive(Clone, Debug)]
pub(crate) struct GrpcClose {
    /// `grpc-status` as written on the wire; `None` sends trailers without it.
    pub status: Option<String>,
    /// `grpc-message`, if any.
    pub message: Option<String>,
    /// Further trailers.
    pub trailers: Fields,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawClose {
    Word(String),
    Code(i64),
    Full(FullClose),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FullClose {
    status: Option<Value>,
    message: Option<String>,
    #[serde(default)]
    trailers: Fields,
}

impl TryFrom<RawClose> for GrpcClose {
    type Error = String;

    fn try_from(raw: RawClose) -> Result<Self, String> {
        let (status, message, trailers) = match raw {
            RawClose::Word(word) if word == "ok" => (Some("0".to_owned()), None, Fields::default()),
            RawClose::Word(word) => {
                return Err(format!("close: ok, a code or {{status, message}}; got {word:?}"));
            }
            RawClose::Code(code) => (Some(code.to_string()), None, Fields::default()),
            RawClose::Full(full) => {
                let status = full.status.map(|status| match status {
                    Value::String(text) => text,
                    other => other.to_string(),
                });
                (status, full.message, full.trailers)
            }
        };
        Ok(Self { status, message, trailers })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProcessorStep {
    expect: Option<MessageExpect>,
    #[serde(default, deserialize_with = "one_or_many")]
    wait_for: Vec<Condition>,
    not_yet: Option<Condition>,
    delay: Option<Span>,
    signal: Option<String>,
    reply: Option<Reply>,
    replies: Option<Vec<Reply>>,
    #[serde(default)]
    auto: bool,
    answer: Option<Answer>,
    data: Option<Payload>,
    close: Option<RawClose>,
    reset: Option<String>,
    #[serde(default)]
    disconnect: bool,
    #[serde(default)]
    await_end: bool,
    #[serde(default)]
    await_reset: bool,
    #[serde(default)]
    stop_reading: bool,
}

impl<'de> Deserialize<'de> for ProcessorStep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: RawProcessorStep = step(deserializer)?;
        let mut actions = Vec::new();
        actions.extend(raw.reply.map(|reply| ProcessorAction::Reply(vec![reply])));
        actions.extend(raw.replies.map(ProcessorAction::Reply));
        actions.extend(raw.answer.map(ProcessorAction::Answer));
        actions.extend(raw.data.map(ProcessorAction::Data));
        if let Some(close) = raw.close {
            actions.push(ProcessorAction::Close(close.try_into().map_err(D::Error::custom)?));
        }
        if let Some(name) = raw.reset {
            actions.push(ProcessorAction::Reset(reset_code(&name).map_err(D::Error::custom)?));
        }
        let flags = [
            (raw.auto, ProcessorAction::Auto),
            (raw.disconnect, ProcessorAction::Disconnect),
            (raw.await_end, ProcessorAction::AwaitEnd),
            (raw.await_reset, ProcessorAction::AwaitReset),
            (raw.stop_reading, ProcessorAction::StopReading),
        ];
        actions.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, action)| action));
        if actions.len() > 1 {
            return Err(D::Error::custom(
                "a processor step has one action: reply, replies, answer, data, close...",
            ));
        }
        let pause =
            Pause { wait_for: raw.wait_for, not_yet: raw.not_yet, delay: raw.delay, signal: raw.signal };
        Ok(Self { expect: raw.expect, pause, action: actions.pop() })
    }
}

/// HTTP/2 error codes by their RFC 9113 names.
fn reset_code(name: &str) -> Result<u32, String> {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    NAMES
        .iter()
        .position(|known| *known == name)
        .and_then(|at| u32::try_from(at).ok())
        .ok_or_else(|| format!("reset takes an HTTP/2 error code name such as CANCEL, got {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_flags_and_a_step_acts_once() {
        let end: SendStep = serde_json::from_value(json!("end")).expect("word");
        assert!(matches!(end.action, Some(SendAction::End)));
        let wait: SendStep =
            serde_json::from_value(json!({"wait_for": "upstream head", "body": "x"})).expect("map");
        assert_eq!(wait.pause.wait_for.len(), 1);
        assert!(serde_json::from_value::<SendStep>(json!({"body": "x", "end": true})).is_err());
        assert!(serde_json::from_value::<SendStep>(json!("nonsense")).is_err());
    }

    #[test]
    fn processor_closes_and_resets() {
        let close: ProcessorStep =
            serde_json::from_value(json!({"close": {"status": 14, "message": "x y"}})).expect("close");
        assert!(
            matches!(close.action, Some(ProcessorAction::Close(GrpcClose { status: Some(s), .. })) if s == "14")
        );
        let reset: ProcessorStep = serde_json::from_value(json!({"reset": "CANCEL"})).expect("reset");
        assert!(matches!(reset.action, Some(ProcessorAction::Reset(8))));
        assert!(serde_json::from_value::<ProcessorStep>(json!({"reset": "cancel"})).is_err());
        assert!(serde_json::from_value::<ProcessorStep>(json!({"close": "no"})).is_err());
    }
}
