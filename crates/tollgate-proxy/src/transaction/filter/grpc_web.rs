//! Lets browsers call gRPC services: trailers come in the body, and bodies in base64 if the browser wants that.

use bytes::{Bytes, BytesMut};
use extproc::{Direction, Slices};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, TE},
};

use super::{Action, Context, Filter, FilterPlace};
use crate::{
    base64,
    local_reply::{LocalReply, grpc_status_of, percent_encode},
    transaction::{chain::Part, core::Core},
};

const BINARY: [&[u8]; 2] = [b"application/grpc-web", b"application/grpc-web+proto"];
const TEXT: [&[u8]; 2] = [b"application/grpc-web-text", b"application/grpc-web-text+proto"];
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// What of an answer that is no gRPC becomes its message.
const LONGEST_MESSAGE: usize = 16 * 1024;
/// What a frame of a body begins with: a byte of flags and its length.
const FRAME_HEAD: usize = 5;
/// The frame of trailers.
const TRAILERS: u8 = 0x80;

/// The filter at work on one request and its response.
#[derive(Debug)]
pub(in crate::transaction) struct GrpcWeb {
    state: State,
    /// Requests come in base64: letters of a group that is not complete.
    decoder: Option<Vec<u8>>,
    /// Responses go out in base64.
    encoder: Option<Encoder>,
    /// An answer that is no gRPC: what is its message so far.
    message: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is none of these requests.
    Aside,
    Working,
    /// What has come cannot be read, and that was said.
    Refused,
}

impl GrpcWeb {
    pub(super) fn begin((): &(), _place: FilterPlace, _core: &Core) -> Self {
        Self { state: State::Aside, decoder: None, encoder: None, message: None }
    }

    fn request(&mut self, core: &mut Core) {
        let fields = &mut core.messages.request.fields;
        let is_one_of = |fields: &HeaderMap, name: &HeaderName, known: &[&[u8]]| {
            fields.get(name).is_some_and(|value| known.contains(&value.as_bytes()))
        };
        let is_text = is_one_of(fields, &CONTENT_TYPE, &TEXT);
        if !is_text && !is_one_of(fields, &CONTENT_TYPE, &BINARY) {
            return;
        }
        self.state = State::Working;
        self.decoder = is_text.then(Vec::new);
        self.encoder = is_one_of(fields, &ACCEPT, &TEXT).then(Encoder::default);
        fields.remove(CONTENT_LENGTH);
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        fields.insert(TE, HeaderValue::from_static("trailers"));
        fields.insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        core.speaks_grpc_web = true;
    }

    /// Bytes of a request. `None`: they are no base64.
    fn decode(&mut self, data: &Slices, end_stream: bool) -> Option<Vec<u8>> {
        let letters = self.decoder.as_mut()?;
        data.iter().for_each(|piece| letters.extend_from_slice(piece));
        let whole = letters.len() / 4 * 4;
        let rest = letters.split_off(whole);
        let groups = std::mem::replace(letters, rest);
        if end_stream && !letters.is_empty() {
            return None;
        }
        base64::decode(&groups)
    }

    fn refuse(&mut self, details: &'static str) -> Option<Action> {
        self.state = State::Refused;
        Some(Action::Reply(Box::new(LocalReply::bad_grpc_web(details))))
    }

    fn response_head(&mut self, end_stream: bool, core: &mut Core) -> Option<Action> {
        let head = Action::Forward(Direction::Response, Part::Headers { end_stream });
        let Some(response) = &mut core.messages.response else { return Some(head) };
        let is_grpc = is_grpc_type(&response.fields);
        let own = if self.encoder.is_some() {
            "application/grpc-web-text+proto"
        } else {
            "application/grpc-web+proto"
        };
        response.fields.insert(CONTENT_TYPE, HeaderValue::from_static(own));
        if is_grpc {
            if !end_stream {
                // Trailers come behind the body.
                response.fields.remove(CONTENT_LENGTH);
            }
            return Some(head);
        }
        if end_stream {
            make_status(&mut response.fields, response.status, &[]);
            return Some(head);
        }
        self.message = Some(Vec::new());
        None
    }

