//! Leaves marks on what passes, to see that it passed: the demonstration of Envoy Gateway's documentation.
//!
//! Requests get `x-request-ext-processed: true` and the name of their route, responses `x-response-ext-processed: true`.
//! A request header `x-request-client-header` is replaced, its value goes on in `x-request-client-header-received`. What is
//! known by attributes and by metadata of an authorization filter comes back in headers, and both directions write dynamic
//! metadata. Bodies and trailers go on as they are.

use extproc_server::{
    Processor, Status, continue_with,
    messages::{
        CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption, HttpHeaders, ProcessingRequest,
        ProcessingResponse, Struct, Value, processing_request::Request, value::Kind,
    },
};

/// The processor; it keeps nothing between messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark;

/// Where attributes come.
const ATTRIBUTES: &str = "envoy.filters.http.ext_proc";
/// Namespace of the metadata that is written.
const NAMESPACE: &str = "io.envoyproxy.gateway.e2e";
/// Namespace and key of what an authorization filter says.
const AUTHORIZATION: (&str, &str) = ("envoy.filters.http.rbac", "enforced_engine_result");

impl Processor for Mark {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        let mut metadata = None;
        let set_headers = match &request.request {
            Some(Request::RequestHeaders(headers)) => {
                metadata =
                    Some(written("ext-proc-emitted-metadata", Kind::StringValue("received".to_owned())));
                on_request(headers, &request)
            }
            Some(Request::ResponseHeaders(_)) => {
                metadata = Some(written("request_cost_set_by_ext_proc", Kind::NumberValue(10.0)));
                on_response(&request)
            }
            _ => Vec::new(),
        };
        let mut response = CommonResponse::default();
        if !set_headers.is_empty() {
            response.header_mutation = Some(HeaderMutation { set_headers, remove_headers: Vec::new() });
        }
        let reply = continue_with(&request, response)?;
        Ok(ProcessingResponse { dynamic_metadata: metadata, ..reply })
    }
}

fn on_request(headers: &HttpHeaders, request: &ProcessingRequest) -> Vec<HeaderValueOption> {
    let mut fields = headers.headers.iter().flat_map(|map| &map.headers);
    let mut set_headers = vec![
        set("x-request-ext-processed", "true"),
        set("x-request-xds-route-name", attribute(request, "xds.route_name").unwrap_or_default()),
    ];
    if let Some(client) = fields.find(|field| field.key == "x-request-client-header") {
        set_headers.push(set("x-request-client-header", "mutated"));
        set_headers.push(set("x-request-client-header-received", &client.raw_value));
    }
    set_headers
}

fn on_response(request: &ProcessingRequest) -> Vec<HeaderValueOption> {
    let mut set_headers = vec![
        set("x-response-ext-processed", "true"),
        set("x-response-xds-route-name", attribute(request, "xds.route_name").unwrap_or_default()),
    ];
    let (namespace, key) = AUTHORIZATION;
    let metadata = request.metadata_context.as_ref();
    let authorization = metadata.and_then(|metadata| metadata.filter_metadata.get(namespace));
    if let Some(result) = authorization.and_then(|found| text(found, key)) {
        set_headers.push(set("x-response-rbac-result-metadata", result));
    }
    if let Some(path) = attribute(request, "request.path") {
        set_headers.push(set("x-response-request-path", path));
    }
    set_headers
}

/// An attribute that was sent with this message.
fn attribute(request: &ProcessingRequest, name: &str) -> Option<String> {
    text(request.attributes.get(ATTRIBUTES)?, name)
}

fn text(of: &Struct, key: &str) -> Option<String> {
    match of.fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

/// A value of our namespace.
fn written(key: &str, kind: Kind) -> Struct {
    let one = |key: &str, kind| Struct { fields: [(key.to_owned(), Value { kind: Some(kind) })].into() };
    one(NAMESPACE, Kind::StructValue(one(key, kind)))
}

/// Replaces a header.
fn set(key: &str, value: impl AsRef<[u8]>) -> HeaderValueOption {
    let raw_value = value.as_ref().to_vec().into();
    let header = HeaderValue { key: key.to_owned(), raw_value, ..Default::default() };
    HeaderValueOption { header: Some(header), ..Default::default() }
}

#[cfg(test)]
mod tests;
