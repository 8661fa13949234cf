//! How calls to processors begin.

use extproc_client::GrpcStatus;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tollgate_model::processor::{GrpcService, GrpcTarget};

use crate::{
    base64,
    connection_manager::append_to_forwarded_for,
    format::{FormatContext, evaluate_header},
    transaction::core::Core,
    upstream::{Processor, ProcessorCall},
};

/// Begins a call to a processor.
pub(super) fn open(core: &Core, processor: &Processor) -> Result<ProcessorCall, GrpcStatus> {
    let Some(client) = &processor.client else {
        return Err(extproc_client::PickError::ClusterNotAvailable.into());
    };
    client.open(head(core, processor))
}

/// The head of the side stream (N-2, N-3).
fn head(core: &Core, processor: &Processor) -> http::Request<()> {
    let mut request = http::Request::new(());
    *request.method_mut() = Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    *request.uri_mut() = processor.uri.clone();
    *request.headers_mut() = fields(core, &processor.settings.grpc_service);
    request
}

/// What is configured comes first and is joined or replaced by what every call needs. Values that turn out empty are
/// left out.
fn fields(core: &Core, service: &GrpcService) -> HeaderMap {
    let context = FormatContext { info: &core.info, messages: &core.messages, logs: &[] };
    let mut fields = HeaderMap::new();
    for (name, format) in &service.initial_metadata {
        let value = evaluate_header(format, &context);
        if let Some((name, value)) = metadata_entry(name, value, &service.target) {
            fields.insert(name, value);
        }
    }
    fields.insert("te", HeaderValue::from_static("trailers"));
    fields.insert("content-type", HeaderValue::from_static("application/grpc"));
    if !service.skip_envoy_headers {
        fields.insert("x-envoy-internal", HeaderValue::from_static("true"));
        append_to_forwarded_for(&mut fields, &core.worker.own_address_value);
    }
    fields
}

/// An entry of the metadata of a call; none if it is empty. Values of `-bin` keys are base64-coded, which gRPC's own
/// client does without padding.
fn metadata_entry(name: &str, value: Vec<u8>, target: &GrpcTarget) -> Option<(HeaderName, HeaderValue)> {
    if value.is_empty() {
        return None;
    }
    let name = HeaderName::try_from(name).ok()?;
    let value = match (name.as_str().ends_with("-bin"), target) {
        (false, _) => value,
        (true, GrpcTarget::EnvoyGrpc(_)) => base64::encode(&value, true).into_bytes(),
        (true, GrpcTarget::GoogleGrpc(_)) => base64::encode(&value, false).into_bytes(),
    };
    Some((name, HeaderValue::try_from(value).ok()?))
}
