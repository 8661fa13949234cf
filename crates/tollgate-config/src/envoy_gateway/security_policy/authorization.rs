//! `authorization`: rules, the first one that matches counts.

use serde_json::{Value as Json, json};
use tollgate_ir::Override;

use crate::{
    envoy::read_override,
    envoy_gateway::others::REFUSED,
    schema::{Enumeration, Message, Schema, Value, protects, read},
};

static AUTHORIZATION: Schema = Schema {
    name: "Authorization",
    title: "",
    fields: &[
        read("rules", "[]", "Rules in their order."),
        read("defaultAction", "Deny", "What becomes of requests that none of them matches."),
    ],
    unsupported: &[],
};

static RULE: Schema = Schema {
    name: "AuthorizationRule",
    title: "",
    fields: &[
        read("name", "", "Name, for messages."),
        read("action", "", "Allow or Deny. Required."),
        read("operation", "every one", "Methods and paths."),
        read("principal", "everybody", "Who makes the request."),
        protects("cel", REFUSED),
    ],
    unsupported: &[],
};

static OPERATION: Schema = Schema {
    name: "Operation",
    title: "",
    fields: &[
        read("methods", "every method", "Methods: one of them."),
        read("path", "every path", "A condition on the path."),
    ],
    unsupported: &[],
};

static PATH: Schema = Schema {
    name: "PathMatch",
    title: "",
    fields: &[
        read("type", "PathPrefix", "Exact, PathPrefix or RegularExpression."),
        read("value", "", "The path. Required."),
        protects("invert", REFUSED),
    ],
    unsupported: &[],
};

static PRINCIPAL: Schema = Schema {
    name: "Principal",
    title: "",
    fields: &[
        read("jwt", "", "What its token says."),
        read("headers", "[]", "What its headers say: all of them."),
        protects("clientCIDRs", REFUSED),
        protects("clientIPGeoLocations", REFUSED),
    ],
    unsupported: &[],
};

static HEADER: Schema = Schema {
    name: "AuthorizationHeaderMatch",
    title: "",
    fields: &[read("name", "", "The header. Required."), read("values", "", "One of these. Required.")],
    unsupported: &[],
};

static JWT_PRINCIPAL: Schema = Schema {
    name: "JWTPrincipal",
    title: "",
    fields: &[
        read("provider", "", "A provider of the policy's `jwt`. Required."),
        read("claims", "[]", "Claims: all of them."),
        read("scopes", "[]", "Scopes: all of them."),
    ],
    unsupported: &[],
};

static CLAIM: Schema = Schema {
    name: "JWTClaim",
    title: "",
    fields: &[
        read("name", "", "The claim; dots lead into objects. Required."),
        read("valueType", "String", "String or StringArray."),
        read("values", "", "One of these. Required."),
    ],
    unsupported: &[],
};

static ACTION: Enumeration<bool> =
    Enumeration { values: &[("Allow", 0, Some(true)), ("Deny", 1, Some(false))] };

static PATH_TYPE: Enumeration<PathType> = Enumeration {
    values: &[
        ("Exact", 0, Some(PathType::Exact)),
        ("PathPrefix", 1, Some(PathType::Prefix)),
        ("RegularExpression", 2, Some(PathType::Regex)),
    ],
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathType {
    Exact,
    Prefix,
    Regex,
}

static VALUE_TYPE: Enumeration<bool> =
    Enumeration { values: &[("String", 0, Some(false)), ("StringArray", 1, Some(true))] };

/// What the filter `rbac` is told on a route.
pub(super) fn read_authorization(value: &Value<'_>, providers: &[&str]) -> Option<Override> {
    let message = value.message(&AUTHORIZATION)?;
    let default = message.enumeration("defaultAction", &ACTION, false);
    let rules = message.list("rules");
    let matchers = rules.iter().enumerate().filter_map(|(index, rule)| read_rule(rule, index, providers));
    let matchers: Vec<Json> = matchers.collect();
    let mut matcher = json!({"on_no_match": {"action": action("default", default)}});
    if !matchers.is_empty() {
        matcher["matcher_list"] = json!({"matchers": matchers});
    }
    let said = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
        "rbac": {"matcher": matcher},
    });
    match read_override(&said, value.context.files, value.context.options) {
        Ok(said) => Some(said),
        Err(error) => {
            value.error(error);
            None
        }
    }
}

fn action(name: &str, allow: bool) -> Json {
    let (word, kind) = if allow { ("ALLOW", "ALLOW") } else { ("DENY", "DENY") };
    let settings = json!({
        "@type": "type.googleapis.com/envoy.config.rbac.v3.Action",
        "name": word,
        "action": kind,
    });
    json!({"name": name, "typed_config": settings})
}

