//! HTTP/2 by hand.

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// What a client begins with. Its windows are what SETTINGS say: number and value.
pub(crate) fn opening(settings: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in settings {
        payload.extend_from_slice(&name.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &payload)].concat()
}

/// A head: method and path without Huffman or the dynamic table.
pub(crate) fn request(stream: u32, method: &str, path: &str, flags: u8) -> Vec<u8> {
    let mut block = match method {
        "GET" => vec![0x82],
        "POST" => vec![0x83],
        other => panic!("{other}"),
    };
    block.push(0x86);
    for (index, value) in [(4, path), (1, "app")] {
        block.push(0x40 | index);
        block.push(u8::try_from(value.len()).expect("short"));
        block.extend_from_slice(value.as_bytes());
    }
    frame(HEADERS, flags | END_HEADERS, stream, &block)
}

/// Splits what was received into whole frames: kind, flags, stream, payload.
pub(crate) fn take(bytes: &mut Vec<u8>) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut used = 0;
    while let Some(head) = bytes.get(used..used + 9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let Some(payload) = bytes.get(used + 9..used + 9 + length) else { break };
        frames.push((kind, flags, stream, payload.to_vec()));
        used += 9 + length;
    }
    bytes.drain(..used);
    frames
}
