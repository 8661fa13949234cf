//! Dynamic metadata made of header values and cookies.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use extproc::{
    Direction, Messages,
    messages::{Struct, Value},
    remove_fields,
};
use http::{HeaderMap, HeaderValue};
use tollgate_model::{
    filter::{
        HeaderToMetadata as Settings, HeaderToMetadataRule, MetadataKind, MetadataSource, MetadataTarget,
        TargetValue,
    },
    header::FieldName,
    route::cookie,
};

use super::{Action, Context, Filter, FilterPlace};
use crate::{
    base64,
    stats::HeaderToMetadataMetric as Metric,
    transaction::{chain::Part, core::Core},
};

/// What the filter does for one request.
#[derive(Debug)]
pub(in crate::transaction) struct HeaderToMetadata {
    settings: Arc<Settings>,
}

/// Values of so many bytes are too long.
const TOO_LONG: usize = 8 * 1024;

impl HeaderToMetadata {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, _core: &Core) -> Self {
        Self { settings: Arc::clone(settings) }
    }
}

impl Filter for HeaderToMetadata {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        let rules = match direction {
            Direction::Request => &self.settings.request_rules,
            Direction::Response => &self.settings.response_rules,
        };
        if !rules.is_empty() {
            apply(rules, &self.settings.stat_prefix, direction, cx.core);
        }
        Some(Action::Forward(direction, Part::Headers { end_stream }))
    }
}

/// Applies rules: they see the head, and what those before them have removed, but not what those before them have set.
fn apply(rules: &[HeaderToMetadataRule], stat_prefix: &str, direction: Direction, core: &mut Core) {
    let Core { configuration, messages, info, .. } = &mut *core;
    let count = |of_request: Metric, of_response: Metric| {
        let metric = if direction == Direction::Request { of_request } else { of_response };
        count(configuration, stat_prefix, metric);
    };
    let mut set: BTreeMap<&str, Struct> = BTreeMap::new();
    for rule in rules {
        count(Metric::RequestRulesProcessed, Metric::ResponseRulesProcessed);
        let found = find(&rule.source, direction, messages);
        let target = match (&found, &rule.on_present, &rule.on_missing) {
            (Some(_), Some(target), _) => target,
            (None, _, Some(target)) => {
                count(Metric::RequestHeaderNotFound, Metric::ResponseHeaderNotFound);
                target
            }
            _ => continue,
        };
        match value(target, found.as_deref().unwrap_or_default()) {
            Ok(value) => {
                count(Metric::RequestMetadataAdded, Metric::ResponseMetadataAdded);
                set.entry(&target.namespace).or_default().fields.insert(target.key.clone(), value);
            }
            Err(Some(metric)) => self::count(configuration, stat_prefix, metric),
            Err(None) => {}
        }
    }
    for (namespace, values) in set {
        // Values are short, and there are as many as the configuration has.
        let _ = info.metadata.set(namespace, values);
    }
}

fn count(configuration: &crate::configuration::ChainConfiguration, stat_prefix: &str, metric: Metric) {
    if !stat_prefix.is_empty() {
        configuration.stats.count_filter(stat_prefix, metric, 1);
    }
}

/// The value of a source, which is removed if it is to be.
fn find(source: &MetadataSource, direction: Direction, messages: &mut Messages) -> Option<Vec<u8>> {
    let pseudo = |name: &FieldName| match direction {
        Direction::Request => name.first_in_request(&messages.request),
        Direction::Response => name.first_in_response(messages.response.as_ref()?),
    };
    if let MetadataSource::Pseudo(name) = source {
        return pseudo(name).map(<[u8]>::to_vec);
    }
    let fields: &mut HeaderMap = match direction {
        Direction::Request => &mut messages.request.fields,
        Direction::Response => &mut messages.response.as_mut()?.fields,
    };
    match source {
        MetadataSource::Header { name, remove } => {
            let values: Vec<&[u8]> = fields.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            let joined = (!values.is_empty()).then(|| values.join(&b","[..]));
            if *remove {
                remove_fields(fields, std::slice::from_ref(name));
            }
            joined
        }
        MetadataSource::Cookie(name) => {
            cookie(fields, name).filter(|value| !value.is_empty()).map(<[u8]>::to_vec)
        }
        MetadataSource::Pseudo(_) => None,
    }
}

/// The value that is set; if there is none, what is counted about that.
fn value(target: &MetadataTarget, found: &[u8]) -> Result<Value, Option<Metric>> {
    let text = match &target.value {
        TargetValue::Found => Cow::Borrowed(found),
        TargetValue::Fixed(value) => Cow::Borrowed(value.as_bytes()),
        TargetValue::Rewritten(rewrite) => {
            let rewritten = rewrite.replace_all(found);
            if rewritten.is_empty() && !found.is_empty() {
                return Err(Some(Metric::RegexSubstitutionFailed));
            }
            rewritten
        }
    };
    if text.is_empty() {
        return Err(None);
    }
    if text.len() >= TOO_LONG {
        return Err(Some(Metric::HeaderValueTooLong));
    }
    let bytes = match target.base64 {
        true => Cow::Owned(decoded(&text).ok_or(Some(Metric::Base64DecodeFailed))?),
        false => text,
    };
    match target.kind {
        MetadataKind::String => Ok(Value::string(String::from_utf8_lossy(&bytes))),
        MetadataKind::Number => number(&bytes).map(Value::number).ok_or(None),
        MetadataKind::ProtobufValue => Value::from_bytes(&bytes).ok_or(None),
    }
}

/// What is coded in base64, with or without padding; bits behind the end must be zero.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let bytes = base64::decode(text).filter(|bytes| !bytes.is_empty())?;
    let end = text.iter().rposition(|letter| *letter != b'=').map_or(0, |last| last + 1);
    (base64::encode(&bytes, false).as_bytes() == &text[..end]).then_some(bytes)
}

fn number(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    #[expect(clippy::cast_precision_loss, reason = "as any number of this kind")]
    match hexadecimal {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|number| number as f64),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_strictly() {
        assert_eq!(decoded(b"YWJj"), Some(b"abc".to_vec()));
        assert_eq!(decoded(b"YWI="), Some(b"ab".to_vec()));
        assert_eq!(decoded(b"YWI"), Some(b"ab".to_vec()));
        assert_eq!(decoded(b"YWJ"), None);
        assert_eq!(decoded(b"!!"), None);
        assert_eq!(decoded(b""), None);
    }

    #[test]
    fn numbers() {
        assert_eq!(number(b" 1.5 "), Some(1.5));
        assert_eq!(number(b"0x10"), Some(16.0));
        assert_eq!(number(b"1e3"), Some(1000.0));
        assert_eq!(number(b"z"), None);
    }
}
