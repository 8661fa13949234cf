//! Filters of rules and backends (9.6).

mod cors;
mod schema;

use http::StatusCode;
use tollgate_model::route::{Fraction, PathMatch, PathRewrite, RedirectPath};

use self::schema::{
    EXTENSION_REF, FILTER, FRACTION, HEADER, HEADER_MODIFIER, MIRROR, PATH_MODIFIER, REDIRECT, URL_REWRITE,
};
use super::{
    backend_ref::read_backend_object,
    names::{bounded, header_name, precise_hostname, read_header_name, unique_names},
};
use crate::{
    kubernetes::{Place, values::port_number},
    routing::{ExtensionRef, Filters, HeaderChanges, Match, Mirror, PortOfRedirect, Redirect},
    schema::{Enumeration, Message, Value},
};

/// Where filters stand.
#[derive(Clone, Copy)]
pub(super) struct FilterSite<'a> {
    /// Of the route.
    pub(super) namespace: &'a str,
    /// The matches of the rule.
    pub(super) matches: &'a [Match],
    pub(super) of_backend: bool,
    /// Filters of a GRPCRoute.
    pub(super) grpc: bool,
}

/// What filters say.
#[derive(Default)]
pub(super) struct ReadFilters {
    pub(super) filters: Filters,
    pub(super) extension_refs: Vec<ExtensionRef>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FilterType {
    RequestHeaderModifier,
    ResponseHeaderModifier,
    RequestRedirect,
    UrlRewrite,
    RequestMirror,
    Cors,
    ExtensionRef,
}

static FILTER_TYPE: Enumeration<FilterType> = Enumeration {
    values: &[
        ("RequestHeaderModifier", 0, Some(FilterType::RequestHeaderModifier)),
        ("ResponseHeaderModifier", 1, Some(FilterType::ResponseHeaderModifier)),
        ("RequestRedirect", 2, Some(FilterType::RequestRedirect)),
        ("URLRewrite", 3, Some(FilterType::UrlRewrite)),
        ("RequestMirror", 4, Some(FilterType::RequestMirror)),
        ("CORS", 5, Some(FilterType::Cors)),
        ("ExtensionRef", 6, Some(FilterType::ExtensionRef)),
        ("ExternalAuth", 7, None),
    ],
};

impl FilterType {
    /// The member that has its settings.
    fn member(self) -> &'static str {
        match self {
            Self::RequestHeaderModifier => "requestHeaderModifier",
            Self::ResponseHeaderModifier => "responseHeaderModifier",
            Self::RequestRedirect => "requestRedirect",
            Self::UrlRewrite => "urlRewrite",
            Self::RequestMirror => "requestMirror",
            Self::Cors => "cors",
            Self::ExtensionRef => "extensionRef",
        }
    }

    fn name(self) -> &'static str {
        let found = FILTER_TYPE.values.iter().find(|(.., value)| *value == Some(self));
        found.map_or("", |(name, ..)| name)
    }

    fn may_be_repeated(self) -> bool {
        matches!(self, Self::RequestMirror | Self::ExtensionRef)
    }

    fn fits(self, site: FilterSite<'_>) -> bool {
        match self {
            Self::RequestHeaderModifier | Self::ResponseHeaderModifier | Self::ExtensionRef => true,
            Self::RequestMirror => !site.of_backend,
            Self::RequestRedirect | Self::UrlRewrite => !site.grpc,
            Self::Cors => !site.grpc && !site.of_backend,
        }
    }
}

