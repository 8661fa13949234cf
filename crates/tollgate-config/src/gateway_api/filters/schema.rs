//! What filters are made of.

use crate::schema::{Schema, read, refused};

pub(super) static FILTER: Schema = Schema {
    name: "HTTPRouteFilter",
    title: "",
    fields: &[
        read(
            "type",
            "",
            "RequestHeaderModifier, ResponseHeaderModifier, RequestRedirect, URLRewrite, RequestMirror, CORS or \
             ExtensionRef. Required.",
        ),
        read("requestHeaderModifier", "", "Changes headers of requests."),
        read("responseHeaderModifier", "", "Changes headers of responses."),
        read("requestRedirect", "", "Answers with a redirect."),
        read("urlRewrite", "", "Changes host and path of requests."),
        read("requestMirror", "", "Sends copies of requests to another backend."),
        read("cors", "", "Answers for cross-origin requests."),
        read("extensionRef", "", "A filter of a dialect."),
        refused("externalAuth", "use an external processor"),
    ],
    unsupported: &[],
};

pub(super) static EXTENSION_REF: Schema = Schema {
    name: "LocalObjectReference",
    title: "",
    fields: &[
        read("group", "", "API group. Required."),
        read("kind", "", "Kind. Required."),
        read("name", "", "Name. Required."),
    ],
    unsupported: &[],
};

pub(super) static HEADER_MODIFIER: Schema = Schema {
    name: "HTTPHeaderFilter",
    title: "",
    fields: &[
        read("set", "[]", "Headers that are replaced, at most 16."),
        read("add", "[]", "Headers that are added to what there is, at most 16."),
        read("remove", "[]", "Headers that are removed, at most 16."),
    ],
    unsupported: &[],
};

pub(super) static HEADER: Schema = Schema {
    name: "HTTPHeader",
    title: "",
    fields: &[read("name", "", "Name. Required."), read("value", "", "Value. Required.")],
    unsupported: &[],
};

pub(super) static REDIRECT: Schema = Schema {
    name: "HTTPRequestRedirectFilter",
    title: "",
    fields: &[
        read("scheme", "that of the request", "http or https."),
        read("hostname", "that of the request", "Host."),
        read("path", "that of the request", "Path."),
        read("port", "that of the scheme, else of the listener", "Port."),
        read("statusCode", "302", "301, 302, 303, 307 or 308."),
    ],
    unsupported: &[],
};

pub(super) static URL_REWRITE: Schema = Schema {
    name: "HTTPURLRewriteFilter",
    title: "",
    fields: &[read("hostname", "that of the request", "Host."), read("path", "that of the request", "Path.")],
    unsupported: &[],
};

pub(super) static PATH_MODIFIER: Schema = Schema {
    name: "HTTPPathModifier",
    title: "",
    fields: &[
        read("type", "", "ReplaceFullPath or ReplacePrefixMatch. Required."),
        read("replaceFullPath", "", "The new path."),
        read("replacePrefixMatch", "", "What the matched prefix is replaced by."),
    ],
    unsupported: &[],
};

pub(super) static MIRROR: Schema = Schema {
    name: "HTTPRequestMirrorFilter",
    title: "",
    fields: &[
        read("backendRef", "", "Where copies go. Required."),
        read("percent", "100", "How many in a hundred requests are copied."),
        read("fraction", "", "How many requests are copied."),
    ],
    unsupported: &[],
};

pub(super) static FRACTION: Schema = Schema {
    name: "Fraction",
    title: "",
    fields: &[read("numerator", "", "How many. Required."), read("denominator", "100", "Of how many.")],
    unsupported: &[],
};
