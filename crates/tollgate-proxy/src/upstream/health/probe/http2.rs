//! Requests of checks over HTTP/2.

use bytes::Bytes;
use h2::{
    RecvStream,
    client::{ResponseFuture, SendRequest},
};
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use tokio::task::JoinHandle;
use tollgate_model::cluster::HttpHealthCheck;

use super::Finding;
use crate::upstream::pool::transport::Transport;

/// A connection for checks, and the task that drives it.
#[derive(Debug)]
pub(super) struct Http2 {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<()>,
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The request of an HTTP check.
pub(super) fn request(
    check: &HttpHealthCheck,
    authority: &str,
    scheme: &str,
    fields: HeaderMap,
) -> Result<Request<()>, Finding> {
    let mut request = bare(authority, scheme, &check.path)?;
    *request.method_mut() = check.method.clone();
    *request.headers_mut() = fields;
    Ok(request)
}

/// A request with nothing but pseudo-headers.
pub(super) fn bare(authority: &str, scheme: &str, path: &str) -> Result<Request<()>, Finding> {
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
    let uri = uri.map_err(|_| Finding::Unreachable(format!("\"{authority}{path}\" cannot be asked for")))?;
    let mut request = Request::new(());
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    Ok(request)
}

impl Http2 {
    /// Speaks HTTP/2 on a connection.
    pub(super) async fn new(transport: Transport) -> Result<Self, Finding> {
        let (sender, connection) = h2::client::handshake(transport).await.map_err(|error| lost(&error))?;
        // Why it ends is seen by the requests.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, driver })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.driver.is_finished()
    }

    /// Sends a request without a body; the answer's body is not wanted.
    pub(super) async fn exchange(
        &mut self,
        request: Request<()>,
    ) -> Result<(StatusCode, HeaderMap), Finding> {
        let (response, _) = self.begin(request, None).await?;
        let (head, _) = response.into_parts();
        Ok((head.status, head.headers))
    }

    /// Sends a request with this body, or none, and waits for the head of the answer.
    pub(super) async fn begin(
        &mut self,
        request: Request<()>,
        body: Option<Bytes>,
    ) -> Result<(Response<()>, RecvStream), Finding> {
        std::future::poll_fn(|cx| self.sender.poll_ready(cx)).await.map_err(|error| lost(&error))?;
        let (response, mut sending): (ResponseFuture, _) =
            self.sender.send_request(request, body.is_none()).map_err(|error| lost(&error))?;
        if let Some(body) = body {
            sending.send_data(body, true).map_err(|error| lost(&error))?;
        }
        let (head, body) = response.await.map_err(|error| lost(&error))?.into_parts();
        Ok((Response::from_parts(head, ()), body))
    }

    /// Waits until the connection has ended.
    pub(super) async fn until_closed(&mut self) {
        let _ = (&mut self.driver).await;
    }
}

pub(super) fn lost(error: &h2::Error) -> Finding {
    Finding::Unreachable(error.to_string())
}
