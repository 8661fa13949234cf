//! Compresses bodies, piece by piece as they pass.

mod choice;
mod encoder;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use extproc::{Direction, Slices};
use http::{
    HeaderMap, HeaderValue,
    header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
        TRANSFER_ENCODING, VARY,
    },
};
use tollgate_model::filter::{Compressor as Settings, CompressorDirection};

use self::{
    choice::{Choice, choose},
    encoder::Encoder,
};
use super::{Action, Context, Filter, FilterPlace};
use crate::{
    stats::{CompressorAcceptMetric as AcceptMetric, CompressorMetric as Metric},
    transaction::{chain::Part, core::Core},
};

/// The filter at work on one request and its response.
#[derive(Debug)]
pub(in crate::transaction) struct Compressor {
    settings: Arc<Settings>,
    /// What the client accepts, if it says so.
    accept_encoding: Option<HeaderValue>,
    request: Option<Encoder>,
    response: Option<Encoder>,
    /// What follows what was just passed on.
    next: VecDeque<Action>,
}

impl Compressor {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, _core: &Core) -> Self {
        Self {
            settings: Arc::clone(settings),
            accept_encoding: None,
            request: None,
            response: None,
            next: VecDeque::new(),
        }
    }

    fn tally(&self, direction: Direction, metric: Metric, amount: u64, core: &Core) {
        let prefix = Metric::own(&self.settings, direction);
        core.configuration.stats.count_filter(&prefix, metric, amount);
    }

    fn tally_accept(&self, metric: AcceptMetric, core: &Core) {
        core.configuration.stats.count_filter(&AcceptMetric::own(&self.settings), metric, 1);
    }

    /// Whether a body is known to be too short.
    fn is_too_short(
        &self,
        direction: Direction,
        rules: &CompressorDirection,
        fields: &HeaderMap,
        core: &Core,
    ) -> bool {
        let Some(length) = fields.get(CONTENT_LENGTH) else { return false };
        let length: Option<u64> = length.to_str().ok().and_then(|length| length.parse().ok());
        let is_short = length.is_none_or(|length| length < rules.min_content_length);
        if is_short {
            self.tally(direction, Metric::ContentLengthTooSmall, 1, core);
        }
        is_short
    }

    fn request_head(&mut self, end_stream: bool, core: &mut Core) {
        self.accept_encoding = core.messages.request.fields.get(ACCEPT_ENCODING).cloned();
        let response = &self.settings.response;
        if response.direction.enabled && response.remove_accept_encoding_header {
            core.messages.request.fields.remove(ACCEPT_ENCODING);
        }
        let fields = &core.messages.request.fields;
        let rules = self.settings.request.as_ref().filter(|rules| rules.enabled && !end_stream);
        let compresses = rules.is_some_and(|rules| {
            !core.is_upgrade_asked()
                && !self.is_too_short(Direction::Request, rules, fields, core)
                && takes_type(rules, fields)
                && !fields.contains_key(CONTENT_ENCODING)
                && !is_encoded_for_transfer(fields)
        });
        self.request = compresses.then(|| Encoder::new(self.settings.library).ok()).flatten();
        if self.request.is_some() {
            let fields = &mut core.messages.request.fields;
            fields.remove(CONTENT_LENGTH);
            fields.insert(CONTENT_ENCODING, HeaderValue::from_static(self.settings.library.encoding()));
            self.tally(Direction::Request, Metric::Compressed, 1, core);
        } else {
            self.tally(Direction::Request, Metric::NotCompressed, 1, core);
        }
    }

    fn response_head(&mut self, end_stream: bool, core: &mut Core) {
        let settings = Arc::clone(&self.settings);
        let rules = &settings.response;
        let Some(response) = &core.messages.response else { return };
        let fields = &response.fields;
        let is_large = rules.direction.enabled
            && !rules.uncompressible_response_codes.contains(&response.status)
            && !self.is_too_short(Direction::Response, &rules.direction, fields, core);
        let has_etag = rules.disable_on_etag_header && fields.contains_key(ETAG);
        let is_compressible = is_large
            && !core.is_upgrade_asked()
            && takes_type(&rules.direction, fields)
            && !forbids_transformation(fields)
            && {
                if has_etag {
                    self.tally_accept(AcceptMetric::NotCompressedEtag, core);
                }
                !has_etag
            }
            && !fields.contains_key(CONTENT_ENCODING);
        let is_accepted = !end_stream && is_large && self.is_accepted(fields, core);
        let compresses = is_accepted && is_compressible && !is_encoded_for_transfer(fields);
        self.response = compresses.then(|| Encoder::new(settings.library).ok()).flatten();
        let metric = if self.response.is_some() { Metric::Compressed } else { Metric::NotCompressed };
        self.tally(Direction::Response, metric, 1, core);
        let Some(response) = &mut core.messages.response else { return };
        let fields = &mut response.fields;
        if self.response.is_some() {
            loosen_etag(fields, rules.weaken_etag_on_compress);
            fields.remove(CONTENT_LENGTH);
            fields.insert(CONTENT_ENCODING, HeaderValue::from_static(settings.library.encoding()));
        }
        // Caches have to know that others may be given something else.
        if is_compressible {
            add_vary(fields);
        }
    }

    /// Whether the client accepts what this compressor makes, and wants it most.
    fn is_accepted(&self, fields: &HeaderMap, core: &Core) -> bool {
        let Some(accept_encoding) = &self.accept_encoding else {
            self.tally_accept(AcceptMetric::NoAcceptHeader, core);
            return false;
        };
        let content_type = fields.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let choice = choose(accept_encoding.as_bytes(), content_type, core);
        let is_own = choice.encoding() == Some(self.settings.library.encoding());
        self.tally_accept(
            match choice {
                Choice::Named(_) if is_own => AcceptMetric::HeaderCompressorUsed,
                Choice::Named(_) => AcceptMetric::HeaderCompressorOvershadowed,
                Choice::Wildcard(_) => AcceptMetric::HeaderWildcard,
                Choice::Identity => AcceptMetric::HeaderIdentity,
                Choice::Invalid => AcceptMetric::HeaderNotValid,
            },
            core,
        );
        is_own
    }

    fn encoder(&mut self, direction: Direction) -> Option<&mut Encoder> {
        match direction {
            Direction::Request => self.request.as_mut(),
            Direction::Response => self.response.as_mut(),
        }
    }

    /// Compresses a piece; with `ends`, the last one. `None`: nothing is to be compressed.
    fn compress(&mut self, direction: Direction, data: &Slices, ends: bool, core: &Core) -> Option<Bytes> {
        let encoder = self.encoder(direction)?;
        // A buffer takes everything.
        let compressed = if ends { encoder.finish(data) } else { encoder.push(data) }.unwrap_or_default();
        self.tally(direction, Metric::TotalUncompressedBytes, data.len() as u64, core);
        self.tally(direction, Metric::TotalCompressedBytes, compressed.len() as u64, core);
        Some(compressed)
    }
}

