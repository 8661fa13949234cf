use bytes::Bytes;
use http::HeaderMap;

use super::*;

/// Everything that comes out of `input`: joined data, trailers, whether the end was seen, and what is left.
fn decode(length: BodyLength, input: &str) -> Result<(String, Option<HeaderMap>, bool, String), CodecError> {
    let mut decoder = BodyDecoder::new(length, HeadLimits::default());
    let mut buffer = BytesMut::from(input);
    let mut data = String::new();
    loop {
        match decoder.decode(&mut buffer)? {
            Decoded::Data(piece) => data.push_str(std::str::from_utf8(&piece).expect("text")),
            Decoded::End => return Ok((data, None, true, left(&buffer))),
            Decoded::Trailers(trailers) => return Ok((data, Some(trailers), true, left(&buffer))),
            Decoded::NeedMore => return Ok((data, None, false, left(&buffer))),
        }
    }
}

fn left(buffer: &BytesMut) -> String {
    String::from_utf8_lossy(buffer).into_owned()
}

#[test]
fn the_end_is_an_event_of_its_own() {
    // B-6.5
    let mut decoder = BodyDecoder::new(BodyLength::Length(3), HeadLimits::default());
    let mut buffer = BytesMut::from("abcGET");
    assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::Data(Bytes::from_static(b"abc"))));
    assert!(!decoder.is_done());
    assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::End));
    assert!(decoder.is_done());
    assert_eq!(buffer, "GET");
}

#[test]
fn chunks_that_arrive_together_are_one_piece() {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked, HeadLimits::default());
    let mut buffer =
        BytesMut::from("0003;a=b\r\nabc\r\nA\r\n0123456789\r\n0 \r\nX-T: v\r\nhost: x\r\n\r\nGET");
    assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::Data(Bytes::from_static(b"abc0123456789"))));
    let Ok(Decoded::Trailers(trailers)) = decoder.decode(&mut buffer) else { panic!("trailers expected") };
    assert_eq!(trailers.len(), 1);
    assert_eq!(trailers["x-t"], "v");
    assert_eq!(buffer, "GET");
}

#[test]
fn bad_chunks_are_refused_after_the_good_ones() {
    for bad in [
        "zz\r\n",
        "3\nabc\n",
        "\r\n",
        " 3\r\nabc",
        "3 3\r\nabc",
        "-1\r\n",
        "11111111111111111\r\n",
        "3;\x01\r\nabc",
        // A stray CR or a form feed is no white space: who ends the line there is a byte apart.
        "5\r\r\nhello",
        "5\x0c\r\nhello",
        "5\x0c;x\r\nhello",
        "5;x\r\r\nhello",
        "5\x0b\r\nhello",
        "8000000000000000\r\n",
        "ffffffffffffffff\r\n",
    ] {
        let mut decoder = BodyDecoder::new(BodyLength::Chunked, HeadLimits::default());
        let mut buffer = BytesMut::from(&*format!("1\r\na\r\n{bad}"));
        assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::Data(Bytes::from_static(b"a"))), "{bad:?}");
        assert_eq!(decoder.decode(&mut buffer), Err(CodecError::Malformed), "{bad:?}");
    }
    assert_eq!(decode(BodyLength::Chunked, "3\r\nabcd").err(), Some(CodecError::Malformed));
    assert_eq!(decode(BodyLength::Chunked, &"1".repeat(5000)).err(), Some(CodecError::Malformed));
    assert_eq!(decode(BodyLength::Chunked, "0\r\na b: c\r\n\r\n").err(), Some(CodecError::Malformed));
}

#[test]
fn trailers_have_limits() {
    let many = format!("0\r\n{}\r\n", "x: y\r\n".repeat(101));
    assert_eq!(decode(BodyLength::Chunked, &many).err(), Some(CodecError::TooManyHeaders));
    let large = format!("0\r\nx: {}", "y".repeat(61 * 1024));
    assert_eq!(decode(BodyLength::Chunked, &large).err(), Some(CodecError::HeadersTooLarge));
}

#[test]
fn only_bodies_framed_by_the_connection_end_with_it() {
    let end = |length| BodyDecoder::new(length, HeadLimits::default()).end_of_input();
    assert_eq!(end(BodyLength::UntilClose), Ok(Decoded::End));
    assert_eq!(end(BodyLength::Raw), Ok(Decoded::End));
    assert_eq!(end(BodyLength::Empty), Ok(Decoded::End));
    assert_eq!(end(BodyLength::Length(1)), Err(CodecError::Malformed));
    assert_eq!(end(BodyLength::Chunked), Err(CodecError::Malformed));
}

#[test]
fn a_chunk_may_be_larger_than_what_has_arrived() {
    assert_eq!(
        decode(BodyLength::Chunked, "7fffffffffffffff\r\nabc"),
        Ok(("abc".into(), None, false, String::new()))
    );
    assert_eq!(decode(BodyLength::UntilClose, "abc"), Ok(("abc".into(), None, false, String::new())));
}

#[test]
fn a_huge_second_chunk_is_no_reason_to_stop() {
    assert_eq!(
        decode(BodyLength::Chunked, "1\r\na\r\n7fffffffffffffff\r\nX"),
        Ok(("aX".into(), None, false, String::new()))
    );
}

#[test]
fn a_look_ahead_goes_on_where_it_was() {
    let whole = "3\r\nabc\r\n5;x\r\nhello\r\n0\r\na: b\r\n\r\nGET";
    let end = whole.len() - 3;
    let mut decoder = BodyDecoder::new(BodyLength::Chunked, HeadLimits::default());
    for length in 0..=whole.len() {
        assert_eq!(decoder.completes_within(&whole.as_bytes()[..length]), length >= end, "{length}");
    }
    let mut buffer = BytesMut::from(&whole[..6]);
    assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::Data(Bytes::from_static(b"abc"))));
    buffer.extend_from_slice(&whole.as_bytes()[6..]);
    assert!(decoder.completes_within(&buffer));
    let mut broken = BodyDecoder::new(BodyLength::Chunked, HeadLimits::default());
    assert!(!broken.completes_within(b"0\r\na b: c\r\n\r\n"));
    assert!(!broken.completes_within(b"0\r\na b: c\r\n\r\nmore"));
}

#[test]
fn trailers_of_lone_line_feeds_are_refused() {
    for bad in ["0\r\na: b\n\n", "0\r\na: b\n\r\n", "0\r\na: b\r\n\n", "0\r\n\n"] {
        assert_eq!(decode(BodyLength::Chunked, bad).err(), Some(CodecError::Malformed), "{bad:?}");
    }
}

#[test]
fn what_has_arrived_can_be_known_to_be_everything() {
    // I-10: whether the request was completely received.
    let completes = |length, text: &str| {
        BodyDecoder::new(length, HeadLimits::default()).completes_within(text.as_bytes())
    };
    assert!(completes(BodyLength::Empty, ""));
    assert!(completes(BodyLength::Length(3), "abcGET"));
    assert!(!completes(BodyLength::Length(3), "ab"));
    assert!(completes(BodyLength::Chunked, "3\r\nabc\r\n0\r\n\r\nGET"));
    assert!(completes(BodyLength::Chunked, "0\r\na: b\r\n\r\n"));
    assert!(!completes(BodyLength::Chunked, "3\r\nabc\r\n0\r\n"));
    assert!(!completes(BodyLength::Chunked, "3\r\nabc\r\nzz\r\n"));
    assert!(!completes(BodyLength::UntilClose, "abc"));
}