/// Reads `filters`. Filters that cannot be together are reported and noted in `incompatible`.
pub(super) fn read_filters(
    parent: &Message<'_>,
    site: FilterSite<'_>,
    incompatible: &mut Option<String>,
) -> ReadFilters {
    let mut found = ReadFilters::default();
    let mut types: Vec<FilterType> = Vec::new();
    for value in bounded(parent, "filters", 16) {
        let Some(message) = value.message(&FILTER) else { continue };
        let Some(kind) = message.required("type").and_then(|kind| kind.enumeration(&FILTER_TYPE)) else {
            continue;
        };
        if !kind.fits(site) {
            value.error(format!("a filter of type {} has no place here", kind.name()));
            continue;
        }
        if types.contains(&kind) && !kind.may_be_repeated() {
            value.error(format!("{} filter cannot be repeated", kind.name()));
        }
        types.push(kind);
        let Some(settings) = message.required(kind.member()) else { continue };
        for (.., other) in FILTER_TYPE.values {
            let Some(other) = other.filter(|other| *other != kind) else { continue };
            if let Some(other) = message.get(other.member()) {
                other.error(format!("does not belong to a filter of type {}", kind.name()));
            }
        }
        read_filter(kind, &settings, site, &mut found);
    }
    if types.contains(&FilterType::RequestRedirect) && types.contains(&FilterType::UrlRewrite) {
        let message = "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both";
        parent.value().error(message);
        incompatible.get_or_insert_with(|| message.to_owned());
    }
    found
}

fn read_filter(kind: FilterType, value: &Value<'_>, site: FilterSite<'_>, found: &mut ReadFilters) {
    let filters = &mut found.filters;
    match kind {
        FilterType::RequestHeaderModifier => filters.request_headers = read_header_changes(value),
        FilterType::ResponseHeaderModifier => filters.response_headers = read_header_changes(value),
        FilterType::RequestRedirect => filters.redirect = read_redirect(value, site),
        FilterType::UrlRewrite => {
            let Some(message) = value.message(&URL_REWRITE) else { return };
            filters.rewrite_host = message.get("hostname").and_then(|hostname| precise_hostname(&hostname));
            filters.rewrite_path = read_path_change(&message, site).map(|change| match change {
                PathChange::Full(path) => PathRewrite::Full(path),
                PathChange::Prefix(prefix) => PathRewrite::PathElements(prefix),
            });
        }
        FilterType::RequestMirror => filters.mirrors.extend(read_mirror(value, site)),
        FilterType::Cors => filters.cors = cors::read_cors(value),
        FilterType::ExtensionRef => found.extension_refs.extend(read_extension_ref(value)),
    }
}

fn read_extension_ref(value: &Value<'_>) -> Option<ExtensionRef> {
    let message = value.message(&EXTENSION_REF)?;
    Some(ExtensionRef {
        group: message.required("group")?.string()?,
        kind: message.required_string("kind"),
        name: message.required_string("name"),
        place: Place::of(value),
    })
}

fn read_header_changes(value: &Value<'_>) -> HeaderChanges {
    let Some(message) = value.message(&HEADER_MODIFIER) else { return HeaderChanges::default() };
    let pairs = |name| {
        let entries = bounded(&message, name, 16);
        unique_names(&entries, &HEADER);
        let pairs = entries.iter().filter_map(|entry| {
            let header = entry.message(&HEADER)?;
            let name = changeable(entry, header_name(&header)?)?;
            Some((name, header.required("value")?.header_text()?))
        });
        let mut pairs: Vec<_> = pairs.collect();
        // Of names that differ in case alone the first counts.
        let mut seen = std::collections::HashSet::new();
        pairs.retain(|(name, _)| seen.insert(name.clone()));
        pairs
    };
    let remove = bounded(&message, "remove", 16);
    let remove = remove.iter().filter_map(|entry| changeable(entry, read_header_name(entry)?)).collect();
    HeaderChanges { set: pairs("set"), add: pairs("add"), remove }
}

/// The host is not among the headers.
fn changeable(value: &Value<'_>, name: http::HeaderName) -> Option<http::HeaderName> {
    if name == http::header::HOST {
        let message = "the host cannot be changed by a header modifier";
        value.error_with_help(message, "use a filter of type URLRewrite with a hostname");
        return None;
    }
    Some(name)
}

