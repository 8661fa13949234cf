use http::StatusCode;

use super::*;

fn framing(text: &str, kind: RequestKind) -> Result<(BodyLength, bool), CodecError> {
    response(text, kind).map(|head| head.map(|head| (head.body, head.keep_alive)).expect("complete"))
}

#[test]
fn body_length_follows_rfc_9112_section_6_3() {
    use RequestKind::*;
    let ok = |fields: &str, kind| framing(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), kind);
    assert_eq!(ok("content-length: 3\r\n", Ordinary), Ok((BodyLength::Length(3), true)));
    assert_eq!(ok("content-length: 0\r\n", Ordinary), Ok((BodyLength::Empty, true)));
    assert_eq!(ok("transfer-encoding: chunked\r\n", Ordinary), Ok((BodyLength::Chunked, true)));
    assert_eq!(ok("", Ordinary), Ok((BodyLength::UntilClose, false)));
    assert_eq!(
        ok("content-length: 3\r\nconnection: close\r\n", Ordinary),
        Ok((BodyLength::Length(3), false))
    );
    assert_eq!(ok("content-length: 3\r\n", Head), Ok((BodyLength::Empty, true)));
    assert_eq!(ok("transfer-encoding: chunked\r\n", Head), Ok((BodyLength::Empty, true)));
    assert_eq!(ok("", Head), Ok((BodyLength::Empty, true)));
    assert_eq!(ok("", Connect), Ok((BodyLength::Raw, false)));
    assert_eq!(ok("content-length: 3\r\n", Upgrade), Ok((BodyLength::Length(3), true)));
    assert_eq!(
        ok("content-length: 3\r\ntransfer-encoding: chunked\r\n", Head),
        Err(CodecError::ContentLengthAndChunked)
    );
    assert_eq!(ok("content-length: 3\r\ncontent-length: 3\r\n", Ordinary), Err(CodecError::Malformed));
    assert_eq!(
        ok("transfer-encoding: gzip, chunked\r\n", Ordinary),
        Err(CodecError::InvalidTransferEncoding)
    );
    assert_eq!(
        framing("HTTP/1.1 304 x\r\ncontent-length: 9\r\n\r\n", Ordinary),
        Ok((BodyLength::Empty, true))
    );
    assert_eq!(framing("HTTP/1.1 204 x\r\n\r\n", Ordinary), Ok((BodyLength::Empty, true)));
    assert_eq!(
        framing("HTTP/1.0 200 x\r\ncontent-length: 3\r\n\r\n", Ordinary),
        Ok((BodyLength::Length(3), false))
    );
    assert_eq!(
        framing("HTTP/1.0 200 x\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\n", Ordinary),
        Ok((BodyLength::Length(3), true))
    );
    assert_eq!(framing("HTTP/1.1 101 x\r\nupgrade: a\r\n\r\n", Upgrade), Ok((BodyLength::Raw, false)));
    assert_eq!(framing("HTTP/1.1 101 x\r\n\r\n", Ordinary), Err(CodecError::Malformed));
    assert_eq!(
        framing("HTTP/1.1 204 x\r\ncontent-length: 3\r\n\r\n", Ordinary),
        Err(CodecError::ContentLengthNotAllowed)
    );
    assert_eq!(
        framing("HTTP/1.1 103 x\r\ntransfer-encoding: chunked\r\n\r\n", Ordinary),
        Err(CodecError::TransferEncodingNotAllowed)
    );
}

#[test]
fn a_204_loses_its_zero_length() {
    let head =
        response("HTTP/1.1 204 x\r\ncontent-length: 0\r\n\r\n", RequestKind::Ordinary).unwrap().unwrap();
    assert!(head.headers.fields.is_empty());
}

#[test]
fn transfer_encoding_stays_among_the_fields() {
    // E-3: the processor of the response sees it.
    let head =
        response("HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n", RequestKind::Ordinary).unwrap();
    assert_eq!(head.unwrap().headers.fields["transfer-encoding"], "chunked");
}

#[test]
fn lenient_where_envoy_is() {
    let folded = response("HTTP/1.1 200 OK\r\nx: a\r\n  b\r\n\tc\r\ny: d\r\n\r\n", RequestKind::Head)
        .unwrap()
        .unwrap();
    assert_eq!(folded.headers.fields["x"], "a b c");
    assert_eq!(folded.headers.fields["y"], "d");
    let bare = response("HTTP/1.1 299\nx: a\n\n", RequestKind::Head).unwrap().unwrap();
    assert_eq!(bare.headers.status, StatusCode::from_u16(299).unwrap());
}

#[test]
fn what_is_not_http_is_refused_at_once() {
    assert_eq!(response("SSH-2.0", RequestKind::Ordinary).err(), Some(CodecError::Malformed));
    assert!(response("HTT", RequestKind::Ordinary).unwrap().is_none());
    assert!(response("HTTP/1.1 103 x\r\n\r\n", RequestKind::Ordinary).unwrap().unwrap().is_informational());
}

#[test]
fn the_answer_to_head_has_no_body_even_if_an_upgrade_was_asked_for() {
    let read = |text| response(text, RequestKind::HeadUpgrade).unwrap().unwrap().body;
    assert_eq!(read("HTTP/1.1 200 OK\r\ncontent-length: 270\r\n\r\n"), BodyLength::Empty);
    assert_eq!(read("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), BodyLength::Empty);
    assert_eq!(read("HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"), BodyLength::Raw);
}

#[test]
fn lengths_of_responses_lose_their_zeros() {
    let head =
        response("HTTP/1.1 200 OK\r\ncontent-length: 0005\r\n\r\n", RequestKind::Ordinary).unwrap().unwrap();
    assert_eq!(
        (head.body, &head.headers.fields["content-length"]),
        (BodyLength::Length(5), &"5".parse().unwrap())
    );
}
