//! Which headers a processor sees and may change (sections 5.1 and 6.4).

use extproc::{ForwardRules, MutationRules, matching::StringMatcher};

use crate::{
    envoy::matchers::{read_regex, read_string_matcher},
    schema::{Message, Schema, Value, read},
};

pub(in crate::envoy) static MUTATION_RULES: Schema = Schema {
    name: "envoy.config.common.mutation_rules.v3.HeaderMutationRules",
    title: "",
    fields: &[
        read(
            "allow_all_routing",
            "false",
            "Also `host`, `:authority`, `:scheme` and `:method` may be changed.",
        ),
        read(
            "allow_envoy",
            "false",
            "Also headers that begin with `x-envoy` (or `header_prefix`) may be changed.",
        ),
        read("disallow_system", "false", "Not headers that begin with `:`."),
        read("disallow_all", "false", "Only what allow_expression allows may be changed."),
        read("allow_expression", "", "Names that may be changed whatever the other rules say."),
        read("disallow_expression", "", "Names that may never be changed."),
        read("disallow_is_error", "false", "A change that is not allowed fails the request with 500."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static FORWARDING_RULES: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_proc.v3.HeaderForwardingRules",
    title: "",
    fields: &[
        read("allowed_headers", "all", "Only these are sent."),
        read("disallowed_headers", "none", "These are not sent."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static LIST_STRING_MATCHER: Schema = Schema {
    name: "envoy.type.matcher.v3.ListStringMatcher",
    title: "",
    fields: &[read("patterns", "", "One has to match. At least one is required.")],
    unsupported: &[],
};

/// Reads `HeaderMutationRules`.
pub(super) fn read_mutation_rules(value: &Value<'_>) -> Option<MutationRules> {
    let message = value.message(&MUTATION_RULES)?;
    let expression = |name| message.get(name).and_then(|regex| read_regex(&regex));
    Some(MutationRules {
        allow_all_routing: message.boolean("allow_all_routing", false),
        allow_envoy: message.boolean("allow_envoy", false),
        disallow_system: message.boolean("disallow_system", false),
        disallow_all: message.boolean("disallow_all", false),
        allow_expression: expression("allow_expression"),
        disallow_expression: expression("disallow_expression"),
        disallow_is_error: message.boolean("disallow_is_error", false),
    })
}

/// Reads `HeaderForwardingRules`.
pub(super) fn read_forward_rules(value: &Value<'_>) -> Option<ForwardRules> {
    let message = value.message(&FORWARDING_RULES)?;
    Some(ForwardRules {
        allowed_headers: read_patterns(&message, "allowed_headers"),
        disallowed_headers: read_patterns(&message, "disallowed_headers").unwrap_or_default(),
    })
}

/// Reads a `ListStringMatcher`; an empty one is an error, an absent one is `None`.
pub(in crate::envoy) fn read_patterns(
    message: &Message<'_>,
    name: &'static str,
) -> Option<Vec<StringMatcher>> {
    let list = message.message(name, &LIST_STRING_MATCHER)?;
    let patterns = list.list("patterns");
    if patterns.is_empty() {
        list.value().error("\"patterns\" is missing: at least one");
    }
    Some(patterns.iter().filter_map(read_string_matcher).collect())
}
