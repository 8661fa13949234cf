//! Decompresses bodies, piece by piece as they pass.

mod decoder;

use std::{collections::VecDeque, sync::Arc};

use extproc::{Direction, Slices};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH},
};
use tollgate_model::filter::Decompressor as Settings;

use self::decoder::Decoder;
use super::{Action, Context, Filter, FilterPlace};
use crate::{
    incident::Incident,
    stats::DecompressorMetric as Metric,
    transaction::{chain::Part, core::Core},
};

/// The filter at work on one request and its response.
#[derive(Debug)]
pub(in crate::transaction) struct Decompressor {
    settings: Arc<Settings>,
    request: Option<Decoder>,
    response: Option<Decoder>,
    /// What follows what was just passed on.
    next: VecDeque<Action>,
}

impl Decompressor {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, _core: &Core) -> Self {
        Self { settings: Arc::clone(settings), request: None, response: None, next: VecDeque::new() }
    }

    fn decoder(&mut self, direction: Direction) -> &mut Option<Decoder> {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    fn tally(&self, direction: Direction, metric: Metric, amount: u64, core: &Core) {
        let prefix = Metric::own(&self.settings, direction);
        core.configuration.stats.count_filter(&prefix, metric, amount);
    }

    /// The head of a message with a body.
    fn start(&mut self, direction: Direction, core: &mut Core) {
        let rules = match direction {
            Direction::Request => self.settings.request,
            Direction::Response => self.settings.response,
        };
        let fields = match direction {
            Direction::Request => Some(&mut core.messages.request.fields),
            Direction::Response => core.messages.response.as_mut().map(|response| &mut response.fields),
        };
        let Some(fields) = fields else { return };
        let decompresses = rules.enabled
            && (rules.ignore_no_transform_header || !forbids_transformation(fields))
            && take_encoding(fields, self.settings.library.encoding());
        let decoder = decompresses.then(|| Decoder::new(self.settings.library).ok()).flatten();
        let metric = if decoder.is_some() { Metric::Decompressed } else { Metric::NotDecompressed };
        if decoder.is_some() {
            fields.remove(CONTENT_LENGTH);
        }
        *self.decoder(direction) = decoder;
        self.tally(direction, metric, 1, core);
    }

    fn decompress(&mut self, direction: Direction, data: Slices, core: &Core) -> Slices {
        let Some(decoder) = self.decoder(direction) else { return data };
        let (made, result) = decoder.push(&data);
        self.tally(direction, Metric::TotalCompressedBytes, data.len() as u64, core);
        self.tally(direction, Metric::TotalUncompressedBytes, made.len() as u64, core);
        if let Err(error) = result {
            self.tally(direction, Metric::DecodeFailed, 1, core);
            if let Some(suppressed) = core.configuration.stats.http.admit(Incident::Decompression) {
                let request_id = core.request_id();
                tracing::warn!(request_id, reason = %error, suppressed, "a body cannot be decompressed");
            }
        }
        made.into()
    }

    /// How much it was before and after stands in the trailers.
    fn tell(&self, direction: Direction, core: &mut Core) {
        let decoder = match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        };
        let Some((taken, made)) = decoder.as_ref().map(Decoder::totals) else { return };
        let trailers = match direction {
            Direction::Request => &mut core.messages.request_trailers,
            Direction::Response => &mut core.messages.response_trailers,
        };
        let trailers = trailers.get_or_insert_default();
        for (what, bytes) in [("compressed", taken), ("uncompressed", made)] {
            let name = format!("x-envoy-decompressor-{}-{what}-bytes", self.settings.name);
            if let Ok(name) = HeaderName::try_from(name) {
                trailers.insert(name, HeaderValue::from(bytes));
            }
        }
    }
}

fn forbids_transformation(fields: &HeaderMap) -> bool {
    let values = fields.get_all(CACHE_CONTROL).into_iter();
    let mut tokens =
        values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    tokens.any(|token| token.eq_ignore_ascii_case(b"no-transform"))
}

/// Takes the first encoding off, if it is this one.
fn take_encoding(fields: &mut HeaderMap, encoding: &str) -> bool {
    let Some(value) = fields.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) else { return false };
    let mut parts = value.splitn(2, |byte| *byte == b',');
    let first = parts.next().unwrap_or_default().trim_ascii();
    if !first.eq_ignore_ascii_case(encoding.as_bytes()) {
        return false;
    }
    match parts.next().and_then(|rest| HeaderValue::from_bytes(rest.trim_ascii()).ok()) {
        Some(rest) => _ = fields.insert(CONTENT_ENCODING, rest),
        None => _ = fields.remove(CONTENT_ENCODING),
    }
    true
}

/// Says that this encoding is accepted, whatever was said about it.
fn accept(fields: &mut HeaderMap, encoding: &'static str) {
    let values: Vec<HeaderValue> = fields.get_all(ACCEPT_ENCODING).iter().cloned().collect();
    let tokens = values.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let others = tokens.map(<[u8]>::trim_ascii).filter(|token| {
        let name = token.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        !name.is_empty() && !name.eq_ignore_ascii_case(encoding.as_bytes())
    });
    let all: Vec<&[u8]> = others.chain([encoding.as_bytes()]).collect();
    if let Ok(value) = HeaderValue::from_bytes(&all.join(&b","[..])) {
        fields.insert(ACCEPT_ENCODING, value);
    }
}

impl Filter for Decompressor {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        if direction == Direction::Request && self.settings.advertise_accept_encoding {
            accept(&mut cx.core.messages.request.fields, self.settings.library.encoding());
        }
        let is_upgrade = cx.core.is_upgrade_asked();
        if !end_stream && !is_upgrade {
            self.start(direction, cx.core);
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
        if self.decoder(direction).is_none() {
            return Some(Action::Forward(direction, Part::Data { data, end_stream }));
        }
        let data = self.decompress(direction, data, cx.core);
        if !end_stream {
            let is_empty = data.is_empty();
            return (!is_empty).then_some(Action::Forward(direction, Part::Data { data, end_stream }));
        }
        self.tell(direction, cx.core);
        let trailers = Action::Forward(direction, Part::Trailers);
        if data.is_empty() {
            return Some(trailers);
        }
        self.next.push_back(trailers);
        Some(Action::Forward(direction, Part::Data { data, end_stream: false }))
    }

    fn trailers(&mut self, direction: Direction, cx: &mut Context<'_>) -> Option<Action> {
        self.tell(direction, cx.core);
        Some(Action::Forward(direction, Part::Trailers))
    }

    fn next_action(&mut self, _cx: &mut Context<'_>) -> Option<Action> {
        self.next.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        for (value, taken, left) in [
            ("gzip", true, None),
            ("GZIP", true, None),
            ("gzip, br", true, Some("br")),
            ("br, gzip", false, Some("br, gzip")),
            ("", false, Some("")),
        ] {
            let mut fields = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(take_encoding(&mut fields, "gzip"), taken, "{value}");
            assert_eq!(fields.get(CONTENT_ENCODING).map(|value| value.to_str().unwrap()), left, "{value}");
        }
    }

    #[test]
    fn what_is_accepted() {
        for (value, becomes) in
            [(None, "gzip"), (Some("br;q=0.5"), "br;q=0.5,gzip"), (Some("gzip;q=0.2, br"), "br,gzip")]
        {
            let mut fields = HeaderMap::new();
            fields.extend(value.map(|value| (ACCEPT_ENCODING, HeaderValue::from_static(value))));
            accept(&mut fields, "gzip");
            assert_eq!(fields[ACCEPT_ENCODING], becomes);
        }
    }
}
