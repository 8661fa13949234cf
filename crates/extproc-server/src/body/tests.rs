//! Bodies that are made of others, however they are cut.

use std::io::Write;

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use http::header::CONTENT_ENCODING;
use http_body::Frame;

use super::*;

/// A body in pieces of this size.
fn cut(text: &[u8], size: usize) -> Body {
    struct Pieces(std::collections::VecDeque<Bytes>);
    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
        }
    }
    Body::new(Pieces(text.chunks(size).map(Bytes::copy_from_slice).collect()))
}

/// The same comes out for every cut.
async fn every_cut(text: &[u8], change: impl Fn(Body) -> Body) -> String {
    let whole = change(Body::from(text.to_vec())).text().await.unwrap();
    for size in 1..=text.len() {
        assert_eq!(change(cut(text, size)).text().await.unwrap(), whole, "in pieces of {size}");
    }
    whole
}

#[tokio::test]
async fn lines() {
    let change = |line: String| (line != "b").then(|| line.to_uppercase());
    let changed = every_cut("a\r\nb\nü\n\nlast".as_bytes(), |body| body.map_lines(change)).await;
    assert_eq!(changed, "A\r\nÜ\n\nLAST");
}

#[tokio::test]
async fn events() {
    let text = b": comment\n\ndata: secret\nid: 7\n\ndata:  kept  \n\nevent: gone\ndata\n\ndata: a\ndata: secret\r\n\r\n";
    let change = |event: Event| {
        (event.event.as_deref() != Some("gone"))
            .then(|| Event { data: event.data.replace("secret", "***"), ..event })
    };
    let changed = every_cut(text, |body| body.map_events(change)).await;
    assert_eq!(changed, ": comment\n\nid: 7\ndata: ***\n\ndata:  kept  \n\ndata: a\ndata: ***\n\n");
}

#[tokio::test]
async fn json() {
    let redact = |value: &mut serde_json::Value| {
        if let Some(name) = value.get_mut("name") {
            *name = "***".into();
        }
    };
    let changed = every_cut(br#"{"name":"x", "a" : 1}"#, |body| body.map_json(redact)).await;
    assert_eq!(changed, r#"{"a":1,"name":"***"}"#);
    let same = every_cut(br#"{ "a" : 1 }"#, |body| body.map_json(redact)).await;
    assert_eq!(same, r#"{ "a" : 1 }"#);
    let values =
        every_cut(b"{\"name\":\"x\"}\n{ \"a\" : 1 }\n12 34\n", |body| body.map_json_values(redact)).await;
    assert_eq!(values, "{\"name\":\"***\"}\n{ \"a\" : 1 }\n12 34\n");
    assert_eq!(Body::empty().map_json(redact).text().await.unwrap(), "");
    Body::from("no JSON").map_json(redact).text().await.unwrap_err();
}

#[tokio::test]
async fn compressed() {
    let text = "a secret ".repeat(5000);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(text.as_bytes()).unwrap();
    for (encoding, bytes) in [("gzip", gzip.finish().unwrap()), ("deflate", zlib.finish().unwrap())] {
        for size in [1, 7, bytes.len()] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
            let body = decompressed(&mut headers, cut(&bytes, size)).unwrap();
            assert_eq!(body.text().await.unwrap(), text);
            assert!(headers.is_empty());
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
        let broken = decompressed(&mut headers, Body::from(b"nonsense".to_vec())).unwrap();
        broken.bytes().await.unwrap_err();
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_ENCODING, "br".parse().unwrap());
    decompressed(&mut headers, Body::empty()).unwrap_err();
}

#[tokio::test]
async fn what_is_too_large_is_an_error() {
    let large = || Body::from(vec![b'a'; DEFAULT_LIMIT + 1]);
    for result in [
        large().bytes().await,
        large().map_lines(Some).collect(usize::MAX).await,
        large().map_text(|text| text).collect(usize::MAX).await,
    ] {
        assert_eq!(result.unwrap_err().downcast_ref(), Some(&TooLarge { limit: DEFAULT_LIMIT }));
    }
    assert_eq!(large().collect(DEFAULT_LIMIT + 1).await.unwrap().len(), DEFAULT_LIMIT + 1);
    Body::from(vec![0xff]).map_text(|text| text).bytes().await.unwrap_err();
}

#[tokio::test]
async fn trailers_survive() {
    struct Ended(bool);
    impl http_body::Body for Ended {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Ready(None);
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("x-end", "1".parse().unwrap());
            Poll::Ready(Some(Ok(Frame::trailers(trailers))))
        }
    }
    let mut body = Body::new(Ended(false))
        .map_trailers(|trailers| drop(trailers.insert("x-more", "2".parse().unwrap())));
    let frame =
        std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.unwrap().unwrap();
    let trailers = frame.into_trailers().unwrap();
    assert_eq!((trailers.len(), &trailers["x-end"]), (2, &"1".parse().unwrap()));
}
