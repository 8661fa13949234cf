//! Compares what was seen with what was expected. Every function returns differences in words.

use std::time::Duration;

use crate::{
    board::{End, SideEnd, State, StreamSeen, UpstreamSeen},
    scenario::{
        Scenario,
        expect::{
            ClientEnd, ClientExpect, ProcessorExpect, StreamEnd, StreamExpect, UpstreamEnd, UpstreamExpect,
            UpstreamRequest,
        },
        text::{Field, Payload, from_latin1, show},
    },
};

pub(crate) mod fields;
pub(crate) mod messages;
pub(crate) mod values;

use fields::{body, headers, order};

/// All differences of client, upstreams and processors.
pub(crate) fn all(scenario: &Scenario, state: &State, started: std::time::Instant) -> Vec<String> {
    let mut differences = state.failures.clone();
    let mut add = |who: &str, found: Vec<String>| {
        differences.extend(found.into_iter().map(|difference| format!("{who}: {difference}")));
    };
    let expect = &scenario.expect;
    add("client", client(&expect.client, state, started));
    if !expect.before.is_empty() && expect.before != state.before {
        add("client", vec![format!("expected statuses {:?} before, got {:?}", expect.before, state.before)]);
    }
    let upstreams = expect.upstreams.iter().map(|(name, expect)| (name.as_str(), expect));
    for (name, expect) in expect.upstream.iter().map(|expect| ("upstream", expect)).chain(upstreams) {
        add(name, upstream(expect, state, name));
    }
    for (name, seen) in &state.upstreams {
        let expected = if name == "upstream" { expect.upstream.as_ref() } else { expect.upstreams.get(name) };
        add(name, request_end(expected, seen).into_iter().collect());
    }
    let listed = if expect.processors.is_empty() {
        expect.processor.clone().into_iter().collect()
    } else {
        expect.processors.clone()
    };
    let scripts = scenario.processors();
    for (number, seen) in state.processors.iter().enumerate() {
        let none = ProcessorExpect::default();
        let expect = listed.get(number).unwrap_or(&none);
        let who = if number == 0 { "processor".to_owned() } else { format!("processor{}", number + 1) };
        add(&who, processor(expect, &seen.streams));
        if scripts.get(number).is_some_and(|script| script.never) && !seen.streams.is_empty() {
            add(&who, vec![format!("expected no stream, got {}", seen.streams.len())]);
        }
    }
    differences
}

fn client(expect: &ClientExpect, state: &State, started: std::time::Instant) -> Vec<String> {
    let seen = &state.client;
    let mut differences = Vec::new();
    let end = match (&seen.end, &seen.head) {
        (None | Some((End::Cut(_), _)), _) if seen.left => ClientEnd::Left,
        (None, _) => ClientEnd::Hangs,
        (Some((End::Complete, _)), _) => ClientEnd::Complete,
        (Some((End::Cut(_), _)), None) => ClientEnd::NoResponse,
        (Some((End::Cut(_), _)), Some(_)) => ClientEnd::Cut,
    };
    if end != expect.end {
        differences.push(format!("expected end {:?}, got {end:?}", expect.end));
    }
    let default = matches!(expect.end, ClientEnd::Complete | ClientEnd::Cut).then_some(200);
    match (expect.status.or(default), &seen.head) {
        (Some(status), Some((got, _))) if status != *got => {
            differences.push(format!("expected status {status}, got {got}"));
        }
        (Some(status), None) => differences.push(format!("expected status {status}, got no response")),
        _ => {}
    }
    let none = Vec::new();
    let got = seen.head.as_ref().map_or(&none, |(_, fields)| fields);
    differences.extend(headers("header", &expect.headers, got));
    differences.extend(order(&expect.header_order, got));
    differences.extend(expect.body.as_ref().and_then(|expect| body(expect, &seen.body.bytes)));
    differences.extend(chunks(expect.chunks.as_deref(), &seen.body.chunks));
    differences.extend(headers("trailer", &expect.trailers, &seen.trailers));
    if let Some(statuses) = expect.informational.as_ref().filter(|statuses| **statuses != seen.informational)
    {
        differences.push(format!("expected informational {statuses:?}, got {:?}", seen.informational));
    }
    if let Some(closed) = expect.connection_closed.filter(|closed| *closed != seen.closed) {
        differences.push(format!("expected connection_closed {closed}"));
    }
    let took = seen.end.as_ref().map(|(_, at)| at.duration_since(started));
    let late = |limit: Duration| took.is_none_or(|took| took > limit);
    if let Some(limit) = expect.within.filter(|limit| late(limit.0)) {
        differences.push(format!("expected the end within {:?}, it took {took:?}", limit.0));
    }
    if let Some(limit) = expect.after.filter(|limit| !late(limit.0)) {
        differences.push(format!("expected the end after {:?}, it took {took:?}", limit.0));
    }
    differences
}

fn chunks(expect: Option<&[Payload]>, got: &[Vec<u8>]) -> Option<String> {
    let expect = expect?;
    if expect.iter().map(|payload| &payload.0).eq(got.iter()) {
        return None;
    }
    let list = |all: &mut dyn Iterator<Item = &Vec<u8>>| all.map(|b| show(b)).collect::<Vec<_>>().join(", ");
    let expected = list(&mut expect.iter().map(|payload| &payload.0));
    Some(format!("expected chunks [{expected}], got [{}]", list(&mut got.iter())))
}