fn read_rule(value: &Value<'_>, index: usize, providers: &[&str]) -> Option<Json> {
    let message = value.message(&RULE)?;
    message.refuse_protections(NOT_LEFT_OUT_OF_RULES);
    let allow = message.required("action")?.enumeration(&ACTION)?;
    let mut all = Vec::new();
    if let Some(operation) = message.message("operation", &OPERATION) {
        let methods = operation
            .strings("methods")
            .into_iter()
            .map(|method| header(":method", &json!({"exact": method})));
        all.extend(any_of(methods.collect()));
        all.extend(operation.get("path").and_then(|path| read_path(&path)));
    }
    if let Some(principal) = message.message("principal", &PRINCIPAL) {
        principal.refuse_protections(NOT_LEFT_OUT_OF_RULES);
        if let Some(jwt) = principal.message("jwt", &JWT_PRINCIPAL) {
            all.extend(read_jwt(&jwt, providers));
        }
        for one in principal.list("headers").iter().filter_map(|one| one.message(&HEADER)) {
            let name = one.required_string("name").to_ascii_lowercase();
            let values =
                one.strings("values").into_iter().map(|value| header(&name, &json!({"exact": value})));
            all.extend(any_of(values.collect()));
        }
    }
    let name = Some(message.string("name")).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| format!("rule-{index}"));
    let predicate = match all.len() {
        0 => {
            value.error("a rule needs an operation or a principal");
            return None;
        }
        1 => all.swap_remove(0),
        _ => json!({"and_matcher": {"predicate": all}}),
    };
    Some(json!({"predicate": predicate, "on_match": {"action": action(&name, allow)}}))
}

const NOT_LEFT_OUT_OF_RULES: &str = "the targets of this policy answer 500: write the rule without it";

/// One condition of several; `None` = there are none.
fn any_of(mut conditions: Vec<Json>) -> Option<Json> {
    match conditions.len() {
        0 => None,
        1 => Some(conditions.swap_remove(0)),
        _ => Some(json!({"or_matcher": {"predicate": conditions}})),
    }
}

fn header(name: &str, value: &Json) -> Json {
    let input = json!({
        "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
        "header_name": name,
    });
    json!({"single_predicate": {"input": {"name": "http_header", "typed_config": input}, "value_match": value}})
}

fn read_path(value: &Value<'_>) -> Option<Json> {
    let message = value.message(&PATH)?;
    message.refuse_protections(NOT_LEFT_OUT_OF_RULES);
    let path = message.required_string("value");
    // What is behind the path counts as little as in routes.
    const END: &str = "(\\?.*|#.*|;.*|$)";
    let expression = match message.enumeration("type", &PATH_TYPE, PathType::Prefix) {
        PathType::Exact => format!("^{}{END}", regex::escape(&path)),
        PathType::Prefix if path == "/" => return Some(header(":path", &json!({"prefix": "/"}))),
        PathType::Prefix => {
            let path = path.strip_suffix('/').unwrap_or(&path);
            format!("^{}(/.*|\\?.*|#.*|;.*|$)", regex::escape(path))
        }
        PathType::Regex => path,
    };
    Some(header(":path", &json!({"safe_regex": {"regex": expression}})))
}

fn read_jwt(message: &Message<'_>, providers: &[&str]) -> Vec<Json> {
    let provider = message.required_string("provider");
    if !providers.contains(&&*provider) {
        message.value().error(format!("the policy's jwt has no provider \"{provider}\""));
    }
    let mut all = Vec::new();
    for claim in message.list("claims").iter().filter_map(|claim| claim.message(&CLAIM)) {
        let name = claim.required_string("name");
        let is_list = claim.enumeration("valueType", &VALUE_TYPE, false);
        let values = claim.strings("values");
        let values = values.iter().map(|value| metadata(&provider, name.split('.'), value, is_list));
        all.extend(any_of(values.collect()));
    }
    for scope in message.strings("scopes") {
        let places = ["scope", "scp"].map(|claim| metadata(&provider, [claim].into_iter(), &scope, true));
        all.extend(any_of(places.into()));
    }
    if all.is_empty() {
        message.value().error("claims or scopes are required");
    }
    all
}

/// A condition on what a token says.
fn metadata<'a>(provider: &'a str, path: impl Iterator<Item = &'a str>, value: &str, is_list: bool) -> Json {
    let path: Vec<Json> = std::iter::once(provider).chain(path).map(|key| json!({"key": key})).collect();
    let exact = json!({"string_match": {"exact": value}});
    let wanted = if is_list { json!({"list_match": {"one_of": exact}}) } else { exact };
    json!({"single_predicate": {
        "input": {"name": "claim", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput",
            "filter": "envoy.filters.http.jwt_authn",
            "path": path,
        }},
        "custom_match": {"name": "claim_matcher", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.matching.input_matchers.metadata.v3.Metadata",
            "value": wanted,
        }},
    }})
}
