use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::{collection::vec, prelude::*};

use super::*;

/// Reads a whole connection's worth of requests, fed in pieces, into a comparable transcript: heads, joined bodies,
/// trailers, the error if any.
fn transcript(input: &[u8], cuts: &[usize]) -> Vec<String> {
    let limits = HeadLimits { max_bytes: 2000, max_count: 20 };
    let mut events: Vec<String> = Vec::new();
    let mut buffer = BytesMut::new();
    let mut reader = RequestReader::default();
    let mut body: Option<(BodyDecoder, Vec<u8>)> = None;
    let mut from = 0;
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    ends.push(input.len());
    ends.sort_unstable();
    for end in ends {
        buffer.extend_from_slice(&input[from..end]);
        from = end;
        loop {
            match &mut body {
                None => match reader.read(&mut buffer, &limits, true) {
                    Ok(Some(head)) => {
                        events.push(format!("{:?} {:?} {:?}", head.headers, head.body, head.keep_alive));
                        body = Some((BodyDecoder::new(head.body, limits), Vec::new()));
                    }
                    Ok(None) => break,
                    Err(error) => return with(events, error.details().to_owned()),
                },
                Some((decoder, data)) => match decoder.decode(&mut buffer) {
                    Ok(Decoded::Data(piece)) => {
                        assert!(!piece.is_empty());
                        data.extend_from_slice(&piece);
                    }
                    Ok(Decoded::NeedMore) => break,
                    Ok(end) => {
                        events.push(format!("{data:?} {end:?}"));
                        body = None;
                    }
                    Err(error) => return with(events, format!("{data:?} {}", error.details())),
                },
            }
        }
    }
    let rest = body.map(|(_, data)| data);
    with(events, format!("{rest:?} {:?}", buffer.len()))
}

fn with(mut events: Vec<String>, last: String) -> Vec<String> {
    events.push(last);
    events
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "GET / HTTP/1.1\r\n", "POST /a HTTP/1.1\r\n", "host: h\r\n", "\r\n", "content-length: 5\r\n", "hello",
            "transfer-encoding: chunked\r\n", "5\r\nhello\r\n", "0\r\n", "x: y\r\n", "3;e\r\nabc\r\n", "\n", "\r",
            "connection: upgrade\r\nupgrade: w\r\n", "x: y\n", "foo: bar\r\n\r\n",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..6),
    ]
}

/// The same messages. A last head that is bad and unfinished may be refused early (or for its size) in one split and
/// be waited for in another.
fn assert_same(left: &[String], right: &[String]) -> Result<(), TestCaseError> {
    let (Some((left_last, left)), Some((right_last, right))) = (left.split_last(), right.split_last()) else {
        return Err(TestCaseError::fail("a transcript has an end"));
    };
    prop_assert_eq!(left, right);
    let is_open = |last: &str| last.starts_with("None ") || last == "http1.headers_too_large";
    let is_refused = |last: &str| last.starts_with("http1.") || last == "low_version";
    let differ_in_time =
        (is_open(left_last) && is_refused(right_last)) || (is_open(right_last) && is_refused(left_last));
    if !differ_in_time {
        prop_assert_eq!(left_last, right_last);
    }
    Ok(())
}

/// A request as a client could build it.
fn request_strategy() -> impl Strategy<Value = (Method, HeaderMap, Vec<Vec<u8>>, Option<HeaderMap>, bool)> {
    let field = || {
        ("x-[a-z]{1,8}", "[ -~]{0,12}").prop_map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value.trim()).unwrap())
        })
    };
    let map = move || vec(field(), 0..6).prop_map(|fields| fields.into_iter().collect::<HeaderMap>());
    (
        prop::sample::select(vec![Method::GET, Method::POST, Method::PUT]),
        map(),
        vec(vec(any::<u8>(), 0..300), 0..5),
        proptest::option::of(map()),
        any::<bool>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_split_of_the_input_gives_the_same_messages(
        pieces in vec(piece(), 0..24),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let input = pieces.concat();
        let whole = transcript(&input, &[]);
        let every_byte: Vec<usize> = (0..input.len()).collect();
        assert_same(&transcript(&input, &cuts), &whole)?;
        assert_same(&transcript(&input, &every_byte), &whole)?;
    }

    #[test]
    fn what_is_encoded_is_decoded_again(
        (method, fields, body, trailers, declare_length) in request_strategy(),
        cuts in vec(any::<usize>(), 0..8),
    ) {
        let total: Vec<u8> = body.concat();
        let mut head = extproc::RequestHeaders {
            method,
            scheme: HeaderValue::from_static("http"),
            authority: HeaderValue::from_static("h"),
            path: HeaderValue::from_static("/p"),
            fields,
        };
        if declare_length {
            head.fields.insert("content-length", HeaderValue::from(total.len()));
        }
        let end_stream = body.is_empty() && trailers.is_none();
        let mut out = WriteQueue::default();
        let encoder = encode_request(&mut out, &head, end_stream);
        if !end_stream {
            for piece in &body {
                encoder.data(&mut out, Bytes::copy_from_slice(piece).into(), false);
            }
            match &trailers {
                Some(trailers) => encoder.trailers(&mut out, trailers, true),
                None => encoder.data(&mut out, Bytes::new().into(), true),
            }
        }
        let text = bytes_of(out);
        let mut buffer = BytesMut::from(&text[..]);
        let read = RequestReader::default().read(&mut buffer, &HeadLimits::default(), false).unwrap().unwrap();
        prop_assert_eq!(&read.headers.method, &head.method);
        prop_assert_eq!(&read.headers.path, &head.path);
        prop_assert_eq!(&read.headers.authority, &head.authority);
        for (name, value) in &head.fields {
            prop_assert!(read.headers.fields.get_all(name).iter().any(|found| found == value));
        }
        let mut decoder = BodyDecoder::new(read.body, HeadLimits::default());
        let mut data = Vec::new();
        let end = loop {
            match decoder.decode(&mut buffer).unwrap() {
                Decoded::Data(piece) => data.extend_from_slice(&piece),
                Decoded::NeedMore => prop_assert!(false, "incomplete"),
                end => break end,
            }
        };
        prop_assert_eq!(data, total);
        prop_assert!(buffer.is_empty());
        if let (Some(trailers), BodyEncoder::Chunked) = (trailers, encoder) {
            let expected = if trailers.is_empty() { Decoded::End } else { Decoded::Trailers(trailers) };
            prop_assert_eq!(end, expected);
        }
        prop_assert_eq!(transcript(&text, &cuts), transcript(&text, &[]));
    }
}

fn bytes_of(mut queue: WriteQueue) -> Vec<u8> {
    let mut sink = Vec::new();
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(queue.poll_flush(&mut sink, &mut cx).is_ready());
    sink
}
