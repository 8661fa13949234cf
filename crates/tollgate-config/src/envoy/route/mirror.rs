//! Copies of requests.

use tollgate_model::route::{Fraction, MirrorCluster, RequestMirrorPolicy};

use super::Table;
use crate::{
    envoy::{http_filters::header_mutation::read_mutation, matchers::read_matched_header},
    schema::{Enumeration, Message, Schema, Value, harmless, read, unimplemented},
};

pub(in crate::envoy) static REQUEST_MIRROR_POLICY: Schema = Schema {
    name: "envoy.config.route.v3.RouteAction.RequestMirrorPolicy",
    title: "",
    fields: &[
        read(
            "cluster",
            "",
            "Where the copy goes, while the request arrives. One of the two ways to name it is required.",
        ),
        read("runtime_fraction", "all", "Which part of the requests."),
        read("disable_shadow_host_suffix_append", "false", "Leave the host as it is, without `-shadow`."),
        harmless("trace_sampled", "no spans are exported"),
        read(
            "cluster_header",
            "",
            "The request header that names it; without it, or without such a cluster, there is no copy.",
        ),
        read("request_headers_mutations", "[]", "Header changes of the copy."),
        read("host_rewrite_literal", "the request's", "Host of the copy; nothing is appended to it."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RUNTIME_FRACTIONAL_PERCENT: Schema = Schema {
    name: "envoy.config.core.v3.RuntimeFractionalPercent",
    title: "",
    fields: &[
        read("default_value", "", "The part. Required."),
        unimplemented("runtime_key", "there is no runtime that would change it"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static FRACTIONAL_PERCENT: Schema = Schema {
    name: "envoy.type.v3.FractionalPercent",
    title: "",
    fields: &[
        read("numerator", "0", "How many."),
        read("denominator", "HUNDRED", "Of how many: HUNDRED, TEN_THOUSAND or MILLION."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static DENOMINATOR: Enumeration<u32> = Enumeration {
    values: &[("HUNDRED", 0, Some(100)), ("TEN_THOUSAND", 1, Some(10_000)), ("MILLION", 2, Some(1_000_000))],
};

/// Reads `request_mirror_policies` of a level; none when it says nothing about copies.
pub(super) fn read_request_mirror_policies(
    message: &Message<'_>,
    table: &Table<'_>,
) -> Vec<RequestMirrorPolicy> {
    let policies = message.list("request_mirror_policies");
    policies.iter().filter_map(|policy| read_policy(policy, table)).collect()
}

fn read_policy(value: &Value<'_>, table: &Table<'_>) -> Option<RequestMirrorPolicy> {
    let message = value.message(&REQUEST_MIRROR_POLICY)?;
    let (kind, cluster) = message.required_one_of(&["cluster", "cluster_header"])?;
    let cluster = match kind {
        "cluster" => {
            let name = cluster.non_empty_string()?;
            table.check_cluster(&cluster, &name);
            table.scope.clusters.refuse_filters(&cluster, &name, "copies of requests");
            MirrorCluster::Named(name)
        }
        _ => MirrorCluster::Header(read_matched_header(&cluster)?),
    };
    let mutations = message.list("request_headers_mutations");
    Some(RequestMirrorPolicy {
        cluster,
        host_rewrite_literal: Some(message.header_text("host_rewrite_literal"))
            .filter(|host| !host.is_empty()),
        mutations: mutations
            .iter()
            .filter_map(|mutation| read_mutation(mutation, &[":method", ":scheme", ":authority", ":path"]))
            .collect(),
        fraction: match message.message("runtime_fraction", &RUNTIME_FRACTIONAL_PERCENT) {
            None => Fraction::ALL,
            Some(percent) => read_fraction(&percent.required("default_value")?)?,
        },
        disable_shadow_host_suffix_append: message.boolean("disable_shadow_host_suffix_append", false),
    })
}

/// Reads a `FractionalPercent`.
pub(in crate::envoy) fn read_fraction(value: &Value<'_>) -> Option<Fraction> {
    let message = value.message(&FRACTIONAL_PERCENT)?;
    Some(Fraction {
        numerator: message.u32("numerator").unwrap_or(0),
        denominator: message.enumeration("denominator", &DENOMINATOR, 100),
    })
}
