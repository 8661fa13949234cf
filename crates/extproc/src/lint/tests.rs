//! Each rule, offended once. That what is right offends none is a property of [`session`](crate::session).

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;

use super::*;
use crate::{
    BodySendMode,
    messages::{
        self, BodyMutation, CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption,
        ImmediateResponse, StreamedImmediateResponse, body_mutation::Mutation,
        common_response::CONTINUE_AND_REPLACE,
    },
    sim::{
        World, bodies, body, body_reply, continue_headers, duplex_reply, headers_reply, plan, streamed_head,
        streamed_piece, trailers_reply,
    },
};

const REQUEST: Direction = Direction::Request;

/// A gateway, and what is found.
struct Reader {
    world: World,
    lint: Lint,
    read: usize,
    found: Vec<Finding>,
}

impl Reader {
    fn new(plan: Plan) -> Self {
        Self { lint: Lint::new(&plan), world: World::new(plan), read: 0, found: Vec::new() }
    }

    /// A POST with a head of 4 bytes to come, in a mode.
    fn begun(mode: BodySendMode) -> Self {
        Self::of(Plan { ..plan(bodies(mode)) })
    }

    fn of(plan: Plan) -> Self {
        let mut reader = Self::new(plan);
        let fields = &mut reader.world.transaction.messages.request.fields;
        fields.insert("content-length", "4".parse().expect("a value"));
        reader.world.headers(REQUEST, false);
        reader
    }

    fn says(&mut self, message: &ProcessingResponse) -> &mut Self {
        for message in &self.world.sent[self.read..] {
            self.lint.sent(message);
        }
        self.read = self.world.sent.len();
        self.found.extend(self.lint.received(message));
        if self.world.is_open() {
            self.world.message(message);
        }
        self
    }

    fn replies(&mut self, response: Response) -> &mut Self {
        self.says(&ProcessingResponse { response: Some(response), ..Default::default() })
    }

    fn body(&mut self, end: bool) -> &mut Self {
        self.world.data(REQUEST, b"body", end);
        self
    }

    fn ends(&mut self) -> &mut Self {
        for message in &self.world.sent[self.read..] {
            self.lint.sent(message);
        }
        self.found.extend(self.lint.ended());
        self
    }

    fn rules(&self) -> Vec<Rule> {
        self.found.iter().map(|finding| finding.rule).collect()
    }
}

fn set(key: &str, value: &'static str) -> HeaderMutation {
    let raw_value = Bytes::from_static(value.as_bytes());
    let header = Some(HeaderValue { key: key.to_owned(), raw_value, ..Default::default() });
    let option = HeaderValueOption { header, ..Default::default() };
    HeaderMutation { set_headers: vec![option], ..Default::default() }
}

fn with_headers(mutation: HeaderMutation) -> CommonResponse {
    CommonResponse { header_mutation: Some(mutation), ..Default::default() }
}

