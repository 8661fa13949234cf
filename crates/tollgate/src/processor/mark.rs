//! Leaves marks on what passes, to see that it passed: the demonstration of Envoy Gateway's documentation.
//!
//! Requests get `x-request-ext-processed: true` and the name of their route, responses `x-response-ext-processed: true`. A
//! request header `x-request-client-header` is replaced, its value goes on in `x-request-client-header-received`. What is known
//! by attributes and by metadata of an authorization filter comes back in headers, and both directions write dynamic metadata.

use extproc_server::{Direction, Exchange, Next, Request, Response, Result};
use http::HeaderValue;

/// Namespace of the metadata that is written.
const NAMESPACE: &str = "io.envoyproxy.gateway.e2e";

pub(crate) async fn mark(mut request: Request, next: Next) -> Result<Response> {
    let exchange = next.exchange();
    if exchange.shows_head(Direction::Request) {
        let headers = request.headers_mut();
        headers.insert("x-request-ext-processed", HeaderValue::from_static("true"));
        headers.insert("x-request-xds-route-name", attribute(&exchange, "xds.route_name")?);
        if let Some(received) = headers.get("x-request-client-header").cloned() {
            headers.insert("x-request-client-header", HeaderValue::from_static("mutated"));
            headers.insert("x-request-client-header-received", received);
        }
        exchange.set_metadata(NAMESPACE, "ext-proc-emitted-metadata", "received");
    }
    let mut response = next.run(request).await?;
    if exchange.shows_head(Direction::Response) {
        let headers = response.headers_mut();
        headers.insert("x-response-ext-processed", HeaderValue::from_static("true"));
        headers.insert("x-response-xds-route-name", attribute(&exchange, "xds.route_name")?);
        let authorization = exchange.metadata("envoy.filters.http.rbac").unwrap_or_default();
        if let Some(result) = authorization["enforced_engine_result"].as_str() {
            headers.insert("x-response-rbac-result-metadata", result.parse()?);
        }
        if exchange.attribute("request.path").is_some() {
            headers.insert("x-response-request-path", attribute(&exchange, "request.path")?);
        }
        exchange.set_metadata(NAMESPACE, "request_cost_set_by_ext_proc", 10);
    }
    Ok(response)
}

/// The text of an attribute; empty if it was not sent.
fn attribute(exchange: &Exchange, name: &str) -> Result<HeaderValue> {
    let value = exchange.attribute(name).unwrap_or_default();
    Ok(value.as_str().unwrap_or_default().parse()?)
}
