//! Header changes that routes ask for: `request_headers_to_add/remove` and `response_headers_to_add/remove` of the route
//! table, the virtual host, the route and the weighted cluster.

#[cfg(test)]
mod tests;

use extproc::{
    Messages,
    mutation::{Side, is_single_entry},
    remove_fields,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate_model::{
    header::{AppendAction, HeaderAddition, HeaderMutations},
    route::{Route, RouteConfiguration, VirtualHost, WeightedCluster},
};

use crate::{
    format::{FormatContext, evaluate_header},
    stream_info::StreamInfo,
};

/// The levels whose header changes concern a request, in the order in which they are made.
#[derive(Debug)]
pub(crate) struct HeaderLevels<'a> {
    levels: [Option<&'a HeaderMutations>; 4],
    /// Prefix of the proxy's own headers.
    header_prefix: &'a str,
}

impl<'a> HeaderLevels<'a> {
    /// A weighted cluster comes first; then route, virtual host and table, or the other way round where the most
    /// specific one is to win.
    pub(crate) fn new(
        table: &'a RouteConfiguration,
        virtual_host: &'a VirtualHost,
        route: &'a Route,
        weighted: Option<&'a WeightedCluster>,
        header_prefix: &'a str,
    ) -> Self {
        let mut levels = [
            weighted.map(|weighted| &weighted.headers),
            Some(&route.headers),
            Some(&virtual_host.headers),
            Some(&table.headers),
        ];
        if table.most_specific_header_mutations_wins {
            levels[1..].reverse();
        }
        Self { levels, header_prefix }
    }

    /// Changes the request on its way upstream, before path and host are rewritten.
    pub(crate) fn change_request(&self, messages: &mut Messages, info: &StreamInfo) {
        for level in self.levels.into_iter().flatten() {
            remove_fields(&mut messages.request.fields, &level.request_remove);
            let changes = evaluate(&level.request_add, messages, info, &messages.request.fields);
            changes.apply(&mut messages.request.fields, Side::Request, self.header_prefix);
        }
    }

    /// Changes the response: an upstream's as it arrives, before any filter sees it, and replies made here.
    pub(crate) fn change_response(&self, messages: &mut Messages, info: &StreamInfo) {
        for level in self.levels.into_iter().flatten() {
            let Some(response) = &mut messages.response else { return };
            remove_fields(&mut response.fields, &level.response_remove);
            let Some(response) = &messages.response else { return };
            let changes = evaluate(&level.response_add, messages, info, &response.fields);
            if let Some(response) = &mut messages.response {
                changes.apply(&mut response.fields, Side::Response, self.header_prefix);
            }
        }
    }
}

/// What one level sets and adds, with its values.
#[derive(Debug, Default)]
struct Changes<'a> {
    set: Vec<(&'a HeaderName, HeaderValue)>,
    add: Vec<(&'a HeaderName, HeaderValue)>,
}

/// The values of one level, all from the message as it is before any of them is written. A value that is empty adds
/// nothing unless it is to be kept; one that no header can have adds nothing either.
fn evaluate<'a>(
    additions: &'a [HeaderAddition],
    messages: &Messages,
    info: &StreamInfo,
    fields: &HeaderMap,
) -> Changes<'a> {
    let context = FormatContext { info, messages, logs: &[] };
    let mut changes = Changes::default();
    for addition in additions {
        changes.take(addition, evaluate_header(&addition.value, &context), fields);
    }
    changes
}

/// Makes one change at once. `text` is the value of the addition.
pub(crate) fn change_field(
    fields: &mut HeaderMap,
    addition: &HeaderAddition,
    text: Vec<u8>,
    side: Side,
    header_prefix: &str,
) {
    let mut changes = Changes::default();
    changes.take(addition, text, fields);
    changes.apply(fields, side, header_prefix);
}

/// The same with a value that is known to be one.
pub(crate) fn append_field(
    fields: &mut HeaderMap,
    (name, value, action): (&HeaderName, &HeaderValue, AppendAction),
    side: Side,
    header_prefix: &str,
) {
    let mut changes = Changes::default();
    changes.take_value(name, value.clone(), action, fields);
    changes.apply(fields, side, header_prefix);
}

impl<'a> Changes<'a> {
    /// Takes in what an addition does to these fields.
    fn take(&mut self, addition: &'a HeaderAddition, text: Vec<u8>, fields: &HeaderMap) {
        let HeaderAddition { name, append_action, keep_empty_value, .. } = addition;
        if text.is_empty() && !keep_empty_value {
            return;
        }
        let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)) else { return };
        self.take_value(name, value, *append_action, fields);
    }

    fn take_value(
        &mut self,
        name: &'a HeaderName,
        value: HeaderValue,
        action: AppendAction,
        fields: &HeaderMap,
    ) {
        let exists = fields.contains_key(name);
        match action {
            AppendAction::AppendIfExistsOrAdd => self.add.push((name, value)),
            AppendAction::AddIfAbsent if !exists => self.add.push((name, value)),
            AppendAction::OverwriteIfExistsOrAdd => self.set.push((name, value)),
            AppendAction::OverwriteIfExists if exists => self.set.push((name, value)),
            AppendAction::AddIfAbsent | AppendAction::OverwriteIfExists => {}
        }
    }

    /// What is set comes before what is added. Headers that Envoy keeps as a single entry stay in their place and are
    /// joined with a comma.
    fn apply(self, fields: &mut HeaderMap, side: Side, header_prefix: &str) {
        for (name, value) in self.set {
            if !is_single_entry(side, name.as_str(), header_prefix) {
                remove_fields(fields, std::slice::from_ref(name));
            }
            // A map that is full keeps what it has; limits were checked before.
            let _ = fields.try_insert(name.clone(), value);
        }
        for (name, value) in self.add {
            let joined = fields.get(name).filter(|_| is_single_entry(side, name.as_str(), header_prefix));
            match joined.and_then(|old| join(old, &value)) {
                Some(joined) => {
                    let _ = fields.try_insert(name.clone(), joined);
                }
                None => {
                    let _ = fields.try_append(name.clone(), value);
                }
            }
        }
    }
}

fn join(old: &HeaderValue, new: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_bytes(&[old.as_bytes(), b",", new.as_bytes()].concat()).ok()
}