/// What offends each rule.
fn offences() -> Vec<(Rule, Reader)> {
    use BodySendMode::{Buffered, FullDuplexStreamed, None, Streamed};
    let mut all = Vec::new();
    let mut offends = |rule, mut reader: Reader, what: &dyn Fn(&mut Reader)| {
        what(&mut reader);
        all.push((rule, reader));
    };
    let headers = || continue_headers(REQUEST);
    let head = |common| headers_reply(REQUEST, common);
    offends(Rule::WrongKind, Reader::begun(None), &|reader| {
        reader.replies(body_reply(REQUEST, Option::None));
    });
    offends(Rule::SecondReply, Reader::begun(Buffered), &|reader| {
        reader.replies(headers()).replies(headers());
    });
    offends(Rule::MissingReply, Reader::begun(None), &|reader| {
        reader.ends();
    });
    offends(Rule::Unfinished, Reader::begun(FullDuplexStreamed), &|reader| {
        reader.replies(headers()).body(true).replies(duplex_reply(REQUEST, b"body", false)).ends();
    });
    offends(Rule::BehindTheEnd, Reader::begun(FullDuplexStreamed), &|reader| {
        reader.replies(headers()).body(false).replies(duplex_reply(REQUEST, b"b", true));
        reader.replies(duplex_reply(REQUEST, b"ody", true));
    });
    offends(Rule::EmptyMessage, Reader::begun(None), &|reader| {
        reader.says(&ProcessingResponse::default());
    });
    offends(Rule::AfterTheEnd, Reader::begun(None), &|reader| {
        reader.replies(Response::ImmediateResponse(ImmediateResponse::default())).replies(headers());
    });
    let observed = Plan { observability_mode: true, ..plan(bodies(None)) };
    offends(Rule::AnswerToCopy, Reader::of(observed), &|reader| {
        reader.replies(headers());
    });
    offends(Rule::StreamedResponse, Reader::begun(Streamed), &|reader| {
        reader.replies(headers()).body(true).replies(duplex_reply(REQUEST, b"body", true));
    });
    offends(Rule::PlainBody, Reader::begun(FullDuplexStreamed), &|reader| {
        reader.replies(headers()).body(true).replies(body_reply(REQUEST, body("new")));
    });
    offends(Rule::BodyInHeaders, Reader::begun(None), &|reader| {
        let body_mutation = Some(BodyMutation { mutation: Some(Mutation::ClearBody(true)) });
        reader.replies(head(CommonResponse { body_mutation, ..Default::default() }));
    });
    offends(Rule::Length, Reader::begun(Buffered), &|reader| {
        reader.replies(headers()).body(true).replies(body_reply(REQUEST, body("longer")));
    });
    offends(Rule::LateHeaders, Reader::begun(Streamed), &|reader| {
        let reply = messages::BodyResponse { response: Some(with_headers(set("x-late", "1"))) };
        reader.replies(headers()).body(true).replies(Response::RequestBody(reply));
    });
    offends(Rule::RefusedHeader, Reader::begun(None), &|reader| {
        reader.replies(head(with_headers(set("x-envoy-a", "1"))));
    });
    offends(Rule::InvalidHeader, Reader::begun(None), &|reader| {
        reader.replies(head(with_headers(set("x-a", "a\r\nb"))));
    });
    offends(Rule::ValueMember, Reader::begun(None), &|reader| {
        let mut mutation = set("x-a", "");
        mutation.set_headers.iter_mut().flat_map(|option| &mut option.header).for_each(|header| {
            header.value = "text".to_owned();
        });
        reader.replies(head(with_headers(mutation)));
    });
    offends(Rule::TrailersMember, Reader::begun(None), &|reader| {
        let trailers = Some(messages::HeaderMap { headers: vec![HeaderValue::default()] });
        reader.replies(head(CommonResponse { trailers, ..Default::default() }));
    });
    offends(Rule::Reroute, Reader::begun(None), &|reader| {
        reader.replies(head(CommonResponse { clear_route_cache: true, ..Default::default() }));
    });
    offends(Rule::Override, Reader::begun(None), &|reader| {
        let mode_override = Some(messages::ProcessingMode::default());
        let response = Some(headers());
        reader.says(&ProcessingResponse { mode_override, response, ..Default::default() });
    });
    let patient = Plan { max_message_timeout: Duration::from_secs(1), ..plan(bodies(None)) };
    offends(Rule::Timeout, Reader::of(patient), &|reader| {
        let override_message_timeout = Some(messages::Duration { seconds: 2, nanos: 0 });
        reader.says(&ProcessingResponse { override_message_timeout, ..Default::default() });
    });
    let closed = Plan { disable_immediate_response: true, ..plan(bodies(None)) };
    offends(Rule::Immediate, Reader::of(closed), &|reader| {
        reader.replies(Response::ImmediateResponse(ImmediateResponse::default()));
    });
    offends(Rule::StreamedImmediate, Reader::begun(Streamed), &|reader| {
        reader.replies(streamed_head("200", false));
    });
    offends(Rule::Status, Reader::begun(None), &|reader| {
        reader.replies(head(CommonResponse { status: 7, ..Default::default() }));
    });
    all
}

#[test]
fn each_rule_is_offended() {
    let mut seen = BTreeSet::new();
    for (rule, reader) in offences() {
        assert_eq!(reader.rules(), [rule], "{:?}", reader.found);
        seen.insert(rule);
    }
    assert_eq!(seen, Rule::ALL.iter().copied().collect());
}

/// What is said to fail an exchange does, and what is said to be ignored does not.
#[test]
fn the_gateway_agrees() {
    for (rule, reader) in offences() {
        // What a processor says behind the last message is not read.
        assert_eq!(!reader.world.failed.is_empty(), rule.effect() == Effect::Fails, "{rule:?}");
    }
}

#[test]
fn names_and_references_are_unique_and_exist() {
    let text = include_str!("../../../../docs/protocol.md");
    let names: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(names.len(), Rule::ALL.len());
    for rule in Rule::ALL {
        let anchor = format!("<a id=\"{}\"></a>", rule.reference().to_ascii_lowercase());
        assert!(text.contains(&anchor), "{} is no rule", rule.reference());
        assert!(!rule.remedy().ends_with('.'));
    }
}

#[test]
fn what_is_right_offends_nothing() {
    let mut reader = Reader::begun(BodySendMode::FullDuplexStreamed);
    reader.replies(continue_headers(REQUEST)).body(false).replies(duplex_reply(REQUEST, b"body", false));
    reader.world.trailers(REQUEST);
    reader.replies(trailers_reply(REQUEST)).ends();
    assert_eq!(reader.rules(), []);

    let mut reader = Reader::begun(BodySendMode::None);
    reader.replies(streamed_head("200", false)).replies(streamed_piece(b"own", true)).ends();
    assert_eq!(reader.rules(), []);

    let mut reader = Reader::begun(BodySendMode::Buffered);
    let body_mutation = Some(BodyMutation { mutation: Some(Mutation::Body(Bytes::from_static(b"new"))) });
    let replaced = CommonResponse { status: CONTINUE_AND_REPLACE, body_mutation, ..Default::default() };
    reader.replies(headers_reply(REQUEST, replaced)).ends();
    assert_eq!(reader.rules(), []);
}

#[test]
fn a_streamed_response_says_something_or_is_empty() {
    let mut reader = Reader::begun(BodySendMode::None);
    reader.replies(Response::StreamedImmediateResponse(StreamedImmediateResponse::default()));
    assert_eq!(reader.rules(), [Rule::EmptyMessage]);
}