    /// Bytes of an answer that is no gRPC. When it is there the head goes, which says everything.
    fn response_message(&mut self, data: &Slices, end_stream: bool, core: &mut Core) -> Option<Action> {
        let message = self.message.as_mut()?;
        for piece in data.iter() {
            let room = LONGEST_MESSAGE.saturating_sub(message.len());
            message.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        if !end_stream {
            return None;
        }
        if let Some(response) = &mut core.messages.response {
            make_status(&mut response.fields, response.status, message);
        }
        self.message = None;
        core.messages.response_trailers = None;
        Some(Action::Forward(Direction::Response, Part::Headers { end_stream: true }))
    }
}

/// Whether a body is gRPC, whatever its messages are.
fn is_grpc_type(fields: &HeaderMap) -> bool {
    let Some(value) = fields.get(CONTENT_TYPE) else { return false };
    let own = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    own == b"application/grpc"
        || own.starts_with(b"application/grpc+")
        || own.starts_with(b"application/grpc-web")
}

/// Says in a head what an answer means that is no gRPC.
fn make_status(fields: &mut HeaderMap, status: StatusCode, message: &[u8]) {
    fields.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(grpc_status_of(status)));
    if !message.is_empty()
        && let Ok(message) = HeaderValue::from_str(&percent_encode(message))
    {
        fields.insert(HeaderName::from_static("grpc-message"), message);
    }
    fields.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
}

/// Trailers as a frame of the body.
fn frame(trailers: &HeaderMap) -> Bytes {
    let mut text = BytesMut::new();
    for (name, value) in trailers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b":");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut frame = BytesMut::with_capacity(FRAME_HEAD + text.len());
    frame.extend_from_slice(&[TRAILERS]);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&text);
    frame.freeze()
}

/// Base64 of frames: each one has a padding of its own.
#[derive(Debug, Default)]
struct Encoder {
    /// What of the head of a frame has come.
    head: Vec<u8>,
    /// What of the frame is still to come.
    left: u64,
    /// Less than a group.
    rest: Vec<u8>,
}

impl Encoder {
    fn push(&mut self, data: &Slices) -> String {
        let mut text = String::new();
        for piece in data.iter() {
            let mut piece = &piece[..];
            while !piece.is_empty() {
                if self.left == 0 {
                    let taken = piece.len().min(FRAME_HEAD - self.head.len());
                    self.head.extend_from_slice(&piece[..taken]);
                    self.rest.extend_from_slice(&piece[..taken]);
                    piece = &piece[taken..];
                    if let [_, length @ ..] = &*self.head
                        && let Ok(length) = <[u8; 4]>::try_from(length)
                    {
                        self.left = u32::from_be_bytes(length).into();
                        self.head.clear();
                        self.flush(&mut text);
                    }
                    continue;
                }
                let taken = piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.rest.extend_from_slice(&piece[..taken]);
                self.left -= taken as u64;
                piece = &piece[taken..];
                self.flush(&mut text);
            }
        }
        text
    }

    /// Writes whole groups, at the end of a frame everything.
    fn flush(&mut self, text: &mut String) {
        let whole = if self.left == 0 { self.rest.len() } else { self.rest.len() / 3 * 3 };
        let rest = self.rest.split_off(whole);
        text.push_str(&base64::encode(&self.rest, true));
        self.rest = rest;
    }

    /// What is left of a frame that is cut.
    fn end(&mut self) -> String {
        base64::encode(&std::mem::take(&mut self.rest), true)
    }
}

