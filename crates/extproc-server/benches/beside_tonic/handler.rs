//! What both servers do: mark heads, and change bodies.

use bytes::{Bytes, BytesMut};
use extproc_server::{Next, Request, Response, Result};
use http::HeaderValue;

pub(crate) const NAME: &str = "x-seen";
pub(crate) const VALUE: &str = "yes";

/// Of the same length, as a censor would.
pub(crate) fn change(body: Bytes) -> Bytes {
    let mut body = BytesMut::from(body);
    body.make_ascii_uppercase();
    body.freeze()
}

/// Only heads.
pub(crate) async fn heads(mut request: Request, next: Next) -> Result<Response> {
    request.headers_mut().insert(NAME, HeaderValue::from_static(VALUE));
    let mut response = next.run(request).await?;
    response.headers_mut().insert(NAME, HeaderValue::from_static(VALUE));
    Ok(response)
}

/// Bodies, too.
pub(crate) async fn bodies(mut request: Request, next: Next) -> Result<Response> {
    request.headers_mut().insert(NAME, HeaderValue::from_static(VALUE));
    let mut response = next.run(request.map(|body| body.map_chunks(change))).await?;
    response.headers_mut().insert(NAME, HeaderValue::from_static(VALUE));
    Ok(response.map(|body| body.map_chunks(change)))
}
