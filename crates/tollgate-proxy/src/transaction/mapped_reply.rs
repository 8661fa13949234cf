//! Answers of the gateway's own, where the connection manager says what they look like.

use bytes::Bytes;
use extproc::{Direction, ResponseHeaders, mutation::Side};
use http::{HeaderValue, header::CONTENT_TYPE};
use tollgate_model::{
    access_log::LogFormat,
    format::Operator,
    local_reply::{BodyFormat, LocalReplies},
};

use super::core::Core;
use crate::{
    access_log::admits,
    format::{Facts, FormatContext, Value, evaluate_header, write_json, write_text},
    local_reply::LocalReply,
    route_headers::change_field,
};

/// What formats of bodies may show.
#[derive(Clone, Copy)]
struct ReplyFacts<'a> {
    context: FormatContext<'a>,
    body: &'a [u8],
}

impl Facts for ReplyFacts<'_> {
    fn value(&self, operator: &Operator) -> Option<Value<'_>> {
        match operator {
            Operator::LocalReplyBody => Some(Value::Text(self.body.into())),
            operator => self.context.value(operator),
        }
    }
}

impl Core {
    /// A reply whose body is what this gives.
    pub(super) fn formatted(&self, mut reply: LocalReply, format: &BodyFormat) -> LocalReply {
        let context = FormatContext { info: &self.info, messages: &self.messages, logs: &[] };
        reply.body = formatted(format, ReplyFacts { context, body: &reply.body });
        if let Ok(content_type) = HeaderValue::from_str(format.content_type()) {
            reply.fields.insert(CONTENT_TYPE, content_type);
        }
        reply
    }

    /// Head and body of a reply as these say. Filters and formats see the reply as it is so far.
    pub(super) fn mapped_response(
        &mut self,
        mut reply: LocalReply,
        replies: &LocalReplies,
    ) -> (ResponseHeaders, Bytes) {
        let head = ResponseHeaders { status: reply.status, fields: std::mem::take(&mut reply.fields) };
        let before = self.messages.response.replace(head);
        self.change_headers(Direction::Response);
        self.info.response_code = Some(reply.status);
        let old_body = reply.body.clone();
        let mut format = replies.body_format.as_ref();
        let context = FormatContext { info: &self.info, messages: &self.messages, logs: &[] };
        if let Some(mapper) = replies.mappers.iter().find(|mapper| admits(&mapper.filter, &context)) {
            format = mapper.body_format.as_ref().or(format);
            if let Some(body) = &mapper.body {
                reply.body = body.clone();
            }
            for addition in &mapper.headers {
                let context = FormatContext { info: &self.info, messages: &self.messages, logs: &[] };
                let text = evaluate_header(&addition.value, &context);
                let prefix = &self.configuration.http().header_prefix;
                if let Some(head) = &mut self.messages.response {
                    change_field(&mut head.fields, addition, text, Side::Response, prefix);
                }
            }
            if let Some(status) = mapper.status {
                reply.status = status;
                self.info.response_code = Some(status);
                if let Some(head) = &mut self.messages.response {
                    head.status = status;
                }
            }
        }
        let mut content_type = "text/plain";
        if let Some(format) = format {
            let context = FormatContext { info: &self.info, messages: &self.messages, logs: &[] };
            reply.body = formatted(format, ReplyFacts { context, body: &reply.body });
            content_type = format.content_type();
        }
        let head = std::mem::replace(&mut self.messages.response, before);
        reply.fields = head.map(|head| head.fields).unwrap_or_default();
        // What a filter says about the content stays as long as the content does.
        let is_new = reply.body != old_body || content_type != "text/plain";
        if !reply.body.is_empty()
            && (is_new || !reply.fields.contains_key(CONTENT_TYPE))
            && let Ok(content_type) = HeaderValue::from_str(content_type)
        {
            reply.fields.insert(CONTENT_TYPE, content_type);
        }
        reply.into_response_as_it_is(self.asked_by())
    }
}

fn formatted(format: &BodyFormat, facts: ReplyFacts<'_>) -> Bytes {
    let mut body = Vec::new();
    match &format.format {
        LogFormat::Text(text) => write_text(text, &facts, &mut body),
        LogFormat::Json(json) => {
            write_json(json, &facts, &mut body);
            body.push(b'\n');
        }
    }
    body.into()
}
