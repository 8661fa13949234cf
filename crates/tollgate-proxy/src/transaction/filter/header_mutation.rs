//! Changes of heads, trailers and query parameters.

mod query;

pub(super) use self::query::remove as remove_query_parameter;

use std::sync::Arc;

use extproc::{Direction, Messages, mutation::Side, remove_fields};
use http::{HeaderMap, HeaderName};
use tollgate_model::filter::{HeaderMutation as Settings, Mutation};

use super::{Action, Context, Filter, FilterPlace};
use crate::{
    format::{FormatContext, evaluate_header},
    route_headers::change_field,
    transaction::{chain::Part, core::Core},
};

/// What the filter does for one request.
#[derive(Debug)]
pub(in crate::transaction) struct HeaderMutation {
    settings: Arc<Settings>,
}

impl HeaderMutation {
    pub(super) fn begin(settings: &Arc<Settings>, _place: FilterPlace, _core: &Core) -> Self {
        Self { settings: Arc::clone(settings) }
    }
}

impl Filter for HeaderMutation {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        for mutations in self.settings.in_order() {
            match direction {
                Direction::Request => {
                    change(&mutations.request, Place::RequestHeaders, cx.core);
                    query::change(&mutations.query_parameters, cx.core);
                }
                Direction::Response => change(&mutations.response, Place::ResponseHeaders, cx.core),
            }
        }
        Some(Action::Forward(direction, Part::Headers { end_stream }))
    }

    fn trailers(&mut self, direction: Direction, cx: &mut Context<'_>) -> Option<Action> {
        for mutations in self.settings.in_order() {
            match direction {
                Direction::Request => change(&mutations.request_trailers, Place::RequestTrailers, cx.core),
                Direction::Response => change(&mutations.response_trailers, Place::ResponseTrailers, cx.core),
            }
        }
        Some(Action::Forward(direction, Part::Trailers))
    }
}

/// Where fields are.
#[derive(Debug, Clone, Copy)]
enum Place {
    RequestHeaders,
    RequestTrailers,
    ResponseHeaders,
    ResponseTrailers,
}

impl Place {
    fn fields(self, messages: &mut Messages) -> Option<&mut HeaderMap> {
        match self {
            Self::RequestHeaders => Some(&mut messages.request.fields),
            Self::RequestTrailers => messages.request_trailers.as_mut(),
            Self::ResponseHeaders => messages.response.as_mut().map(|head| &mut head.fields),
            Self::ResponseTrailers => messages.response_trailers.as_mut(),
        }
    }

    fn side(self) -> Side {
        match self {
            Self::RequestHeaders => Side::Request,
            Self::ResponseHeaders => Side::Response,
            Self::RequestTrailers | Self::ResponseTrailers => Side::Trailers,
        }
    }
}

/// Makes changes one after the other: each sees what those before it have made.
fn change(mutations: &[Mutation], place: Place, core: &mut Core) {
    for mutation in mutations {
        let Core { configuration, messages, info, .. } = &mut *core;
        match mutation {
            Mutation::Remove(name) => {
                if let Some(fields) = place.fields(messages) {
                    remove_fields(fields, std::slice::from_ref(name));
                }
            }
            Mutation::RemoveOnMatch(matcher) => {
                let Some(fields) = place.fields(messages) else { return };
                let matching = fields.keys().filter(|name| matcher.matches(name.as_str().as_bytes()));
                let matching: Vec<HeaderName> = matching.cloned().collect();
                remove_fields(fields, &matching);
            }
            Mutation::Add(addition) => {
                let text = evaluate_header(&addition.value, &FormatContext { info, messages, logs: &[] });
                let prefix = &configuration.http().header_prefix;
                if let Some(fields) = place.fields(messages) {
                    change_field(fields, addition, text, place.side(), prefix);
                }
            }
        }
    }
}
