//! Requests of checks over HTTP/1.1.

use std::{future::poll_fn, io};

use bytes::BytesMut;
use extproc::RequestHeaders;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::io::AsyncReadExt;
use tollgate_model::cluster::HttpHealthCheck;

use super::Finding;
use crate::{
    http1::{BodyDecoder, Decoded, HeadLimits, RequestKind, ResponseReader, WriteQueue, encode_request},
    upstream::pool::transport::Transport,
};

const LIMITS: HeadLimits = HeadLimits { max_bytes: 80 * 1024, max_count: 100 };
/// Most bytes of an answer's body that are read to use the connection again.
const MOST_BODY: usize = 256 * 1024;

/// A connection for checks.
#[derive(Debug)]
pub(super) struct Http1 {
    transport: Transport,
    received: BytesMut,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    pub(super) keep_alive: bool,
}

/// The head of a request.
pub(super) fn head(
    check: &HttpHealthCheck,
    authority: &str,
    fields: HeaderMap,
) -> Result<RequestHeaders, Finding> {
    let text = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| Finding::Unreachable(format!("\"{text}\" cannot be sent")))
    };
    Ok(RequestHeaders {
        method: check.method.clone(),
        scheme: HeaderValue::from_static("http"),
        authority: text(authority)?,
        path: text(&check.path)?,
        fields,
    })
}

impl Http1 {
    pub(super) fn new(transport: Transport) -> Self {
        Self { transport, received: BytesMut::new() }
    }

    /// Sends a request without a body and reads its answer.
    pub(super) async fn exchange(&mut self, head: &RequestHeaders) -> Result<Answer, Finding> {
        let mut queue = WriteQueue::default();
        encode_request(&mut queue, head, true);
        poll_fn(|cx| queue.poll_flush(&mut self.transport, cx)).await.map_err(|error| lost(&error))?;
        let kind = RequestKind::of(&head.method, false);
        let mut reader = ResponseReader::default();
        let response = loop {
            match reader.read(&mut self.received, &LIMITS, kind) {
                Ok(Some(response)) if response.is_informational() => {}
                Ok(Some(response)) => break response,
                Ok(None) => self.fill().await?,
                Err(_) => return Err(Finding::Unreachable("protocol error".to_owned())),
            }
        };
        let mut decoder = BodyDecoder::new(response.body, LIMITS);
        let mut keep_alive = response.keep_alive;
        let mut size = 0;
        while keep_alive {
            match decoder.decode(&mut self.received) {
                Ok(Decoded::Data(data)) => {
                    size += data.len();
                    keep_alive = size <= MOST_BODY;
                }
                Ok(Decoded::End | Decoded::Trailers(_)) => break,
                Ok(Decoded::NeedMore) => self.fill().await?,
                Err(_) => return Err(Finding::Unreachable("protocol error".to_owned())),
            }
        }
        Ok(Answer { status: response.headers.status, fields: response.headers.fields, keep_alive })
    }

    async fn fill(&mut self) -> Result<(), Finding> {
        self.received.reserve(4096);
        match self.transport.read_buf(&mut self.received).await {
            Ok(0) => Err(Finding::Unreachable("the connection was closed".to_owned())),
            Ok(_) => Ok(()),
            Err(error) => Err(lost(&error)),
        }
    }

    /// Waits until the host closes the connection, or sends what nobody has asked for.
    pub(super) async fn until_closed(&mut self) {
        if self.received.is_empty() {
            let _ = self.transport.read_u8().await;
        }
    }
}

fn lost(error: &io::Error) -> Finding {
    Finding::Unreachable(error.to_string())
}
