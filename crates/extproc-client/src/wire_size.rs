//! How many bytes heads and frames take on the wire (G-7).
//!
//! Header compression happens inside h2 and its results are not visible. What it makes of a head is computed here as
//! RFC 7541 suggests: a field that was the same in the previous head of the connection is an index of one byte, any
//! other a literal with Huffman coding.

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, StatusCode,
    uri::{Authority, PathAndQuery},
};

/// Bytes of a frame's own header.
pub(crate) const FRAME_HEADER: u64 = 9;

/// A RST_STREAM frame.
pub(crate) const RESET_FRAME: u64 = FRAME_HEADER + 4;

/// The size of the DATA frames that carry this many bytes to a peer that takes frames of the usual size.
pub(crate) fn data_frames(length: usize) -> u64 {
    length as u64 + length.div_ceil(16 * 1024).max(1) as u64 * FRAME_HEADER
}

/// The heads that went one way on a connection.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    /// The latest path and its size: a processor has few.
    path: Option<(PathAndQuery, u64)>,
    authority: Option<Authority>,
    status: Option<StatusCode>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Heads {
    /// The HEADERS frame of a request.
    pub(crate) fn request(&mut self, request: &Request<()>) -> u64 {
        let uri = request.uri();
        // Encoders leave paths out of their tables: there are too many of them.
        let path = uri.path_and_query().map_or_else(|| string(b"/"), |path| self.path(path));
        let authority = uri.authority();
        let authority = if self.authority.as_ref() == authority {
            0
        } else {
            self.authority = authority.cloned();
            string(authority.map_or("", |authority| authority.as_str()).as_bytes())
        };
        FRAME_HEADER + 4 + path + authority + self.fields(request.headers())
    }

    fn path(&mut self, path: &PathAndQuery) -> u64 {
        if let Some((latest, size)) = &self.path
            && latest == path
        {
            return *size;
        }
        let size = string(path.as_str().as_bytes());
        self.path = Some((path.clone(), size));
        size
    }

    /// The HEADERS frame of a response.
    pub(crate) fn response(&mut self, status: StatusCode, fields: &HeaderMap) -> u64 {
        let known = matches!(status.as_u16(), 200 | 204 | 206 | 304 | 400 | 404 | 500);
        let pseudo = if known || self.status.replace(status) == Some(status) {
            1
        } else {
            1 + string(status.as_str().as_bytes())
        };
        FRAME_HEADER + pseudo + self.fields(fields)
    }

    /// A HEADERS frame with trailers.
    pub(crate) fn trailers(&mut self, fields: &HeaderMap) -> u64 {
        FRAME_HEADER + self.fields(fields)
    }

    fn fields(&mut self, fields: &HeaderMap) -> u64 {
        let mut size = 0;
        for (position, (name, value)) in fields.iter().enumerate() {
            let previous = self.fields.get(position);
            if previous.is_some_and(|previous| previous.0 == *name && previous.1 == *value) {
                size += 1;
                continue;
            }
            let known = is_static(name) || previous.is_some_and(|previous| previous.0 == *name);
            size += 1 + string(value.as_bytes());
            if !known {
                size += string(name.as_str().as_bytes());
            }
            match self.fields.get_mut(position) {
                Some(previous) => *previous = (name.clone(), value.clone()),
                None => self.fields.push((name.clone(), value.clone())),
            }
        }
        size
    }
}

/// Names of the static table that occur in gRPC.
fn is_static(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "accept-encoding" | "authorization" | "content-type" | "date" | "server" | "user-agent" | "via"
    )
}

/// A string literal: its length and its Huffman code.
fn string(text: &[u8]) -> u64 {
    let bits: u64 = text.iter().map(|byte| huffman_bits(*byte)).sum();
    let length = bits.div_ceil(8);
    length + if length < 127 { 1 } else { 2 }
}

/// The length of a character's code (RFC 7541, appendix B); characters that are rare in heads are taken together.
fn huffman_bits(byte: u8) -> u64 {
    match byte {
        b'0'..=b'2' | b'a' | b'c' | b'e' | b'i' | b'o' | b's' | b't' => 5,
        b' '
        | b'%'
        | b'-'
        | b'.'
        | b'/'
        | b'3'..=b'9'
        | b'='
        | b'A'
        | b'_'
        | b'b'
        | b'd'
        | b'f'
        | b'g'
        | b'h' => 6,
        b'l' | b'm' | b'n' | b'p' | b'r' | b'u' => 6,
        b'&' | b'*' | b',' | b';' | b'X' | b'Z' => 8,
        b':' | b'B'..=b'Y' | b'j' | b'k' | b'q' | b'v'..=b'z' => 7,
        b'!' | b'"' | b'(' | b')' | b'?' => 10,
        b'#' | b'$' | b'\'' | b'+' | b'>' | b'@' | b'[' | b']' | b'|' | b'~' => 12,
        b'<' | b'^' | b'`' | b'{' | b'}' => 14,
        _ => 24,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G-7: the sizes seen on Envoy 1.39.3 for the same heads, 9 + 113..118 bytes and then 9 + 46.
    #[test]
    fn a_repeated_head_costs_little() {
        let request =
            Request::post("http://c_maxstreams1/envoy.service.ext_proc.v3.ExternalProcessor/Process")
                .header("te", "trailers")
                .header("content-type", "application/grpc")
                .header("x-envoy-internal", "true")
                .header("x-forwarded-for", "127.0.0.1")
                .body(())
                .unwrap();
        let mut heads = Heads::default();
        let first = heads.request(&request);
        assert!((FRAME_HEADER + 113..=FRAME_HEADER + 118).contains(&first), "{first}");
        assert_eq!(heads.request(&request), FRAME_HEADER + 46);
    }

    /// G-7: the statuses of the static table are an index, others are written out once.
    #[test]
    fn statuses_cost_what_their_coding_takes() {
        let mut heads = Heads::default();
        let mut size = |status| heads.response(StatusCode::from_u16(status).unwrap(), &HeaderMap::new());
        assert_eq!([size(200), size(401), size(401), size(429)], [10, 13, 10, 14]);
    }

    #[test]
    fn every_frame_of_a_message_has_a_header() {
        assert_eq!(data_frames(0), 9);
        assert_eq!(data_frames(16 * 1024), 16 * 1024 + 9);
        assert_eq!(data_frames(16 * 1024 + 1), 16 * 1024 + 1 + 18);
    }
}
