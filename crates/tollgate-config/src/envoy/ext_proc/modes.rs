//! Processing modes (section 1.2).

use extproc::{BodySendMode, HeaderSendMode, ProcessingMode};

use crate::schema::{Enumeration, Schema, Value, read};

pub(in crate::envoy) static PROCESSING_MODE: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_proc.v3.ProcessingMode",
    title: "",
    fields: &[
        read("request_header_mode", "SEND", "DEFAULT, SEND or SKIP."),
        read("response_header_mode", "SEND", "DEFAULT, SEND or SKIP."),
        read(
            "request_body_mode",
            "NONE",
            "NONE, STREAMED, BUFFERED, BUFFERED_PARTIAL, FULL_DUPLEX_STREAMED or GRPC.",
        ),
        read("response_body_mode", "NONE", "The same."),
        read("request_trailer_mode", "SKIP", "DEFAULT, SEND or SKIP; FULL_DUPLEX_STREAMED needs SEND."),
        read("response_trailer_mode", "SKIP", "The same."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static HEADER_SEND_MODE: Enumeration<HeaderSendMode> = Enumeration {
    values: &[
        ("DEFAULT", 0, Some(HeaderSendMode::Default)),
        ("SEND", 1, Some(HeaderSendMode::Send)),
        ("SKIP", 2, Some(HeaderSendMode::Skip)),
    ],
};

pub(in crate::envoy) static BODY_SEND_MODE: Enumeration<BodySendMode> = Enumeration {
    values: &[
        ("NONE", 0, Some(BodySendMode::None)),
        ("STREAMED", 1, Some(BodySendMode::Streamed)),
        ("BUFFERED", 2, Some(BodySendMode::Buffered)),
        ("BUFFERED_PARTIAL", 3, Some(BodySendMode::BufferedPartial)),
        ("FULL_DUPLEX_STREAMED", 4, Some(BodySendMode::FullDuplexStreamed)),
        ("GRPC", 5, Some(BodySendMode::Grpc)),
    ],
};

/// Reads a `ProcessingMode`.
pub(in crate::envoy) fn read_processing_mode(value: &Value<'_>) -> Option<ProcessingMode> {
    let message = value.message(&PROCESSING_MODE)?;
    let headers = |name| message.enumeration(name, &HEADER_SEND_MODE, HeaderSendMode::Default);
    let body = |name| message.enumeration(name, &BODY_SEND_MODE, BodySendMode::None);
    Some(ProcessingMode {
        request_header_mode: headers("request_header_mode"),
        response_header_mode: headers("response_header_mode"),
        request_body_mode: body("request_body_mode"),
        response_body_mode: body("response_body_mode"),
        request_trailer_mode: headers("request_trailer_mode"),
        response_trailer_mode: headers("response_trailer_mode"),
    })
}

/// Section 1.1, error 3: a full-duplex body is only complete with its trailers. Not checked per route.
pub(super) fn check_full_duplex(value: &Value<'_>, mode: ProcessingMode) {
    let sides = [
        ("request", mode.request_body_mode, mode.request_trailer_mode),
        ("response", mode.response_body_mode, mode.response_trailer_mode),
    ];
    for (side, body, trailers) in sides {
        if body == BodySendMode::FullDuplexStreamed && trailers != HeaderSendMode::Send {
            value.error_with_help(
                format!("a {side} body in FULL_DUPLEX_STREAMED mode needs the {side} trailers"),
                format!("add {side}_trailer_mode: SEND"),
            );
        }
    }
}
