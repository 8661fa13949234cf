//! Picks the endpoint of each request: the one with the fewest requests in progress. It speaks the protocol of endpoint pickers of
//! Gateway API's inference extension: header and metadata name the endpoint, and the gateway sends the request there.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use extproc_server::{Body, Handler, Next, Request, Response};
use http::StatusCode;

/// Where the endpoint is written: a header, and a key of the metadata that load balancers read.
const ENDPOINT: &str = "x-gateway-destination-endpoint";
const NAMESPACE: &str = "envoy.lb";

/// Picks one of these.
pub(crate) fn pick(endpoints: Vec<SocketAddr>) -> impl Handler {
    let endpoints: Arc<[(SocketAddr, AtomicUsize)]> =
        endpoints.into_iter().map(|endpoint| (endpoint, AtomicUsize::new(0))).collect();
    move |mut request: Request, next: Next| {
        let endpoints = endpoints.clone();
        async move {
            let index = (0..endpoints.len()).min_by_key(|index| endpoints[*index].1.load(Relaxed));
            let Some(index) = index else {
                let mut response = Response::new(Body::from("there is no endpoint\n"));
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                return Ok(response);
            };
            let endpoint = endpoints[index].0.to_string();
            endpoints[index].1.fetch_add(1, Relaxed);
            let exchange = next.exchange();
            exchange.on_end(move |_| {
                endpoints[index].1.fetch_sub(1, Relaxed);
            });
            exchange.set_metadata(NAMESPACE, ENDPOINT, endpoint.as_str());
            request.headers_mut().insert(ENDPOINT, endpoint.parse()?);
            exchange.reroute();
            next.run(request).await
        }
    }
}
