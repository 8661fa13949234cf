//! Messages at a processor.

use serde_json::Value;

use super::{
    fields::{body, headers, order},
    values,
};
use crate::{
    message::Message,
    scenario::expect::{MessageExpect, PartExpect},
};

/// The first difference of one message, `joined` being looked at by [`sequence`] alone.
pub(crate) fn first_difference(expect: &MessageExpect, got: &Message) -> Option<String> {
    if expect.kind != got.kind {
        return Some(format!("expected {}, got {}", expect.kind, got.describe()));
    }
    let MessageExpect { part, context, without, .. } = expect;
    let names = || got.headers.iter().map(|(name, _)| name);
    let mut found = headers("header", &part.headers, &got.headers);
    found.extend(order(&part.header_order, &got.headers));
    if let Some(expected) = part.header_names.as_ref().filter(|expected| !expected.iter().eq(names())) {
        found.push(format!("expected exactly {expected:?}, got {:?}", names().collect::<Vec<_>>()));
    }
    found.extend(part.body.as_ref().and_then(|expect| body(expect, &got.body)));
    if let Some(end) = part.end_of_stream.filter(|end| *end != got.end_of_stream) {
        found.push(format!("expected end_of_stream {end}"));
    }
    for (name, expect) in context {
        let got = got.context.get(name).unwrap_or(&Value::Null);
        found.extend(values::difference(name, &expect.0, got));
    }
    let present = without.iter().filter(|name| got.context.contains_key(*name));
    found.extend(present.map(|name| format!("expected no {name}")));
    found.into_iter().next().map(|difference| format!("{}: {difference}", expect.kind))
}

/// Compares all messages of a stream; an entry with `joined` takes as many body messages as follow each other.
pub(crate) fn sequence(expect: &[MessageExpect], got: &[Message]) -> Vec<String> {
    let mut rest = got;
    let mut differences = Vec::new();
    for (number, expect) in expect.iter().enumerate() {
        let joins = expect.part.joined.is_some();
        let run = rest.iter().take_while(|message| message.kind == expect.kind).count();
        let take = if joins { run.max(1) } else { 1 };
        if rest.is_empty() {
            differences.push(format!("message {}: expected {}, got nothing", number + 1, expect.kind));
            break;
        }
        let (now, later) = rest.split_at(take.min(rest.len()));
        rest = later;
        let found = if joins { joined(expect, now) } else { first_difference(expect, &now[0]) };
        differences.extend(found.map(|difference| format!("message {}: {difference}", number + 1)));
    }
    differences.extend(rest.iter().map(|message| format!("unexpected message {}", message.describe())));
    differences
}

fn joined(expect: &MessageExpect, got: &[Message]) -> Option<String> {
    let mut whole = got[0].clone();
    whole.body = got.iter().flat_map(|message| message.body.iter().copied()).collect();
    whole.end_of_stream = got.last().is_some_and(|message| message.end_of_stream);
    let part = PartExpect { body: expect.part.joined.clone(), joined: None, ..expect.part.clone() };
    first_difference(&MessageExpect { part, ..expect.clone() }, &whole)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expect(value: Value) -> Vec<MessageExpect> {
        serde_json::from_value(value).expect("messages")
    }

    fn body_message(bytes: &str, end_of_stream: bool) -> Message {
        Message {
            kind: "request_body".to_owned(),
            body: bytes.as_bytes().to_vec(),
            end_of_stream,
            ..Message::default()
        }
    }

    #[test]
    fn sequences_are_exact() {
        let got = [body_message("ab", false), body_message("c", true)];
        assert!(
            sequence(
                &expect(json!([{"request_body": "ab"}, {"request_body": {"end_of_stream": true}}])),
                &got
            )
            .is_empty()
        );
        assert_eq!(sequence(&expect(json!([{"request_body": "ab"}])), &got).len(), 1);
        assert_eq!(sequence(&expect(json!(["request_headers", "request_body"])), &got).len(), 1);
        assert_eq!(
            sequence(&expect(json!(["request_body", "request_body", "request_trailers"])), &got).len(),
            1
        );
    }

    #[test]
    fn joined_takes_a_run() {
        let got = [body_message("ab", false), body_message("c", true)];
        let whole = expect(json!([{"request_body": {"joined": "abc", "end_of_stream": true}}]));
        assert!(sequence(&whole, &got).is_empty());
        let wrong = expect(json!([{"request_body": {"joined": "abd"}}]));
        assert_eq!(sequence(&wrong, &got).len(), 1);
    }

    #[test]
    fn context() {
        let mut message = body_message("", false);
        message.context.insert("attributes".to_owned(), json!({"a": {"b": "c"}}));
        let fits = expect(
            json!([{"request_body": null, "attributes": {"a": {"b": "c"}}, "without": ["protocol_config"]}]),
        );
        assert!(first_difference(&fits[0], &message).is_none());
        let wrong = expect(json!([{"request_body": null, "without": ["attributes"]}]));
        assert!(first_difference(&wrong[0], &message).is_some());
    }
}