impl Filter for GrpcWeb {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        if direction == Direction::Request {
            self.request(cx.core);
        } else if self.state != State::Aside {
            return self.response_head(end_stream, cx.core);
        }
        Some(Action::Forward(direction, Part::Headers { end_stream }))
    }

    fn data(
        &mut self,
        direction: Direction,
        data: Slices,
        end_stream: bool,
        cx: &mut Context<'_>,
    ) -> Option<Action> {
        match direction {
            Direction::Request => {
                if self.state == State::Refused {
                    return None;
                }
                if self.decoder.is_none() {
                    return Some(Action::Forward(direction, Part::Data { data, end_stream }));
                }
                let Some(decoded) = self.decode(&data, end_stream) else {
                    let is_cut = self.decoder.as_ref().is_some_and(|rest| end_stream && !rest.is_empty());
                    return self.refuse(if is_cut { BAD_SIZE } else { NOT_BASE64 });
                };
                let is_nothing = decoded.is_empty() && !end_stream;
                let data = Slices::from(Bytes::from(decoded));
                (!is_nothing).then_some(Action::Forward(direction, Part::Data { data, end_stream }))
            }
            Direction::Response if self.message.is_some() => {
                self.response_message(&data, end_stream, cx.core)
            }
            Direction::Response => {
                let data = match &mut self.encoder {
                    Some(encoder) if self.state != State::Aside => {
                        let mut text = encoder.push(&data);
                        if end_stream {
                            text.push_str(&encoder.end());
                        }
                        if text.is_empty() && !end_stream {
                            return None;
                        }
                        Slices::from(Bytes::from(text))
                    }
                    _ => data,
                };
                Some(Action::Forward(direction, Part::Data { data, end_stream }))
            }
        }
    }

    fn trailers(&mut self, direction: Direction, cx: &mut Context<'_>) -> Option<Action> {
        match direction {
            Direction::Request if self.state == State::Refused => None,
            Direction::Request => {
                if self.decoder.as_ref().is_some_and(|rest| !rest.is_empty()) {
                    return self.refuse(BAD_SIZE);
                }
                Some(Action::Forward(direction, Part::Trailers))
            }
            Direction::Response if self.message.is_some() => {
                self.response_message(&Slices::default(), true, cx.core)
            }
            Direction::Response if self.state == State::Aside => {
                Some(Action::Forward(direction, Part::Trailers))
            }
            Direction::Response => {
                let trailers = cx.core.messages.response_trailers.take().unwrap_or_default();
                let frame = frame(&trailers);
                let data = match &mut self.encoder {
                    Some(encoder) => Bytes::from(encoder.end() + &base64::encode(&frame, true)),
                    None => frame,
                };
                Some(Action::Forward(direction, Part::Data { data: data.into(), end_stream: true }))
            }
        }
    }

    fn held(&self) -> usize {
        self.message.as_ref().map_or(0, Vec::len)
    }
}

const NOT_BASE64: &str = "grpc_base_64_decode_failed";
const BAD_SIZE: &str = "grpc_base_64_decode_failed_bad_size";

impl LocalReply {
    fn bad_grpc_web(details: &'static str) -> Self {
        let body = Bytes::from_static(b"Bad gRPC-web request, invalid base64 data.");
        Self { body, ..Self::refused(StatusCode::BAD_REQUEST, details) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are cut, each frame is encoded by itself.
    #[test]
    fn frames_have_their_own_padding() {
        let bytes: Vec<u8> =
            [&[0, 0, 0, 0, 3][..], b"abc", &[0, 0, 0, 0, 0], &[1, 0, 0, 0, 1], b"x"].concat();
        let whole = ["AAAAAANhYmM=", "AAAAAAA=", "AQAAAAF4"].concat();
        for cut in 1..=bytes.len() {
            let mut encoder = Encoder::default();
            let text: String = bytes
                .chunks(cut)
                .map(|piece| encoder.push(&Slices::from(Bytes::copy_from_slice(piece))))
                .collect();
            assert_eq!(text + &encoder.end(), whole, "cut {cut}");
        }
    }

    #[test]
    fn trailers_are_a_frame() {
        let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from(0))]);
        assert_eq!(&frame(&trailers)[..], b"\x80\0\0\0\x0fgrpc-status:0\r\n");
    }
}
