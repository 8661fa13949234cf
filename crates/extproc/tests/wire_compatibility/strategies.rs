//! Arbitrary messages.

use std::collections::BTreeMap;

use bytes::Bytes;
use extproc::messages::*;
use proptest::{collection::vec, option, prelude::*};

fn text() -> impl Strategy<Value = String> {
    ".{0,8}"
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..24).prop_map(Bytes::from)
}

fn map<T: std::fmt::Debug>(value: impl Strategy<Value = T>) -> impl Strategy<Value = BTreeMap<String, T>> {
    proptest::collection::btree_map(text(), value, 0..3)
}

fn header_value() -> impl Strategy<Value = HeaderValue> {
    (text(), text(), bytes()).prop_map(|(key, value, raw_value)| HeaderValue { key, value, raw_value })
}

fn header_map() -> impl Strategy<Value = HeaderMap> {
    vec(header_value(), 0..4).prop_map(|headers| HeaderMap { headers })
}

fn value() -> impl Strategy<Value = Value> {
    use value::Kind;
    let leaf = prop_oneof![
        Just(None),
        any::<i32>().prop_map(|number| Some(Kind::NullValue(number))),
        (-1e9..1e9).prop_map(|number| Some(Kind::NumberValue(number))),
        text().prop_map(|string| Some(Kind::StringValue(string))),
        any::<bool>().prop_map(|bool| Some(Kind::BoolValue(bool))),
    ]
    .prop_map(|kind| Value { kind });
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            map(inner.clone()).prop_map(|fields| Struct { fields }.into()),
            vec(inner, 0..3).prop_map(|values| ListValue { values }.into()),
        ]
    })
}

fn structure() -> impl Strategy<Value = Struct> {
    map(value()).prop_map(|fields| Struct { fields })
}

fn packed() -> impl Strategy<Value = Any> {
    (text(), bytes()).prop_map(|(type_url, value)| Any { type_url, value })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    (map(structure()), map(packed())).prop_map(|(filter_metadata, typed_filter_metadata)| Metadata {
        filter_metadata,
        typed_filter_metadata,
    })
}

fn http_headers() -> impl Strategy<Value = HttpHeaders> {
    (option::of(header_map()), map(structure()), any::<bool>())
        .prop_map(|(headers, attributes, end_of_stream)| HttpHeaders { headers, attributes, end_of_stream })
}

fn http_body() -> impl Strategy<Value = HttpBody> {
    (bytes(), any::<[bool; 4]>()).prop_map(|(body, flags)| HttpBody {
        body,
        end_of_stream: flags[0],
        end_of_stream_without_message: flags[1],
        grpc_message_compressed: flags[2],
        drain_complete: flags[3],
    })
}

fn streamed_body() -> impl Strategy<Value = StreamedBodyResponse> {
    (bytes(), any::<[bool; 4]>()).prop_map(|(body, flags)| StreamedBodyResponse {
        body,
        end_of_stream: flags[0],
        end_of_stream_without_message: flags[1],
        grpc_message_compressed: flags[2],
        drain_complete: flags[3],
    })
}

fn http_trailers() -> impl Strategy<Value = HttpTrailers> {
    option::of(header_map()).prop_map(|trailers| HttpTrailers { trailers })
}

fn protocol_configuration() -> impl Strategy<Value = ProtocolConfiguration> {
    any::<(i32, i32, bool)>().prop_map(|(request_body_mode, response_body_mode, no_wait)| {
        ProtocolConfiguration {
            request_body_mode,
            response_body_mode,
            send_body_without_waiting_for_header_response: no_wait,
        }
    })
}

fn flow_control_init() -> impl Strategy<Value = FlowControlInit> {
    any::<[i64; 4]>().prop_map(|windows| FlowControlInit {
        initial_window_downstream_to_sidestream: windows[0],
        initial_window_sidestream_to_upstream: windows[1],
        initial_window_upstream_to_sidestream: windows[2],
        initial_window_sidestream_to_downstream: windows[3],
    })
}

fn client_window_update() -> impl Strategy<Value = ClientWindowUpdate> {
    any::<(i64, i64)>().prop_map(|(request, response)| ClientWindowUpdate {
        window_increment_sidestream_to_upstream: request,
        window_increment_sidestream_to_downstream: response,
    })
}

pub(crate) fn processing_request() -> impl Strategy<Value = ProcessingRequest> {
    use processing_request::Request;
    let request = prop_oneof![
        http_headers().prop_map(Request::RequestHeaders),
        http_headers().prop_map(Request::ResponseHeaders),
        http_body().prop_map(Request::RequestBody),
        http_body().prop_map(Request::ResponseBody),
        http_trailers().prop_map(Request::RequestTrailers),
        http_trailers().prop_map(Request::ResponseTrailers),
    ];
    (
        option::of(metadata()),
        map(structure()),
        any::<bool>(),
        option::of(protocol_configuration()),
        option::of(flow_control_init()),
        option::of(client_window_update()),
        option::of(request),
    )
        .prop_map(
            |(
                metadata_context,
                attributes,
                observability_mode,
                protocol_config,
                flow_control_init,
                client_window_update,
                request,
            )| {
                ProcessingRequest {
                    metadata_context,
                    attributes,
                    observability_mode,
                    protocol_config,
                    flow_control_init,
                    client_window_update,
                    request,
                }
            },
        )
}

