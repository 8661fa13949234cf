//! `processingMode`: what is sent (EG-20 to EG-22).

use std::collections::BTreeMap;

use extproc::{Attributes, BodySendMode, HeaderSendMode, ProcessingMode};

use crate::{
    kubernetes::Place,
    schema::{Enumeration, Message, Schema, Value, read},
};

/// What is sent, and what else `processingMode` says.
#[derive(Debug)]
pub(super) struct Modes {
    pub(super) mode: ProcessingMode,
    pub(super) allow_mode_override: bool,
    pub(super) request_attributes: Attributes,
    pub(super) response_attributes: Attributes,
    pub(super) sources: BTreeMap<&'static str, Place>,
}

/// Nothing at all (EG-20).
const NOTHING: ProcessingMode = ProcessingMode {
    request_header_mode: HeaderSendMode::Skip,
    response_header_mode: HeaderSendMode::Skip,
    request_body_mode: BodySendMode::None,
    response_body_mode: BodySendMode::None,
    request_trailer_mode: HeaderSendMode::Skip,
    response_trailer_mode: HeaderSendMode::Skip,
};

static PROCESSING_MODE: Schema = Schema {
    name: "ExtProcProcessingMode",
    title: "",
    fields: &[
        read("request", "nothing is sent", "Requests: headers are sent, and what is named here."),
        read("response", "nothing is sent", "Responses, likewise."),
        read("allowModeOverride", "false", "Let the processor change the processing mode."),
    ],
    unsupported: &[],
};

static SIDE: Schema = Schema {
    name: "ProcessingModeOptions",
    title: "",
    fields: &[
        read("body", "not sent", "Streamed, Buffered, BufferedPartial or FullDuplexStreamed."),
        read("attributes", "[]", "Attributes sent with the first message."),
    ],
    unsupported: &[],
};

static BODY: Enumeration<BodySendMode> = Enumeration {
    values: &[
        ("Streamed", 0, Some(BodySendMode::Streamed)),
        ("Buffered", 1, Some(BodySendMode::Buffered)),
        ("BufferedPartial", 2, Some(BodySendMode::BufferedPartial)),
        ("FullDuplexStreamed", 3, Some(BodySendMode::FullDuplexStreamed)),
    ],
};

/// One side that is present.
struct Side {
    body: BodySendMode,
    trailers: HeaderSendMode,
    attributes: Attributes,
}

pub(super) fn read_modes(entry: &Message<'_>, index: usize, observe: bool) -> Modes {
    let mut modes = Modes {
        mode: NOTHING,
        allow_mode_override: false,
        request_attributes: Attributes::default(),
        response_attributes: Attributes::default(),
        sources: BTreeMap::new(),
    };
    let Some(value) = entry.get("processingMode") else {
        hint(entry.value(), &format!("extProc[{index}] has no processingMode"), observe);
        return modes;
    };
    let Some(message) = value.message(&PROCESSING_MODE) else { return modes };
    modes.sources.insert("processing_mode", Place::of(&value));
    if let Some(allow) = message.get("allowModeOverride") {
        modes.allow_mode_override = allow.boolean().unwrap_or(false);
        modes.sources.insert("allow_mode_override", Place::of(&allow));
    }
    let request = message.get("request").and_then(|side| read_side(&side, "request_attributes", &mut modes));
    let response =
        message.get("response").and_then(|side| read_side(&side, "response_attributes", &mut modes));
    if request.is_none() && response.is_none() {
        hint(&value, &format!("extProc[{index}].processingMode has neither request nor response"), observe);
    }
    if let Some(side) = request {
        modes.mode.request_header_mode = HeaderSendMode::Send;
        modes.mode.request_body_mode = side.body;
        modes.mode.request_trailer_mode = side.trailers;
        modes.request_attributes = side.attributes;
    }
    if let Some(side) = response {
        modes.mode.response_header_mode = HeaderSendMode::Send;
        modes.mode.response_body_mode = side.body;
        modes.mode.response_trailer_mode = side.trailers;
        modes.response_attributes = side.attributes;
    }
    modes
}

/// EG-24; strict reading says as little as the original.
fn hint(value: &Value<'_>, what: &str, observe: bool) {
    if !value.context.options.strict && !observe {
        value.warning(
            format!("{what}: the processor will not receive anything"),
            "add processingMode with \"request: {}\" and \"response: {}\" to send the headers",
        );
    }
}

fn read_side(value: &Value<'_>, source: &'static str, modes: &mut Modes) -> Option<Side> {
    let message = value.message(&SIDE)?;
    let body = message.enumeration("body", &BODY, BodySendMode::None);
    let trailers = match body {
        BodySendMode::FullDuplexStreamed => HeaderSendMode::Send,
        _ => HeaderSendMode::Skip,
    };
    if let Some(attributes) = message.get("attributes") {
        modes.sources.insert(source, Place::of(&attributes));
    }
    Some(Side { body, trailers, attributes: read_attributes(&message.list("attributes")) })
}

/// Beginnings that attributes may have here.
const ATTRIBUTES: [&str; 7] =
    ["connection.", "source.", "destination.", "request.", "response.", "upstream.", "xds.route_"];

fn read_attributes(values: &[Value<'_>]) -> Attributes {
    let mut expressions = Vec::new();
    for value in values {
        let Some(expression) = value.string() else { continue };
        let rest = ATTRIBUTES.iter().find_map(|prefix| expression.strip_prefix(prefix));
        let allowed = |rest: &str| rest.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'1'..=b'9'));
        if !rest.is_some_and(allowed) {
            value.error_with_help(
                format!("\"{expression}\" is not an attribute that may be sent"),
                "attributes of connection, source, destination, request, response, upstream, and xds.route_*",
            );
            continue;
        }
        match Attributes::parse([&expression]) {
            Ok(_) => expressions.push(expression),
            Err(error) => value.error(format!("the attribute \"{}\" {}", error.expression, error.reason)),
        }
    }
    Attributes::parse(expressions).unwrap_or_default()
}

impl Modes {
    /// EG-9, EG-10
    pub(super) fn check(&self, entry: &Value<'_>, fail_open: bool, observe: bool) {
        let bodies = [self.mode.request_body_mode, self.mode.response_body_mode];
        if fail_open && bodies.contains(&BodySendMode::FullDuplexStreamed) {
            entry.error("If FullDuplexStreamed body processing mode is used, FailOpen must be false.");
        }
        let streamed = |body: &BodySendMode| matches!(body, BodySendMode::None | BodySendMode::Streamed);
        if observe && !bodies.iter().all(streamed) {
            entry.error("If shadowMode is enabled, body processing mode must be Streamed or unset.");
        }
    }
}
