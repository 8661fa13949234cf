//! A strict reading of a processor's messages: what a gateway would refuse, ignore, or wait for in vain.
//!
//! A gateway forgives much silently: a body in the reply to headers, a header that may not be set, a route that is to be
//! chosen again without a mutation. A [`Lint`] reads along and names each of them by its [`Rule`], with words and a remedy,
//! so that an author sees it in a test and not in production.
//!
//! ```
//! use extproc::{Direction, Plan, lint::{Lint, Rule}, messages::ProcessingResponse, sim::{self, World}};
//!
//! let mut world = World::with_mode(sim::mode(|_| {}));
//! let mut lint = Lint::new(&Plan::new("ext_proc"));
//! world.headers(Direction::Request, true);
//! lint.sent(&world.sent[0]);
//!
//! let reply = sim::body_reply(Direction::Request, sim::body("a body"));
//! let findings = lint.received(&ProcessingResponse { response: Some(reply), ..Default::default() });
//! assert_eq!(findings[0].rule, Rule::WrongKind);
//! assert_eq!(
//!     findings[0].to_string(),
//!     "wrong-kind (P-1): request_body, but request_headers is awaited. \
//!      Reply to each message with the same kind, in the order in which they came."
//! );
//! ```

mod content;
mod headers;
mod rule;
mod steps;
#[cfg(test)]
mod tests;

use std::fmt;

pub use self::rule::{Effect, Rule};
use self::steps::Steps;
use crate::{
    Direction, Plan,
    messages::{
        ProcessingRequest, ProcessingResponse, processing_request::Request, processing_response::Response,
    },
};

/// Something that a processor did wrong, or in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it offends.
    pub rule: Rule,
    /// What was seen, and what it means.
    pub words: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}. {}.", self.rule.name(), self.rule.reference(), self.words, self.rule.remedy())
    }
}

/// Reads one stream of a processor.
#[derive(Debug, Clone)]
pub struct Lint {
    plan: Plan,
    observed: bool,
    /// The processor has said its last word.
    answered: bool,
    /// A response of its own, piece by piece, has begun.
    responding: bool,
    request: Steps,
    response: Steps,
}

impl Lint {
    /// Reads what is said under `plan`. Body modes are taken from the gateway's first message, if it names them.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let mode = &plan.processing_mode;
        Self {
            plan: plan.clone(),
            observed: plan.observability_mode,
            answered: false,
            responding: false,
            request: Steps::new(Direction::Request, mode.request_body_mode),
            response: Steps::new(Direction::Response, mode.response_body_mode),
        }
    }

    /// The gateway sent a message.
    pub fn sent(&mut self, message: &ProcessingRequest) {
        self.observed |= message.observability_mode;
        if let Some(config) = &message.protocol_config {
            self.request.set_mode(config.request_body_mode);
            self.response.set_mode(config.response_body_mode);
        }
        match &message.request {
            Some(Request::RequestHeaders(head)) => self.request.headers(head),
            Some(Request::ResponseHeaders(head)) => self.response.headers(head),
            Some(Request::RequestBody(body)) => self.request.body(body.end_of_stream),
            Some(Request::ResponseBody(body)) => self.response.body(body.end_of_stream),
            Some(Request::RequestTrailers(_)) => self.request.trailers(),
            Some(Request::ResponseTrailers(_)) => self.response.trailers(),
            None => {}
        }
    }

    /// The processor sent a message. What is found is in the order in which a gateway would come upon it.
    pub fn received(&mut self, message: &ProcessingResponse) -> Vec<Finding> {
        let mut found = Findings::default();
        if self.observed {
            found.add(Rule::AnswerToCopy, "a message, but the gateway sends copies and awaits none");
            return found.0;
        }
        if self.answered {
            found.add(Rule::AfterTheEnd, "a message behind the processor's own response");
            return found.0;
        }
        if let Some(timeout) = &message.override_message_timeout {
            self.check_timeout(timeout, message, &mut found);
            return found.0;
        }
        if let Some(mode) = &message.mode_override {
            self.check_override(mode, message.response.is_none(), &mut found);
        }
        match &message.response {
            None if message.mode_override.is_none() => {
                found.add(Rule::EmptyMessage, "a message that says nothing");
            }
            None => {}
            Some(Response::ImmediateResponse(response)) => self.check_immediate(response, &mut found),
            Some(Response::StreamedImmediateResponse(piece)) => self.check_streamed(piece, &mut found),
            Some(_) if self.responding => {
                found.add(Rule::WrongKind, "an ordinary reply within a response of the processor's own");
            }
            Some(reply) => self.check_reply(reply, &mut found),
        }
        found.0
    }

    /// The stream has ended: what was still owed. Not if the gateway has closed it.
    pub fn ended(&mut self) -> Vec<Finding> {
        let mut found = Findings::default();
        if self.responding && !self.answered {
            found.add(Rule::Unfinished, "a response of the processor's own without an end");
        } else if !self.observed && !self.answered {
            self.request.owed(&mut found);
            self.response.owed(&mut found);
        }
        found.0
    }

    fn check_reply(&mut self, reply: &Response, found: &mut Findings) {
        let (steps, plan) = match reply {
            Response::RequestHeaders(_) | Response::RequestBody(_) | Response::RequestTrailers(_) => {
                (&mut self.request, &self.plan)
            }
            _ => (&mut self.response, &self.plan),
        };
        match reply {
            Response::RequestHeaders(reply) | Response::ResponseHeaders(reply) => {
                let common = reply.response.clone().unwrap_or_default();
                if steps.headers_reply(found) {
                    content::headers(steps, plan, &common, found);
                }
            }
            Response::RequestBody(reply) | Response::ResponseBody(reply) => {
                let common = reply.response.clone().unwrap_or_default();
                if let Some(piece) = steps.body_reply(&common, found) {
                    content::body(steps, plan, &common, piece, found);
                }
            }
            Response::RequestTrailers(reply) | Response::ResponseTrailers(reply) => {
                if steps.trailers_reply(found)
                    && let Some(mutation) = &reply.header_mutation
                {
                    headers::mutation(mutation, steps.direction, plan, false, found);
                }
            }
            Response::ImmediateResponse(_) | Response::StreamedImmediateResponse(_) => {}
        }
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, rule: Rule, words: impl Into<String>) {
        self.0.push(Finding { rule, words: words.into() });
    }
}
