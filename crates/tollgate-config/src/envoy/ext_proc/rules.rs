//! Which headers a processor sees and may change (sections 5.1 and 6.4).

use extproc::{ForwardRules, MutationRules};

use crate::protobuf::{Schema, Value, read};

pub(super) static MUTATION_RULES: Schema = Schema {
    name: "envoy.config.common.mutation_rules.v3.HeaderMutationRules",
    fields: &[
        read("allow_all_routing", "false", "Also `host`, `:authority`, `:scheme` and `:method`."),
        read("allow_envoy", "false", "Also headers that begin with `x-envoy` (or `header_prefix`)."),
        read("disallow_system", "false", "Not headers that begin with `:` and not `host`."),
        read("disallow_all", "false", "None that is not allowed by an expression."),
        read("allow_expression", "", "Names that may be changed whatever the other rules say."),
        read("disallow_expression", "", "Names that may never be changed."),
        read("disallow_is_error", "false", "A change that is not allowed fails the request with 500."),
    ],
    unsupported: &[],
};

pub(super) static FORWARDING_RULES: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_proc.v3.HeaderForwardingRules",
    fields: &[
        read("allowed_headers", "all", "Only these are sent."),
        read("disallowed_headers", "none", "These are not sent."),
    ],
    unsupported: &[],
};

pub(super) static LIST_STRING_MATCHER: Schema = Schema {
    name: "envoy.type.matcher.v3.ListStringMatcher",
    fields: &[read("patterns", "", "One has to match. At least one is required.")],
    unsupported: &[],
};

pub(super) fn read_mutation_rules(value: &Value<'_>) -> Option<MutationRules> {
    value.error("\"mutation_rules\" is not supported yet");
    None
}

pub(super) fn read_forward_rules(value: &Value<'_>) -> Option<ForwardRules> {
    value.error("\"forward_rules\" is not supported yet");
    None
}
