//! `grpc.health.v1.Health/Check`.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, header};
use tollgate_model::cluster::GrpcHealthCheck;

use super::{
    AGENT, Finding,
    http2::{self, Http2, lost},
};

const PATH: &str = "/grpc.health.v1.Health/Check";
const GRPC_STATUS: &str = "grpc-status";
const GRPC_TIMEOUT: &str = "grpc-timeout";
/// Most bytes of an answer: the message has one number.
const MOST: usize = 1024;
/// `SERVING`
const SERVING: u8 = 1;

/// Asks about a service.
pub(super) async fn ask(
    connection: &mut Http2,
    check: &GrpcHealthCheck,
    authority: &str,
    scheme: &str,
    timeout: Duration,
) -> Finding {
    match call(connection, check, authority, scheme, timeout).await {
        Ok(finding) | Err(finding) => finding,
    }
}

async fn call(
    connection: &mut Http2,
    check: &GrpcHealthCheck,
    authority: &str,
    scheme: &str,
    timeout: Duration,
) -> Result<Finding, Finding> {
    let mut request = http2::bare(authority, scheme, PATH)?;
    *request.method_mut() = Method::POST;
    let fields = request.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    fields.insert(header::TE, HeaderValue::from_static("trailers"));
    fields.insert(header::USER_AGENT, AGENT);
    if let Ok(timeout) = HeaderValue::from_str(&format!("{}m", timeout.as_millis().min(99_999_999))) {
        fields.insert(GRPC_TIMEOUT, timeout);
    }
    for (name, value) in &check.initial_metadata {
        fields.append(name, value.clone());
    }
    let (response, mut body) = connection.begin(request, Some(question(&check.service_name))).await?;
    if response.status() != http::StatusCode::OK {
        return Ok(Finding::Unwell(format!("status {}", response.status().as_u16())));
    }
    let mut message = BytesMut::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(|error| lost(&error))?;
        let _ = body.flow_control().release_capacity(piece.len());
        message.extend_from_slice(&piece);
        if message.len() > MOST {
            return Ok(Finding::Unwell("the answer is too long".to_owned()));
        }
    }
    let trailers = body.trailers().await.map_err(|error| lost(&error))?.unwrap_or_default();
    let status = grpc_status(&trailers).or_else(|| grpc_status(response.headers()));
    Ok(match (status, serving(&message)) {
        (Some(0), Some(SERVING)) => Finding::Well { degraded: false },
        (Some(0), Some(other)) => Finding::Unwell(format!("serving status {other}")),
        (Some(0), None) => Finding::Unwell("the answer is no health check response".to_owned()),
        (Some(status), _) => Finding::Unwell(format!("gRPC status {status}")),
        (None, _) => Finding::Unwell("no gRPC status".to_owned()),
    })
}

fn grpc_status(fields: &HeaderMap) -> Option<u32> {
    fields.get(GRPC_STATUS)?.to_str().ok()?.parse().ok()
}

/// `HealthCheckRequest {service = 1}`, with the prefix of gRPC.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(1 << 3 | 2);
        put_varint(&mut message, service.len());
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.unsplit(message);
    framed.freeze()
}

fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
    out.put_u8(value as u8);
}

/// The `status` of a `HealthCheckResponse`: its only field, of one byte. Without it, it is 0.
fn serving(framed: &[u8]) -> Option<u8> {
    let (prefix, message) = framed.split_at_checked(5)?;
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    if prefix[0] != 0 || message.len() != length {
        return None;
    }
    match message {
        [] => Some(0),
        [8, status] => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_name_the_service() {
        assert_eq!(question(""), [0, 0, 0, 0, 0][..]);
        assert_eq!(question("ab"), [0, 0, 0, 0, 4, 10, 2, b'a', b'b'][..]);
        let long = question(&"x".repeat(200));
        assert_eq!(long[..8], [0, 0, 0, 0, 203, 10, 200, 1]);
        assert_eq!(long.len(), 208);
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(serving(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(serving(&[0, 0, 0, 0, 2, 8, 2]), Some(2));
        assert_eq!(serving(&[0, 0, 0, 0, 0]), Some(0));
        for wrong in [&[][..], &[0, 0, 0, 0], &[1, 0, 0, 0, 0], &[0, 0, 0, 0, 3, 8, 1], &[0, 0, 0, 0, 1, 8]] {
            assert_eq!(serving(wrong), None, "{wrong:?}");
        }
    }
}