fn takes_type(rules: &CompressorDirection, fields: &HeaderMap) -> bool {
    fields.get(CONTENT_TYPE).is_none_or(|content_type| rules.takes(content_type.as_bytes()))
}

fn tokens(fields: &HeaderMap, name: http::HeaderName) -> impl Iterator<Item = &[u8]> {
    let values = fields.get_all(name).into_iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

fn forbids_transformation(fields: &HeaderMap) -> bool {
    tokens(fields, CACHE_CONTROL).any(|token| token.eq_ignore_ascii_case(b"no-transform"))
}

fn is_encoded_for_transfer(fields: &HeaderMap) -> bool {
    let encodings = ["gzip", "br", "deflate", "compress", "zstd"];
    tokens(fields, TRANSFER_ENCODING)
        .any(|token| encodings.iter().any(|known| token.eq_ignore_ascii_case(known.as_bytes())))
}

/// A strong `etag` is about the very bytes: it goes, or becomes a weak one.
fn loosen_etag(fields: &mut HeaderMap, weakens: bool) {
    let Some(etag) = fields.get(ETAG).map(HeaderValue::as_bytes) else { return };
    if etag.len() <= 2 || etag.starts_with(b"W/") || etag.starts_with(b"w/") {
        return;
    }
    match HeaderValue::from_bytes(&[b"W/", etag].concat()) {
        Ok(weak) if weakens => _ = fields.insert(ETAG, weak),
        _ => _ = fields.remove(ETAG),
    }
}

fn add_vary(fields: &mut HeaderMap) {
    const NAME: &[u8] = b"Accept-Encoding";
    // As in Envoy the case counts.
    if tokens(fields, VARY).any(|token| token == NAME) {
        return;
    }
    let known: Vec<&[u8]> = fields.get_all(VARY).iter().map(HeaderValue::as_bytes).chain([NAME]).collect();
    if let Ok(vary) = HeaderValue::from_bytes(&known.join(&b", "[..])) {
        fields.insert(VARY, vary);
    }
}

impl Filter for Compressor {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        match direction {
            Direction::Request => self.request_head(end_stream, cx.core),
            Direction::Response => self.response_head(end_stream, cx.core),
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
        let data = match self.compress(direction, &data, end_stream, cx.core) {
            Some(compressed) => compressed.into(),
            None => data,
        };
        if data.is_empty() && !end_stream {
            return None;
        }
        Some(Action::Forward(direction, Part::Data { data, end_stream }))
    }

    fn trailers(&mut self, direction: Direction, cx: &mut Context<'_>) -> Option<Action> {
        let trailers = Action::Forward(direction, Part::Trailers);
        match self.compress(direction, &Slices::default(), true, cx.core) {
            Some(end) if !end.is_empty() => {
                self.next.push_back(trailers);
                Some(Action::Forward(direction, Part::Data { data: end.into(), end_stream: false }))
            }
            _ => Some(trailers),
        }
    }

    fn next_action(&mut self, _cx: &mut Context<'_>) -> Option<Action> {
        self.next.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn etags() {
        for (etag, weakens, becomes) in [
            ("\"abc\"", false, None),
            ("\"abc\"", true, Some("W/\"abc\"")),
            ("W/\"abc\"", false, Some("W/\"abc\"")),
            ("w/\"abc\"", true, Some("w/\"abc\"")),
        ] {
            let mut fields = fields(&[("etag", etag)]);
            loosen_etag(&mut fields, weakens);
            assert_eq!(fields.get(ETAG).map(|etag| etag.to_str().unwrap()), becomes, "{etag} {weakens}");
        }
    }

    #[test]
    fn vary() {
        for (list, becomes) in [
            (&[][..], "Accept-Encoding"),
            (&[("vary", "origin")][..], "origin, Accept-Encoding"),
            (&[("vary", "a, Accept-Encoding")][..], "a, Accept-Encoding"),
            (&[("vary", "accept-encoding")][..], "accept-encoding, Accept-Encoding"),
        ] {
            let mut fields = fields(list);
            add_vary(&mut fields);
            assert_eq!(fields[VARY], becomes);
        }
    }
}
