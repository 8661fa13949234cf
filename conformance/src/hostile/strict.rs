//! A reader of HTTP/1.1 that accepts only what every reader takes in the same way (RFC 9112). What a gateway sends must
//! pass it: anything else is ambiguous, whatever was meant.

/// A message as far as it has come.
#[derive(Debug, Default, Clone)]
pub(super) struct Message {
    /// Request or status line.
    pub line: String,
    /// Fields, names in lower case, values as Latin-1.
    pub fields: Vec<(String, String)>,
    /// The body so far, chunks joined, as Latin-1.
    pub body: String,
    /// The head is complete.
    pub has_head: bool,
    /// Bytes of the whole message; `None` = it is not complete.
    pub length: Option<usize>,
}

impl Message {
    /// The values of a field, joined by a comma.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let values: Vec<&str> =
            self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// Whether `connection` has this option.
    pub(super) fn has_option(&self, option: &str) -> bool {
        self.field("connection")
            .is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(option)))
    }

    /// The words of the start line.
    pub(super) fn word(&self, index: usize) -> &str {
        self.line.split(' ').nth(index).unwrap_or_default()
    }
}

/// What a response answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is a request.
    Request,
    /// It answers HEAD.
    ResponseToHead,
    /// It answers anything else.
    Response,
}

/// Reads the message at the start of `bytes`. `ended`: the sender has closed.
///
/// # Errors
/// Why the bytes are no message that everybody reads alike.
pub(super) fn read(bytes: &[u8], kind: Kind, ended: bool) -> Result<Message, String> {
    let mut message = Message::default();
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        // What can be seen of it must be right already.
        let upto = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        lines(&bytes[..upto])?;
        message.line = latin1(&bytes[..upto.min(80)]);
        return Ok(message);
    };
    let head = lines(&bytes[..end + 2])?;
    let (first, rest) = head.split_first().ok_or("no start line")?;
    message.line = latin1(first);
    check_start_line(first, kind)?;
    for line in rest {
        message.fields.push(field(line)?);
    }
    message.has_head = true;
    let body = &bytes[end + 4..];
    match framing(&message, kind)? {
        Framing::Length(length) => {
            let taken = body.len().min(length);
            message.body = latin1(&body[..taken]);
            message.length = (taken == length).then(|| end + 4 + length);
        }
        Framing::Chunked => {
            let (data, length) = chunked(body)?;
            message.body = latin1(&data);
            message.length = length.map(|length| end + 4 + length);
        }
        Framing::UntilClose => {
            message.body = latin1(body);
            message.length = ended.then_some(bytes.len());
        }
    }
    Ok(message)
}

enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

fn framing(message: &Message, kind: Kind) -> Result<Framing, String> {
    let count = |name: &str| message.fields.iter().filter(|(known, _)| known == name).count();
    if kind == Kind::Request && count("host") != 1 {
        return Err(format!("{} host fields", count("host")));
    }
    let length = match message.field("content-length") {
        Some(text)
            if text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())) =>
        {
            Some(text.parse::<usize>().map_err(|_| format!("content-length {text:?}"))?)
        }
        Some(text) => return Err(format!("content-length {text:?}")),
        None => None,
    };
    let coding = message.field("transfer-encoding");
    if coding.as_ref().is_some_and(|coding| coding != "chunked") {
        return Err(format!("transfer-encoding {coding:?}"));
    }
    if coding.is_some() && length.is_some() {
        return Err("content-length and transfer-encoding".to_owned());
    }
    if kind == Kind::Request {
        return Ok(if coding.is_some() { Framing::Chunked } else { Framing::Length(length.unwrap_or(0)) });
    }
    let status = message.word(1);
    if status.starts_with('1') || status == "204" {
        if coding.is_some() || length.is_some() {
            return Err(format!("{status} with a length"));
        }
        return Ok(Framing::Length(0));
    }
    if kind == Kind::ResponseToHead || status == "304" {
        return Ok(Framing::Length(0));
    }
    Ok(match (coding, length) {
        (Some(_), _) => Framing::Chunked,
        (None, Some(length)) => Framing::Length(length),
        (None, None) => Framing::UntilClose,
    })
}

fn check_start_line(line: &[u8], kind: Kind) -> Result<(), String> {
    let wrong = || format!("start line {:?}", latin1(line));
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    if kind == Kind::Request {
        let [method, target, version] = words[..] else { return Err(wrong()) };
        let target_is_plain = !target.is_empty() && !target.iter().any(|byte| *byte <= 0x20 || *byte == 0x7f);
        if !is_token(method) || !target_is_plain || version != b"HTTP/1.1" {
            return Err(wrong());
        }
        return Ok(());
    }
    let [version, status, ..] = words[..] else { return Err(wrong()) };
    let is_known = version == b"HTTP/1.1" || version == b"HTTP/1.0";
    if !is_known || status.len() != 3 || !status.iter().all(u8::is_ascii_digit) {
        return Err(wrong());
    }
    Ok(())
}