static SCHEME: Enumeration<&'static str> =
    Enumeration { values: &[("http", 0, Some("http")), ("https", 1, Some("https"))] };

fn read_redirect(value: &Value<'_>, site: FilterSite<'_>) -> Option<Redirect> {
    let message = value.message(&REDIRECT)?;
    let status = message.get("statusCode").and_then(|status| {
        let code = u16::try_from(status.integer(100..=599)?).ok()?;
        if ![301, 302, 303, 307, 308].contains(&code) {
            status.error_with_help(format!("unknown value {code}"), "supported: 301, 302, 303, 307, 308");
        }
        StatusCode::from_u16(code).ok()
    });
    Some(Redirect {
        scheme: message.get("scheme").and_then(|scheme| scheme.enumeration(&SCHEME)),
        hostname: message.get("hostname").and_then(|hostname| precise_hostname(&hostname)),
        path: read_path_change(&message, site).map(|change| match change {
            PathChange::Full(path) => RedirectPath::Path(path),
            PathChange::Prefix(prefix) => RedirectPath::PathElements(prefix),
        }),
        port: PortOfRedirect::UnlessUsual(message.get("port").and_then(|port| port_number(&port))),
        status: status.unwrap_or(StatusCode::FOUND),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PathModifierType {
    Full,
    Prefix,
}

static PATH_MODIFIER_TYPE: Enumeration<PathModifierType> = Enumeration {
    values: &[
        ("ReplaceFullPath", 0, Some(PathModifierType::Full)),
        ("ReplacePrefixMatch", 1, Some(PathModifierType::Prefix)),
    ],
};

/// A change of the path.
enum PathChange {
    Full(String),
    Prefix(String),
}

fn read_path_change(parent: &Message<'_>, site: FilterSite<'_>) -> Option<PathChange> {
    let value = parent.get("path")?;
    let message = value.message(&PATH_MODIFIER)?;
    let text = |name| message.required(name)?.header_text();
    match message.required("type")?.enumeration(&PATH_MODIFIER_TYPE)? {
        PathModifierType::Full => text("replaceFullPath").map(PathChange::Full),
        PathModifierType::Prefix => {
            if !matches!(
                site.matches,
                [Match { path: PathMatch::Prefix { .. } | PathMatch::PathSeparatedPrefix { .. }, .. }]
            ) {
                value.error(
                    "When using ReplacePrefixMatch, exactly one path match with type PathPrefix must be specified",
                );
            }
            text("replacePrefixMatch").map(PathChange::Prefix)
        }
    }
}

fn read_mirror(value: &Value<'_>, site: FilterSite<'_>) -> Option<Mirror> {
    let message = value.message(&MIRROR)?;
    let percent = message.get("percent").and_then(|percent| percent.integer(0..=100));
    let fraction = message.get("fraction");
    let fraction = match (percent, fraction) {
        (Some(_), Some(fraction)) => {
            fraction.error("Only one of percent or fraction may be specified in HTTPRequestMirrorFilter");
            Fraction::ALL
        }
        (Some(percent), None) => {
            Fraction { numerator: u32::try_from(percent).unwrap_or(100), denominator: 100 }
        }
        (None, Some(fraction)) => read_fraction(&fraction)?,
        (None, None) => Fraction::ALL,
    };
    Some(Mirror {
        reference: read_backend_object(&message.required("backendRef")?, site.namespace)?,
        fraction,
    })
}

fn read_fraction(value: &Value<'_>) -> Option<Fraction> {
    let message = value.message(&FRACTION)?;
    let numerator = message.required("numerator")?.u32()?;
    let denominator = match message.get("denominator") {
        None => 100,
        Some(denominator) => u32::try_from(denominator.integer(1..=i64::from(i32::MAX))?).ok()?,
    };
    if numerator > denominator {
        value.error("numerator must be less than or equal to denominator");
    }
    Some(Fraction { numerator, denominator })
}
