//! Messages to the processor.

use std::time::Instant;

use bytes::BytesMut;
use http::header::CONTENT_LENGTH;

use super::{
    Action, Exchange, Host, Stream,
    side::{Awaiting, End},
};
use crate::{
    codec::{self, Envelope, HeadersRef, ProtocolConfig},
    header_map::remove_fields,
    http_message::Direction,
    messages::Struct,
    metadata::add_cluster_metadata,
    mode::BodySendMode,
    plan::MetadataNamespaces,
    slices::Slices,
};

/// What to encode.
enum Part {
    Headers { end_of_stream: bool },
    Body { data: Slices, end_of_stream: bool },
    Trailers,
}

impl Exchange {
    pub(super) fn send_headers(
        &mut self,
        direction: Direction,
        end_of_stream: bool,
        now: Instant,
        host: &mut dyn Host,
    ) {
        self.side_mut(direction).headers_sent = true;
        self.side_mut(direction).awaiting = Awaiting::Headers;
        self.send(direction, Part::Headers { end_of_stream }, host);
        self.arm_timer(direction, now);
    }

    /// The whole collected body in one message (B-3.1); also in other modes when all of it came before the header reply
    /// (B-4.4, B-5.6, B-2.1).
    pub(super) fn send_buffered(&mut self, direction: Direction, now: Instant, host: &mut dyn Host) {
        let side = self.side_mut(direction);
        let end_of_stream = side.end == End::Data;
        let data = side.held.take();
        side.paused = false;
        side.push_chunk(data.clone(), end_of_stream);
        side.awaiting = Awaiting::BufferedBody;
        self.send(direction, Part::Body { data, end_of_stream }, host);
        self.arm_timer(direction, now);
    }

    /// Everything collected so far, the only body message of BUFFERED_PARTIAL (B-5.1).
    pub(super) fn send_partial(&mut self, direction: Direction, now: Instant, host: &mut dyn Host) {
        self.send_buffered(direction, now, host);
        self.side_mut(direction).awaiting = Awaiting::PartialBody;
    }

    /// One piece in STREAMED mode (B-4.1).
    pub(super) fn send_piece(
        &mut self,
        direction: Direction,
        data: Slices,
        end_of_stream: bool,
        now: Instant,
        host: &mut dyn Host,
    ) {
        let limit = host.buffer_limit(direction);
        let side = self.side_mut(direction);
        side.push_chunk(data.clone(), end_of_stream);
        side.update_paused(limit);
        if side.awaiting != Awaiting::Headers {
            side.awaiting = Awaiting::StreamedBody;
        }
        self.send(direction, Part::Body { data, end_of_stream }, host);
        self.arm_timer(direction, now);
    }

    /// One piece in FULL_DUPLEX_STREAMED mode; no copy is kept (B-6.1).
    pub(super) fn send_duplex(
        &mut self,
        direction: Direction,
        data: Slices,
        end_of_stream: bool,
        now: Instant,
        host: &mut dyn Host,
    ) {
        let side = self.side_mut(direction);
        side.duplex_received = true;
        side.duplex_owed = true;
        if side.awaiting != Awaiting::Headers {
            side.awaiting = Awaiting::StreamedBody;
        }
        self.send(direction, Part::Body { data, end_of_stream }, host);
        self.arm_timer(direction, now);
    }

    /// A piece behind the end that the processor gave the message; it owes nothing for it (B-6.7).
    pub(super) fn send_past_end(
        &mut self,
        direction: Direction,
        data: Slices,
        end_of_stream: bool,
        now: Instant,
        host: &mut dyn Host,
    ) {
        self.side_mut(direction).awaiting = Awaiting::StreamedBody;
        self.send(direction, Part::Body { data, end_of_stream }, host);
        self.arm_timer(direction, now);
    }

    pub(super) fn send_trailers(&mut self, direction: Direction, now: Instant, host: &mut dyn Host) {
        let side = self.side_mut(direction);
        side.trailers_sent = true;
        if !side.is_duplex() || side.awaiting == Awaiting::Idle {
            side.awaiting = Awaiting::Trailers;
        }
        self.send(direction, Part::Trailers, host);
        self.arm_timer(direction, now);
    }

    pub(super) fn send_observed_headers(
        &mut self,
        direction: Direction,
        end_of_stream: bool,
        host: &mut dyn Host,
    ) {
        self.send(direction, Part::Headers { end_of_stream }, host);
    }

