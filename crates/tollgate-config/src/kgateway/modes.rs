//! `processingMode` (4.3).

use extproc::{BodySendMode, HeaderSendMode, ProcessingMode};

use crate::schema::{Enumeration, Schema, Value, read};

static PROCESSING_MODE: Schema = Schema {
    name: "ProcessingMode",
    title: "",
    fields: &[
        read("requestHeaderMode", "SEND", "Headers of requests: DEFAULT, SEND or SKIP."),
        read("responseHeaderMode", "SEND", "Headers of responses."),
        read("requestBodyMode", "NONE", "Bodies of requests."),
        read("responseBodyMode", "NONE", "Bodies of responses."),
        read("requestTrailerMode", "SKIP", "Trailers of requests."),
        read("responseTrailerMode", "SKIP", "Trailers of responses."),
    ],
    unsupported: &[],
};

static HEADERS: Enumeration<HeaderSendMode> = Enumeration {
    values: &[
        ("DEFAULT", 0, Some(HeaderSendMode::Default)),
        ("SEND", 1, Some(HeaderSendMode::Send)),
        ("SKIP", 2, Some(HeaderSendMode::Skip)),
    ],
};

static BODY: Enumeration<BodySendMode> = Enumeration {
    values: &[
        ("NONE", 0, Some(BodySendMode::None)),
        ("STREAMED", 1, Some(BodySendMode::Streamed)),
        ("BUFFERED", 2, Some(BodySendMode::Buffered)),
        ("BUFFERED_PARTIAL", 3, Some(BodySendMode::BufferedPartial)),
        ("FULL_DUPLEX_STREAMED", 4, Some(BodySendMode::FullDuplexStreamed)),
    ],
};

/// Reads a mode; what it leaves out has the defaults of the CRD (KG-1, KG-2).
pub(super) fn read_processing_mode(value: &Value<'_>) -> Option<ProcessingMode> {
    let message = value.message(&PROCESSING_MODE)?;
    let headers = |name, default| message.enumeration(name, &HEADERS, default);
    let body = |name| message.enumeration(name, &BODY, BodySendMode::None);
    let mode = ProcessingMode {
        request_header_mode: headers("requestHeaderMode", HeaderSendMode::Send),
        response_header_mode: headers("responseHeaderMode", HeaderSendMode::Send),
        request_body_mode: body("requestBodyMode"),
        response_body_mode: body("responseBodyMode"),
        request_trailer_mode: headers("requestTrailerMode", HeaderSendMode::Skip),
        response_trailer_mode: headers("responseTrailerMode", HeaderSendMode::Skip),
    };
    // KG-3
    for (body, trailers, name) in [
        (mode.request_body_mode, mode.request_trailer_mode, "requestTrailerMode"),
        (mode.response_body_mode, mode.response_trailer_mode, "responseTrailerMode"),
    ] {
        if body == BodySendMode::FullDuplexStreamed && trailers != HeaderSendMode::Send {
            value.error_with_help(
                "FULL_DUPLEX_STREAMED needs the trailers of that side",
                format!("set {name} to SEND"),
            );
        }
    }
    Some(mode)
}
