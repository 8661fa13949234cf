//! What a processor is sent in each step of an exchange.

use extproc::{Attributes, BodySendMode, HeaderSendMode, Plan, attributes::MappedAttributes};
use serde_json::{Value, json};

use super::settings::{forwarded, namespaces};

/// The steps, in their order.
pub(super) const STEPS: [&str; 6] = [
    "request_headers",
    "request_body",
    "request_trailers",
    "response_headers",
    "response_body",
    "response_trailers",
];

/// What is sent in each step; `limit` is the size of the buffer.
pub(super) fn describe(plan: &Plan, limit: usize) -> Value {
    let mode = plan.processing_mode;
    let request = [
        headers(mode.request_header_mode, plan),
        body(mode.request_body_mode, plan, limit, true),
        trailers(mode.request_trailer_mode, plan),
    ];
    let response = [
        headers(mode.response_header_mode, plan),
        body(mode.response_body_mode, plan, limit, false),
        trailers(mode.response_trailer_mode, plan),
    ];
    let [of_request, of_response] = match &plan.processing_request_modifier {
        None => [None, None],
        Some(modifier) => {
            [Some(&modifier.mapped_request_attributes), Some(&modifier.mapped_response_attributes)]
        }
    };
    let attributes = [(&plan.request_attributes, of_request), (&plan.response_attributes, of_response)];
    let steps = [request, response].into_iter().zip(attributes).flat_map(|(mut steps, (own, mapped))| {
        add_attributes(&mut steps, &names(own, mapped));
        steps
    });
    let steps = STEPS.iter().map(|step| (*step).to_owned()).zip(steps);
    let mut described = Value::Object(steps.collect());
    let metadata = &plan.metadata_options;
    let forwarding = namespaces(&metadata.forwarding_namespaces);
    let of_cluster = namespaces(&metadata.cluster_metadata_forwarding_namespaces);
    if !forwarding.is_empty() {
        described["metadata"] = json!(forwarding);
    }
    if !of_cluster.is_empty() {
        described["metadata_of_cluster"] = json!(of_cluster);
    }
    if plan.allow_mode_override && !plan.observability_mode {
        described["mode_override"] = json!(true);
    }
    described
}

/// they go with the first message of their direction.
fn add_attributes(steps: &mut [Value], attributes: &[&str]) {
    if attributes.is_empty() {
        return;
    }
    if let Some(first) = steps.iter_mut().find(|step| step["sent"] == true) {
        first["attributes"] = json!(attributes);
    }
}

/// What the processor finds attributes under: names of their own replace them (U-1).
fn names<'a>(own: &'a Attributes, mapped: Option<&'a MappedAttributes>) -> Vec<&'a str> {
    match mapped.filter(|mapped| !mapped.is_empty()) {
        Some(mapped) => mapped.iter().map(|(name, _)| name).collect(),
        None => own.expressions().collect(),
    }
}

fn not_sent() -> Value {
    json!({ "sent": false, "what": "not sent" })
}

fn headers(mode: HeaderSendMode, plan: &Plan) -> Value {
    match mode {
        HeaderSendMode::Skip => not_sent(),
        HeaderSendMode::Default | HeaderSendMode::Send => {
            json!({ "sent": true, "what": forwarded(plan, "headers") })
        }
    }
}

fn trailers(mode: HeaderSendMode, plan: &Plan) -> Value {
    match mode {
        HeaderSendMode::Default | HeaderSendMode::Skip => not_sent(),
        HeaderSendMode::Send => json!({ "sent": true, "what": forwarded(plan, "trailers") }),
    }
}

fn body(mode: BodySendMode, plan: &Plan, limit: usize, request: bool) -> Value {
    let observed = plan.observability_mode;
    let what = match mode {
        BodySendMode::None => return not_sent(),
        // B-2.1
        BodySendMode::Grpc => {
            return json!({ "sent": false, "what": "not sent, unless it is whole before the headers are answered" });
        }
        BodySendMode::Streamed if observed => "a copy, piece by piece".to_owned(),
        // V-2
        _ if observed => {
            return json!({ "sent": false, "what": "not sent: only STREAMED bodies are observed" });
        }
        BodySendMode::Streamed => "piece by piece; each waits for its answer".to_owned(),
        BodySendMode::FullDuplexStreamed => {
            "piece by piece; the processor sends the body that goes on".to_owned()
        }
        BodySendMode::Buffered => {
            let status = if request { 413 } else { 500 };
            format!("whole, up to {}; {status} if it is larger", size(limit))
        }
        BodySendMode::BufferedPartial => format!("the first {}; the rest goes by unseen", size(limit)),
    };
    let mut described = json!({ "sent": true, "what": what });
    if matches!(mode, BodySendMode::Buffered | BodySendMode::BufferedPartial) {
        described["limit"] = json!(limit);
    }
    described
}

/// `1 MiB`.
pub(super) fn size(bytes: usize) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{} {name}", bytes / unit);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use extproc::attributes::MappedAttributeBuilder;

    use extproc::ProcessingMode;

    use super::*;

    fn what(mode: ProcessingMode, observability_mode: bool, step: &str) -> String {
        let plan = Plan { processing_mode: mode, observability_mode, ..Plan::new("ext") };
        describe(&plan, 1 << 15)[step]["what"].as_str().unwrap_or_default().to_owned()
    }

    #[test]
    fn bodies_are_told_by_their_mode() {
        let both = |mode| ProcessingMode {
            request_body_mode: mode,
            response_body_mode: mode,
            ..ProcessingMode::default()
        };
        let buffered = both(BodySendMode::Buffered);
        assert_eq!(what(buffered, false, "request_body"), "whole, up to 32 KiB; 413 if it is larger");
        assert_eq!(what(buffered, false, "response_body"), "whole, up to 32 KiB; 500 if it is larger");
        let partial = both(BodySendMode::BufferedPartial);
        assert_eq!(what(partial, false, "request_body"), "the first 32 KiB; the rest goes by unseen");
        // V-2
        assert_eq!(what(buffered, true, "request_body"), "not sent: only STREAMED bodies are observed");
        assert_eq!(what(both(BodySendMode::Streamed), true, "request_body"), "a copy, piece by piece");
        assert_eq!(what(ProcessingMode::default(), false, "response_trailers"), "not sent");
    }

    ///
    #[test]
    fn attributes_go_with_the_first_message_of_their_direction() {
        let mut plan = Plan::new("ext");
        plan.processing_mode.request_header_mode = HeaderSendMode::Skip;
        plan.processing_mode.request_body_mode = BodySendMode::Streamed;
        plan.request_attributes = Attributes::parse(["request.path"]).unwrap();
        let described = describe(&plan, 0);
        assert_eq!(described["request_headers"]["attributes"], Value::Null);
        assert_eq!(described["request_body"]["attributes"], json!(["request.path"]));
        // U-1
        let mapped = [("where".to_owned(), "request.path".to_owned())];
        plan.processing_request_modifier = Some(MappedAttributeBuilder {
            mapped_request_attributes: MappedAttributes::parse(mapped.into()).unwrap(),
            ..MappedAttributeBuilder::default()
        });
        assert_eq!(describe(&plan, 0)["request_body"]["attributes"], json!(["where"]));
    }

    #[test]
    fn sizes_are_told_in_their_largest_unit() {
        assert_eq!([1000, 1 << 10, 3 << 20, 1 << 30].map(size), ["1000 bytes", "1 KiB", "3 MiB", "1 GiB"]);
    }
}
