//! The access log of a gateway whose configuration asks for none of its own: Envoy Gateway's.

use std::sync::Arc;

use tollgate_model::{
    access_log::{AccessLog, JsonFormat, LogFormat, LogSink},
    format::Format,
};

use crate::options::AccessLogForm;

/// Keys and formats, sorted by key as JSON logs are.
const FIELDS: [(&str, &str); 24] = [
    (":authority", "%REQ(:AUTHORITY)%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("duration", "%DURATION%"),
    ("method", "%REQ(:METHOD)%"),
    ("protocol", "%PROTOCOL%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("route_name", "%ROUTE_NAME%"),
    ("start_time", "%START_TIME%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    ("user-agent", "%REQ(USER-AGENT)%"),
    ("x-envoy-origin-path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("x-envoy-upstream-service-time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x-forwarded-for", "%REQ(X-FORWARDED-FOR)%"),
    ("x-request-id", "%REQ(X-REQUEST-ID)%"),
];

/// Envoy's default text format with the details of a response, which say what a failing processor did.
const TEXT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
     %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
     %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
     \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %ROUTE_NAME%\n";

/// The log on standard output that gateways have by default.
pub(super) fn default_logs(form: AccessLogForm) -> Vec<Arc<AccessLog>> {
    default_format(form)
        .map(|format| Arc::new(AccessLog { filter: None, sink: LogSink::Stdout, format }))
        .into_iter()
        .collect()
}

/// The format of such a log; `None` where there is none.
pub(crate) fn default_format(form: AccessLogForm) -> Option<LogFormat> {
    match form {
        AccessLogForm::Off => None,
        AccessLogForm::Text => Format::parse(TEXT).ok().map(LogFormat::Text),
        AccessLogForm::Json => {
            let fields = FIELDS.iter().filter_map(|(key, format)| {
                Some(((*key).to_owned(), JsonFormat::Format(Format::parse(format).ok()?)))
            });
            Some(LogFormat::Json(JsonFormat::Object(fields.collect())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_understood_and_sorted() {
        let Some(LogFormat::Json(JsonFormat::Object(fields))) = default_format(AccessLogForm::Json) else {
            panic!("no JSON");
        };
        assert_eq!(fields.len(), FIELDS.len());
        assert!(fields.is_sorted_by_key(|(key, _)| key.clone()));
        assert!(matches!(default_format(AccessLogForm::Text), Some(LogFormat::Text(_))));
        assert!(default_logs(AccessLogForm::Off).is_empty());
    }
}