/// Lines without their ends; every one ends with CR LF and has no other CR, LF or NUL.
fn lines(bytes: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut all = Vec::new();
    let mut rest = bytes;
    while let Some(end) = find(rest, b"\r\n") {
        let line = &rest[..end];
        if line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(format!("line {:?}", latin1(line)));
        }
        all.push(line);
        rest = &rest[end + 2..];
    }
    if rest.is_empty() { Ok(all) } else { Err(format!("line end in {:?}", latin1(rest))) }
}

fn field(line: &[u8]) -> Result<(String, String), String> {
    let wrong = || format!("field {:?}", latin1(line));
    let colon = line.iter().position(|byte| *byte == b':').ok_or_else(wrong)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let has_controls = value.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f);
    if !is_token(name) || has_controls {
        return Err(wrong());
    }
    Ok((latin1(name).to_ascii_lowercase(), latin1(value).trim_matches([' ', '\t']).to_owned()))
}

fn is_token(text: &[u8]) -> bool {
    let is_token_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_token_byte)
}

/// The data of a chunked body so far, and its length with all framing when it is complete.
fn chunked(bytes: &[u8]) -> Result<(Vec<u8>, Option<usize>), String> {
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else { return Ok((data, None)) };
        let line = &bytes[at..at + end];
        let is_size = !line.is_empty() && line.len() <= 15 && line.iter().all(u8::is_ascii_hexdigit);
        let size = std::str::from_utf8(line).ok().filter(|_| is_size);
        let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or_else(|| format!("chunk size {:?}", latin1(line)))?;
        at += end + 2;
        if size == 0 {
            break;
        }
        let have = bytes.len().saturating_sub(at).min(size);
        data.extend_from_slice(&bytes[at..at + have]);
        at = at.saturating_add(size);
        match bytes.get(at..) {
            Some([b'\r', b'\n', ..]) => at += 2,
            None | Some([] | [b'\r']) => return Ok((data, None)),
            Some(_) => return Err("no line end behind a chunk".to_owned()),
        }
    }
    if bytes[at..].starts_with(b"\r\n") {
        return Ok((data, Some(at + 2)));
    }
    let Some(end) = find(&bytes[at..], b"\r\n\r\n") else { return Ok((data, None)) };
    for line in lines(&bytes[at..at + end + 2])? {
        let (name, _) = field(line)?;
        if ["host", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            return Err(format!("{name} in trailers"));
        }
    }
    Ok((data, Some(at + end + 4)))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Bytes as text, one character each.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Text as bytes; a character beyond Latin-1 becomes its UTF-8.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for character in text.chars() {
        match u8::try_from(u32::from(character)) {
            Ok(byte) => out.push(byte),
            Err(_) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_messages_are_read() {
        let request =
            read(b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nokGET", Kind::Request, false)
                .unwrap();
        assert_eq!((request.body.as_str(), request.length), ("ok", Some(50)));
        let chunked =
            b"POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\na: b\r\n\r\n";
        let request = read(chunked, Kind::Request, false).unwrap();
        assert_eq!((request.body.as_str(), request.length), ("ok", Some(chunked.len())));
        assert!(read(&chunked[..chunked.len() - 1], Kind::Request, false).unwrap().length.is_none());
        let head =
            read(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", Kind::ResponseToHead, false).unwrap();
        assert!(head.length.is_some());
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for bad in [
            "GET /x HTTP/1.1\r\n\r\n",
            "GET /x HTTP/1.1\r\nhost: h\r\nhost: h\r\n\r\n",
            "GET  /x HTTP/1.1\r\nhost: h\r\n\r\n",
            "GET /x HTTP/1.0\r\nhost: h\r\n\r\n",
            "GET /x HTTP/1.1\r\nhost: h\nx: y\r\n\r\n",
            "GET /x HTTP/1.1\r\nhost: h\r\n folded\r\n\r\n",
            "GET /x HTTP/1.1\r\nhost : h\r\n\r\n",
            "GET /x HTTP/1.1\r\nhost: h\r\nx: a\rb\r\n\r\n",
            "GET /x HTTP/1.1\r\nhost: h\r\nx: a\0b\r\n\r\n",
            "POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 5,5\r\n\r\n",
            "POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 05\r\n\r\n",
            "POST /x HTTP/1.1\r\nhost: h\r\ncontent-length:\r\n\r\n",
            "POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            "POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2;x\r\nok\r\n",
            "POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokk\r\n",
            "POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\nhost: x\r\n\r\n",
        ] {
            assert!(read(bad.as_bytes(), Kind::Request, false).is_err(), "{bad:?}");
        }
    }
}
