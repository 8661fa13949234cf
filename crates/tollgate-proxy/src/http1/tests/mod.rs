mod body;
mod encode;
mod properties;
mod request;
mod response;

use bytes::BytesMut;

use super::*;

fn request(text: &str) -> Result<Option<RequestHead>, CodecError> {
    RequestReader::default().read(&mut BytesMut::from(text), &HeadLimits::default(), false)
}

fn accepted(text: &str) -> RequestHead {
    request(text).expect("accepted").expect("complete")
}

fn response(text: &str, kind: RequestKind) -> Result<Option<ResponseHead>, CodecError> {
    ResponseReader::default().read(&mut BytesMut::from(text), &HeadLimits::default(), kind)
}

/// Everything a queue would write.
fn written(mut queue: WriteQueue) -> String {
    struct Sink(Vec<u8>);
    impl tokio::io::AsyncWrite for Sink {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            // One byte less than offered now and then, so that partial writes are exercised.
            let taken = if bytes.len() > 5 { bytes.len() - 3 } else { bytes.len() };
            self.0.extend_from_slice(&bytes[..taken]);
            std::task::Poll::Ready(Ok(taken))
        }
        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
        fn poll_shutdown(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }
    let mut sink = Sink(Vec::new());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(queue.poll_flush(&mut sink, &mut cx).is_ready());
    assert!(queue.is_empty());
    String::from_utf8(sink.0).expect("text")
}
