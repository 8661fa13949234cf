//! The handler's wishes.

use bytes::Bytes;

use super::{
    Head, Link, NotPossible, Rest, reply,
    side::{Answer, Headers, Owed, Side, Trailers, Wish, joined},
};
use crate::{
    BodySendMode, Direction,
    messages::{
        BodyMutation, CommonResponse, HeaderMutation, ProcessingMode, ProcessingResponse,
        body_mutation::Mutation, common_response::CONTINUE_AND_REPLACE,
    },
};

impl Side {
    fn possible(
        &self,
        possible: bool,
        wanted: &'static str,
        setting: &'static str,
    ) -> Result<(), NotPossible> {
        if possible { Ok(()) } else { Err(NotPossible { wanted, mode: self.mode, setting }) }
    }

    pub(super) fn check_headers_owed(&self) -> Result<(), NotPossible> {
        self.possible(
            self.headers == Headers::Owed,
            "answer the headers",
            "headers that are shown and were not answered before",
        )
    }

    pub(super) fn answer_headers(
        &mut self,
        link: &mut Link,
        head: Head,
        modes: Option<ProcessingMode>,
        rest: Rest,
    ) {
        let mut mutation = head.mutation;
        let collected = matches!(self.mode, None | Some(BodySendMode::Buffered));
        if rest == Rest::Rewrite && self.has_length && !collected {
            // Its length will be another one.
            mutation.get_or_insert_default().remove_headers.push("content-length".to_owned());
            self.has_length = false;
        }
        if head.reroute {
            // K-3: a gateway considers it only together with a mutation.
            mutation.get_or_insert_default();
        }
        let common = CommonResponse {
            header_mutation: mutation,
            clear_route_cache: head.reroute,
            ..CommonResponse::default()
        };
        link.message(ProcessingResponse {
            response: Some(reply::headers(self.direction, common)),
            mode_override: modes,
            ..ProcessingResponse::default()
        });
        self.headers = Headers::Answered;
        self.decide(link, rest);
    }

    pub(super) fn replace(&mut self, link: &mut Link, head: Head, body: Bytes) -> Result<(), NotPossible> {
        self.possible(
            self.headers == Headers::Owed,
            "replace the message unread",
            "headers that are shown and were not answered before",
        )?;
        let body = if body.is_empty() { Mutation::ClearBody(true) } else { Mutation::Body(body) };
        let mut mutation = head.mutation;
        if head.reroute {
            mutation.get_or_insert_default();
        }
        let common = CommonResponse {
            status: CONTINUE_AND_REPLACE,
            header_mutation: mutation,
            body_mutation: Some(BodyMutation { mutation: Some(body) }),
            clear_route_cache: head.reroute,
            ..CommonResponse::default()
        };
        link.reply(reply::headers(self.direction, common));
        // what is under way is answered by nobody.
        self.headers = Headers::Answered;
        self.wish = Wish::Dropped;
        self.waiting.clear();
        Ok(())
    }

    pub(super) fn change_headers(&mut self, mutation: HeaderMutation) -> Result<(), NotPossible> {
        let collects = matches!(self.mode, Some(BodySendMode::Buffered | BodySendMode::BufferedPartial));
        self.possible(
            collects && self.headers == Headers::Answered && self.is_open(),
            "change the headers after the body was read",
            "BUFFERED, or FULL_DUPLEX_STREAMED with the headers answered later",
        )?;
        let late = self.late.get_or_insert_default();
        late.set_headers.extend(mutation.set_headers);
        late.remove_headers.extend(mutation.remove_headers);
        Ok(())
    }

    pub(super) fn reroute(&mut self) -> Result<(), NotPossible> {
        let collects = matches!(self.mode, Some(BodySendMode::Buffered | BodySendMode::BufferedPartial));
        self.possible(
            collects
                && self.direction == Direction::Request
                && self.headers == Headers::Answered
                && self.is_open(),
            "choose the route again after the body was read",
            "request_body_mode: BUFFERED, or FULL_DUPLEX_STREAMED with the headers answered later",
        )?;
        self.reroutes_late = true;
        Ok(())
    }

    /// A piece is shown and not answered.
    fn is_open(&self) -> bool {
        self.owed.iter().any(|owed| matches!(owed.answer, Answer::Undecided))
    }

    pub(super) fn write(&mut self, link: &mut Link, data: Bytes) -> Result<(), NotPossible> {
        self.possible(
            self.rewrites() && !self.finishing,
            "write a body that is not being rewritten",
            "a body that was to be rewritten and is not finished",
        )?;
        let carried = if self.is_duplex() { self.has_body } else { self.is_open() };
        self.possible(
            carried,
            "write more than the pieces that are not answered can carry",
            "FULL_DUPLEX_STREAMED and a message with a body",
        )?;
        self.written.push_back(data);
        self.flush(link);
        Ok(())
    }

    pub(super) fn next(&mut self, link: &mut Link) {
        let streamed = matches!(self.mode, None | Some(BodySendMode::Streamed));
        if !streamed || !self.rewrites() {
            return;
        }
        let open = |owed: &&mut Owed| matches!(owed.answer, Answer::Undecided) && !owed.ends;
        if let Some(owed) = self.owed.iter_mut().find(open) {
            owed.answer = Answer::Changed(joined(&mut self.written));
        }
        self.flush(link);
    }

    pub(super) fn finish(&mut self, link: &mut Link) {
        if self.rewrites() {
            self.finishing = true;
            self.settle_owed();
            self.flush(link);
        }
    }

    pub(super) fn answer_trailers(&mut self, link: &mut Link, mutation: Option<HeaderMutation>) {
        if self.trailers == Trailers::Shown {
            self.trailers = Trailers::Decided(mutation);
            self.flush(link);
        }
    }
}
