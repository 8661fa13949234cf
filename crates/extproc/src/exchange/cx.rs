//! What a step of the machine works with: the time, the host, and what both directions share.

use std::time::Instant;

use bytes::BytesMut;
use http::{HeaderMap, header::CONTENT_LENGTH};

use super::{
    Action, Host,
    failure::Failure,
    link::{Link, Stream},
    side::Line,
};
use crate::{
    codec::{self, Envelope, HeadersRef, ProtocolConfig},
    header_map::remove_fields,
    http_message::Direction,
    log::{ProcessingEffect, Step},
    messages::{CommonResponse, HeaderMutation, Struct},
    metadata::MetadataContext,
    mutation::{self, Policy, Target},
    plan::{MetadataNamespaces, RouteCacheAction},
    slices::Slices,
};

/// The surroundings of one step.
pub(super) struct Cx<'a> {
    pub(super) now: Instant,
    pub(super) host: &'a mut dyn Host,
    pub(super) link: &'a mut Link,
}

/// A part of an HTTP message, for the processor.
pub(super) enum Part {
    Headers { end_of_stream: bool },
    Body { data: Slices, end_of_stream: bool },
    Trailers,
}

impl Cx<'_> {
    /// The largest number of bytes to hold of a body.
    pub(super) fn limit(&self, direction: Direction) -> usize {
        self.host.buffer_limit(direction)
    }

    /// Sends a message, and opens the stream before the first one (L-1).
    pub(super) fn send(&mut self, direction: Direction, part: Part) {
        let first = self.link.stream == Stream::Unopened;
        if first {
            self.link.stream = Stream::Open;
            self.link.counters.streams_started += 1;
            self.link.push(Action::Open);
        }
        if self.link.stream == Stream::Closed {
            return;
        }
        let attributes = self.take_attributes(direction, &part);
        let link = &mut *self.link;
        let plan = &link.plan;
        // L-3. No override comes before the first message, so the modes are those of the plan.
        let protocol_config = (first && !plan.observability_mode).then_some(ProtocolConfig {
            request_body_mode: plan.processing_mode.request_body_mode,
            response_body_mode: plan.processing_mode.response_body_mode,
            send_body_without_waiting_for_header_response: plan.send_body_without_waiting_for_header_response,
        });
        let options = &plan.metadata_options;
        let host = &*self.host;
        let mut metadata_context =
            MetadataContext::of_request(host.metadata(), &options.forwarding_namespaces);
        let of_cluster = &options.cluster_metadata_forwarding_namespaces;
        if *of_cluster != MetadataNamespaces::default()
            && let Some(cluster) = host.cluster_metadata()
        {
            metadata_context.add_cluster(cluster, of_cluster);
        }
        let envelope = Envelope {
            protocol_config,
            attributes: attributes.as_ref(),
            metadata_context,
            observability_mode: plan.observability_mode,
        };
        let rules = &plan.forward_rules;
        let mut message = BytesMut::new();
        let mut payload = Slices::new();
        let messages = host.messages();
        match part {
            Part::Headers { end_of_stream } => {
                let head = match (direction, &messages.response) {
                    (Direction::Response, Some(head)) => HeadersRef::Response(head),
                    _ if host.is_http2() => HeadersRef::Http2Request(&messages.request),
                    _ => HeadersRef::Request(&messages.request),
                };
                codec::encode_headers(&mut message, direction, head, end_of_stream, rules, &envelope);
            }
            Part::Body { data, end_of_stream } => {
                payload = codec::encode_body(&mut message, direction, data, end_of_stream, &envelope);
            }
            Part::Trailers => {
                let trailers = match direction {
                    Direction::Request => &messages.request_trailers,
                    Direction::Response => &messages.response_trailers,
                };
                if let Some(trailers) = trailers {
                    codec::encode_trailers(&mut message, direction, trailers, rules, &envelope);
                }
            }
        }
        link.counters.stream_msgs_sent += 1;
        link.push(Action::Send { message: message.freeze(), payload });
    }

    /// The attributes of a direction, the first time something is sent in it.
    fn take_attributes(&mut self, direction: Direction, part: &Part) -> Option<Struct> {
        let link = &mut *self.link;
        let response_headers = direction == Direction::Response && matches!(part, Part::Headers { .. });
        let shown = link.response_headers_shown || response_headers;
        // A copy is no message that a reply could change.
        link.response_headers_shown = shown && !link.plan.observability_mode;
        if std::mem::replace(&mut link.attributes_sent[direction as usize], true) {
            return None;
        }
        let modifier = link.plan.processing_request_modifier.as_ref();
        let (wanted, mapped) = match direction {
            Direction::Request => {
                (&link.plan.request_attributes, modifier.map(|modifier| &modifier.mapped_request_attributes))
            }
            Direction::Response => (
                &link.plan.response_attributes,
                modifier.map(|modifier| &modifier.mapped_response_attributes),
            ),
        };
        // U-1: names of their own replace what the filter asks for.
        if let Some(mapped) = mapped.filter(|mapped| !mapped.is_empty()) {
            return Some(mapped.rename(&self.host.attributes(mapped.attributes(), shown)));
        }
        (!wanted.is_empty()).then(|| self.host.attributes(wanted, shown))
    }

    /// Applies a header mutation to the head or the trailers of a message. An error if it was refused (M-9).
    pub(super) fn mutate(
        &mut self,
        line: &Line,
        step: Step,
        wanted: &HeaderMutation,
        replace_message: bool,
    ) -> Result<(), Failure> {
        let direction = line.direction;
        let limits = self.host.header_limits(direction);
        let policy = Policy {
            rules: &self.link.plan.mutation_rules,
            header_prefix: &self.link.plan.header_prefix,
            replace_message,
            content_length_removed: line.removes_content_length(&self.link.plan),
            max_count: limits.max_count,
            max_bytes: limits.max_bytes,
        };
        let messages = self.host.messages_mut();
        let target = match (step, direction) {
            (Step::Trailers, Direction::Request) => messages.request_trailers.as_mut().map(Target::Trailers),
            (Step::Trailers, Direction::Response) => {
                messages.response_trailers.as_mut().map(Target::Trailers)
            }
            (_, Direction::Request) => Some(Target::Request(&mut messages.request)),
            (_, Direction::Response) => messages.response.as_mut().map(Target::Response),
        };
        let Some(target) = target else {
            return Ok(());
        };
        match mutation::apply(wanted, target, &policy) {
            Ok(applied) => {
                self.link.ignored(direction, step, applied.ignored, applied.header);
                if applied.changed {
                    self.link.note_effect(direction, step, ProcessingEffect::MutationApplied);
                }
                Ok(())
            }
            Err(refused) => {
                self.link.counters.rejected_header_mutations += refused.ignored_before + 1;
                self.link.counters.stream_msgs_received += 1;
                self.link.note_effect(direction, step, refused.effect);
                Err(Failure::RefusedMutation(refused))
            }
        }
    }

    /// Removes `content-length` where the body may change its length on the way (B-7.1).
    pub(super) fn remove_content_length(&mut self, line: &Line) {
        if line.removes_content_length(&self.link.plan)
            && let Some(fields) = self.fields(line.direction)
        {
            remove_fields(fields, &[CONTENT_LENGTH]);
        }
    }

    /// The fields of the head of a message, if it is here.
    pub(super) fn fields(&mut self, direction: Direction) -> Option<&mut HeaderMap> {
        let messages = self.host.messages_mut();
        match direction {
            Direction::Request => Some(&mut messages.request.fields),
            Direction::Response => messages.response.as_mut().map(|head| &mut head.fields),
        }
    }

    /// Whether the message switches protocols, so that what follows its head never ends as a body does (B-3.9).
    pub(super) fn is_upgrade(&mut self, direction: Direction) -> bool {
        if !self.host.is_upgrade() {
            return false;
        }
        let messages = self.host.messages();
        match (direction, &messages.response) {
            (Direction::Response, Some(head)) if messages.request.method == http::Method::CONNECT => {
                head.status.is_success()
            }
            (Direction::Response, Some(head)) => head.status == http::StatusCode::SWITCHING_PROTOCOLS,
            _ => true,
        }
    }

    /// Whether the route is chosen again (section 15). Only replies of the request direction are considered (K-1): to
    /// headers, and to bodies in every mode. Once the head was passed on it is too late for another route, but what was
    /// asked for counts all the same.
    pub(super) fn decide_route_cache(&mut self, line: &Line, common: &CommonResponse, head_is_here: bool) {
        if line.direction == Direction::Response {
            return;
        }
        let link = &mut *self.link;
        if link.upstream {
            link.counters.clear_route_cache_upstream_ignored += u32::from(common.clear_route_cache);
            return;
        }
        if common.header_mutation.is_none() {
            link.counters.clear_route_cache_ignored += u32::from(common.clear_route_cache);
            return;
        }
        match link.plan.route_cache_action {
            RouteCacheAction::Clear => {}
            RouteCacheAction::Default if common.clear_route_cache => {}
            RouteCacheAction::Retain if common.clear_route_cache => {
                link.counters.clear_route_cache_disabled += 1;
                return;
            }
            RouteCacheAction::Default | RouteCacheAction::Retain => return,
        }
        if head_is_here {
            link.push(Action::ClearRouteCache);
        }
    }
}
