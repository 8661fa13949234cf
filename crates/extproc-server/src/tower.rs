//! Layers of `tower`.

use std::{
    any::Any,
    future::Future,
    marker::PhantomData,
    task::{Context, Poll},
};

use bytes::Bytes;
use tower_layer::Layer;
use tower_service::Service;

use crate::{Body, BoxError, Handler, Next, Request, Response, Result, next::Running};

impl<B> Service<http::Request<B>> for Next
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = BoxError;
    type Future = Running;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Running {
        Self::call(self, request.map(body))
    }
}

/// A layer of `tower` as a handler: its service stands between the gateway and what comes [`Next`].
///
/// ```
/// use extproc_server::{Server, layer};
/// use http::{HeaderName, HeaderValue};
/// use tower_http::set_header::SetResponseHeaderLayer;
///
/// let name = HeaderName::from_static("x-content-type-options");
/// let value = HeaderValue::from_static("nosniff");
/// let server = Server::new(layer(SetResponseHeaderLayer::if_not_present(name, value)));
/// # drop(server);
/// ```
pub fn layer<L, B>(layer: L) -> Layered<L, B>
where
    Layered<L, B>: Handler,
{
    Layered { layer, body: PhantomData }
}

/// The handler of [`layer`].
#[derive(Debug, Clone)]
pub struct Layered<L, B> {
    layer: L,
    body: PhantomData<fn() -> B>,
}

impl<L, S, B> Handler for Layered<L, B>
where
    L: Layer<Next, Service = S> + Send + Sync + 'static,
    S: Service<Request, Response = http::Response<B>, Error: Into<BoxError>, Future: Send> + Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    fn handle(
        &self,
        request: Request,
        next: Next,
    ) -> impl Future<Output = Result<Response>> + Send + 'static {
        let mut service = self.layer.layer(next);
        async move {
            std::future::poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
            let response = service.call(request).await.map_err(Into::into)?;
            Ok(response.map(body))
        }
    }
}

/// A body as ours: the same one, if it is one.
fn body<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let mut slot = Some(body);
    if let Some(ours) = (&mut slot as &mut dyn Any).downcast_mut::<Option<Body>>() {
        return ours.take().unwrap_or_default();
    }
    slot.map(Body::new).unwrap_or_default()
}