    pub(super) fn send_observed_body(
        &mut self,
        direction: Direction,
        data: Slices,
        end_of_stream: bool,
        host: &mut dyn Host,
    ) {
        self.send(direction, Part::Body { data, end_of_stream }, host);
    }

    pub(super) fn send_observed_trailers(&mut self, direction: Direction, host: &mut dyn Host) {
        self.send(direction, Part::Trailers, host);
    }

    fn send(&mut self, direction: Direction, part: Part, host: &mut dyn Host) {
        if self.stream == Stream::Unopened {
            self.stream = Stream::Open;
            self.counters.streams_started += 1;
            self.actions.push_back(Action::Open);
        }
        if self.stream == Stream::Closed {
            return;
        }
        let response_headers_shown = self.response.headers_sent
            || (direction == Direction::Response && matches!(part, Part::Headers { .. }));
        let attributes = self.take_attributes(direction, response_headers_shown, host);
        let protocol_config = (!self.first_sent && !self.plan.observability_mode).then_some(ProtocolConfig {
            request_body_mode: self.request.body_mode,
            response_body_mode: self.response.body_mode,
            send_body_without_waiting_for_header_response: self
                .plan
                .send_body_without_waiting_for_header_response,
        });
        self.first_sent = true;
        let options = &self.plan.metadata_options;
        let mut metadata_context = host.metadata().select(&options.forwarding_namespaces);
        let of_cluster = &options.cluster_metadata_forwarding_namespaces;
        if *of_cluster != MetadataNamespaces::default()
            && let Some(cluster) = host.cluster_metadata()
        {
            add_cluster_metadata(&mut metadata_context, of_cluster, cluster);
        }
        let envelope = Envelope {
            protocol_config,
            attributes: attributes.as_ref(),
            metadata_context: &metadata_context,
            observability_mode: self.plan.observability_mode,
        };
        let rules = &self.plan.forward_rules;
        let mut message = BytesMut::new();
        let mut payload = Slices::new();
        let http2 = host.is_http2();
        let messages = host.messages();
        match part {
            Part::Headers { end_of_stream } => {
                let head = match (direction, &messages.response) {
                    (Direction::Response, Some(head)) => HeadersRef::Response(head),
                    _ if http2 => HeadersRef::Http2Request(&messages.request),
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
        self.counters.stream_msgs_sent += 1;
        self.actions.push_back(Action::Send { message: message.freeze(), payload });
    }

    /// The attributes of a direction, the first time something is sent in it.
    fn take_attributes(
        &mut self,
        direction: Direction,
        response_headers_shown: bool,
        host: &mut dyn Host,
    ) -> Option<Struct> {
        let modifier = self.plan.processing_request_modifier.as_ref();
        let (wanted, mapped) = match direction {
            Direction::Request => {
                (&self.plan.request_attributes, modifier.map(|modifier| &modifier.mapped_request_attributes))
            }
            Direction::Response => (
                &self.plan.response_attributes,
                modifier.map(|modifier| &modifier.mapped_response_attributes),
            ),
        };
        let side = match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        };
        let first = !std::mem::replace(&mut side.attributes_sent, true);
        if !first {
            return None;
        }
        // U-1: names of their own replace what the filter asks for.
        if let Some(mapped) = mapped.filter(|mapped| !mapped.is_empty()) {
            return Some(mapped.rename(&host.attributes(mapped.attributes(), response_headers_shown)));
        }
        (!wanted.is_empty()).then(|| host.attributes(wanted, response_headers_shown))
    }

    /// Removes `content-length` where the body may change its length on the way (B-7.1).
    pub(super) fn remove_content_length(&self, direction: Direction, host: &mut dyn Host) {
        if !self.removes_content_length(direction) {
            return;
        }
        let messages = host.messages();
        match direction {
            Direction::Request => {
                remove_fields(&mut messages.request.fields, &[CONTENT_LENGTH]);
            }
            Direction::Response => {
                if let Some(head) = &mut messages.response {
                    remove_fields(&mut head.fields, &[CONTENT_LENGTH]);
                }
            }
        }
    }

    /// Whether `content-length` does not belong to messages of this direction (B-7.1, B-7.4).
    pub(super) fn removes_content_length(&self, direction: Direction) -> bool {
        let side = self.side(direction);
        !self.plan.allow_content_length_header
            && match side.body_mode {
                BodySendMode::Streamed | BodySendMode::BufferedPartial | BodySendMode::FullDuplexStreamed => {
                    true
                }
                BodySendMode::Buffered => !side.wants_headers(),
                BodySendMode::None | BodySendMode::Grpc => false,
            }
    }
}