fn header_value_option() -> impl Strategy<Value = HeaderValueOption> {
    (option::of(header_value()), any::<Option<bool>>(), any::<i32>(), any::<bool>()).prop_map(
        |(header, append, append_action, keep_empty_value)| HeaderValueOption {
            header,
            append: append.map(|value| BoolValue { value }),
            append_action,
            keep_empty_value,
        },
    )
}

fn header_mutation() -> impl Strategy<Value = HeaderMutation> {
    (vec(header_value_option(), 0..4), vec(text(), 0..4))
        .prop_map(|(set_headers, remove_headers)| HeaderMutation { set_headers, remove_headers })
}

fn body_mutation() -> impl Strategy<Value = BodyMutation> {
    use body_mutation::Mutation;
    option::of(prop_oneof![
        bytes().prop_map(Mutation::Body),
        any::<bool>().prop_map(Mutation::ClearBody),
        streamed_body().prop_map(Mutation::StreamedResponse),
    ])
    .prop_map(|mutation| BodyMutation { mutation })
}

fn common_response() -> impl Strategy<Value = CommonResponse> {
    (
        any::<i32>(),
        option::of(header_mutation()),
        option::of(body_mutation()),
        option::of(header_map()),
        any::<bool>(),
    )
        .prop_map(|(status, header_mutation, body_mutation, trailers, clear_route_cache)| {
            CommonResponse { status, header_mutation, body_mutation, trailers, clear_route_cache }
        })
}

fn immediate_response() -> impl Strategy<Value = ImmediateResponse> {
    (any::<Option<i32>>(), option::of(header_mutation()), bytes(), any::<Option<u32>>(), text()).prop_map(
        |(code, headers, body, grpc_status, details)| ImmediateResponse {
            status: code.map(|code| HttpStatus { code }),
            headers,
            body,
            grpc_status: grpc_status.map(|status| GrpcStatus { status }),
            details,
        },
    )
}

fn streamed_immediate_response() -> impl Strategy<Value = StreamedImmediateResponse> {
    use streamed_immediate_response::Response;
    option::of(prop_oneof![
        http_headers().prop_map(Response::HeadersResponse),
        streamed_body().prop_map(Response::BodyResponse),
        header_map().prop_map(Response::TrailersResponse),
    ])
    .prop_map(|response| StreamedImmediateResponse { response })
}

fn response() -> impl Strategy<Value = processing_response::Response> {
    use processing_response::Response;
    let headers = || option::of(common_response()).prop_map(|response| HeadersResponse { response });
    let body = || option::of(common_response()).prop_map(|response| BodyResponse { response });
    let trailers =
        || option::of(header_mutation()).prop_map(|header_mutation| TrailersResponse { header_mutation });
    prop_oneof![
        headers().prop_map(Response::RequestHeaders),
        headers().prop_map(Response::ResponseHeaders),
        body().prop_map(Response::RequestBody),
        body().prop_map(Response::ResponseBody),
        trailers().prop_map(Response::RequestTrailers),
        trailers().prop_map(Response::ResponseTrailers),
        immediate_response().prop_map(Response::ImmediateResponse),
        streamed_immediate_response().prop_map(Response::StreamedImmediateResponse),
    ]
}

fn processing_mode() -> impl Strategy<Value = ProcessingMode> {
    any::<[i32; 6]>().prop_map(|modes| ProcessingMode {
        request_header_mode: modes[0],
        response_header_mode: modes[1],
        request_body_mode: modes[2],
        response_body_mode: modes[3],
        request_trailer_mode: modes[4],
        response_trailer_mode: modes[5],
    })
}

pub(crate) fn processing_response() -> impl Strategy<Value = ProcessingResponse> {
    (
        option::of(structure()),
        map(packed()),
        option::of(processing_mode()),
        any::<[bool; 3]>(),
        any::<Option<(i64, i32)>>(),
        any::<Option<(i64, i64)>>(),
        option::of(response()),
    )
        .prop_map(
            |(dynamic_metadata, typed_dynamic_metadata, mode_override, drain, timeout, window, response)| {
                ProcessingResponse {
                    dynamic_metadata,
                    typed_dynamic_metadata,
                    mode_override,
                    request_drain: drain[0],
                    request_drain_requests: drain[1],
                    request_drain_responses: drain[2],
                    override_message_timeout: timeout.map(|(seconds, nanos)| Duration { seconds, nanos }),
                    server_window_update: window.map(|(request, response)| ServerWindowUpdate {
                        window_increment_downstream_to_sidestream: request,
                        window_increment_upstream_to_sidestream: response,
                    }),
                    response,
                }
            },
        )
}