fn upstream(expect: &UpstreamExpect, state: &State, name: &str) -> Vec<String> {
    let requests = state.upstreams.get(name).map_or(&[][..], |seen| &seen.requests);
    let expect = match expect {
        UpstreamExpect::NotContacted if requests.is_empty() => return Vec::new(),
        UpstreamExpect::NotContacted => return vec![format!("expected no request, got {}", requests.len())],
        UpstreamExpect::Request(expect) => expect,
    };
    let mut differences = Vec::new();
    if let Some(count) = expect.requests.filter(|count| *count != requests.len()) {
        differences.push(format!("expected {count} requests, got {}", requests.len()));
    }
    match requests.last() {
        None if expect.requests == Some(0) => {}
        None => differences.push("expected a request, got none".to_owned()),
        Some(seen) => differences.extend(upstream_request(expect, seen)),
    }
    differences
}

/// How the last request ended: completely, also where nothing is said about it. (Earlier ones belong to attempts that may
/// have been given up.)
fn request_end(expect: Option<&UpstreamExpect>, seen: &UpstreamSeen) -> Option<String> {
    let expect = match expect {
        Some(UpstreamExpect::Request(request)) => request.end,
        // Said already.
        Some(UpstreamExpect::NotContacted) => Some(UpstreamEnd::Any),
        None => None,
    };
    let request = seen.requests.last()?;
    let end = match request.end {
        None => UpstreamEnd::Open,
        Some(End::Complete) => UpstreamEnd::Complete,
        Some(End::Cut(_)) => UpstreamEnd::Cut,
    };
    let expected = match expect {
        Some(expect) => expect,
        // The script of the upstream itself left before the end.
        None if request.left => UpstreamEnd::Any,
        None => UpstreamEnd::Complete,
    };
    (expected != UpstreamEnd::Any && expected != end)
        .then(|| format!("expected the request to end {expected:?}, got {end:?}"))
}

fn upstream_request(expect: &UpstreamRequest, seen: &crate::board::RequestSeen) -> Vec<String> {
    let mut differences = Vec::new();
    if let Some(method) = expect.method.as_ref().filter(|method| **method != seen.method) {
        differences.push(format!("expected method {method}, got {}", seen.method));
    }
    if let Some(path) = expect.path.as_ref().filter(|path| **path != seen.path) {
        differences.push(format!("expected path {path}, got {}", seen.path));
    }
    differences.extend(headers("header", &expect.headers, &seen.headers));
    differences.extend(order(&expect.header_order, &seen.headers));
    differences.extend(expect.body.as_ref().and_then(|expect| body(expect, &seen.body.bytes)));
    differences.extend(chunks(expect.chunks.as_deref(), &seen.body.chunks));
    differences.extend(headers("trailer", &expect.trailers, &seen.trailers));
    if expect.after_end.0 != seen.after_end {
        let (expected, got) = (show(&expect.after_end.0), show(&seen.after_end));
        differences.push(format!("expected {expected} behind the request, got {got}"));
    }
    if let Some(cut) = expect.response_cut.filter(|cut| *cut != seen.response_cut) {
        differences.push(format!("expected response_cut {cut}"));
    }
    differences
}

fn processor(expect: &ProcessorExpect, streams: &[StreamSeen]) -> Vec<String> {
    let mut differences = Vec::new();
    if let Some(count) = expect.streams.filter(|count| *count != streams.len()) {
        differences.push(format!("expected {count} streams, got {}", streams.len()));
    }
    let mut expected = expect.each.clone();
    let first_given = expect.messages.is_some() || expect.end.is_some() || !expect.grpc_headers.0.is_empty();
    if expected.is_empty() && first_given {
        expected.push(StreamExpect {
            messages: expect.messages.clone(),
            end: expect.end,
            grpc_headers: expect.grpc_headers.clone(),
        });
    }
    if expected.len() > streams.len() && expect.streams.is_none() {
        differences.push(format!("expected {} streams, got {}", expected.len(), streams.len()));
    }
    for (number, seen) in streams.iter().enumerate() {
        let none = StreamExpect::default();
        let expect = expected.get(number).unwrap_or(&none);
        let found = stream(expect, seen);
        differences
            .extend(found.into_iter().map(|difference| format!("stream {}: {difference}", number + 1)));
    }
    differences
}

fn stream(expect: &StreamExpect, seen: &StreamSeen) -> Vec<String> {
    let mut differences = headers("gRPC header", &expect.grpc_headers, &seen.headers);
    match &expect.messages {
        Some(expected) => differences.extend(messages::sequence(expected, &seen.messages)),
        None => {
            if let Some(extra) = seen.expected.and_then(|count| seen.messages.get(count)) {
                differences.push(format!("a message beyond the script: {}", extra.describe()));
            }
        }
    }
    let fits = matches!(
        (expect.end, &seen.end),
        (Some(StreamEnd::Open), None)
            | (None, Some(_))
            | (Some(StreamEnd::Closed), Some(SideEnd::HalfClosed | SideEnd::Reset(_)))
            | (Some(StreamEnd::HalfClosed), Some(SideEnd::HalfClosed))
            | (Some(StreamEnd::Reset), Some(SideEnd::Reset(_)))
            | (Some(StreamEnd::ByProcessor), Some(SideEnd::ByProcessor))
    );
    if !fits {
        let expected = expect.end.map_or_else(|| "an end".to_owned(), |end| format!("{end:?}"));
        differences.push(format!("expected {expected}, got {:?}", seen.end));
    }
    if !seen.script_done {
        differences.push("the script did not come to its end".to_owned());
    }
    differences
}

/// Values of one name, for messages to people.
fn values_of(name: &str, got: &[Field]) -> Vec<String> {
    got.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| from_latin1(value)).collect()
}

#[cfg(test)]
mod tests;
