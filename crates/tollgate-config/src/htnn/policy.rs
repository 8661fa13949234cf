//! FilterPolicy as it is written (3.1).

use std::sync::Arc;

use crate::{
    kubernetes::Place,
    schema::{Message, Schema, Value, read},
    yaml::{Content, Node},
};

/// What plugins do to a route or a gateway.
#[derive(Debug, Default)]
pub(crate) struct FilterPolicy {
    pub(super) target_ref: Option<TargetRef>,
    pub(super) plugins: Vec<Plugin>,
    pub(super) sub_policies: Vec<SubPolicy>,
}

/// What a policy is for.
#[derive(Debug, Clone)]
pub(super) struct TargetRef {
    pub(super) group: String,
    pub(super) kind: String,
    pub(super) name: String,
    /// `None` = that of the policy.
    pub(super) namespace: Option<String>,
    pub(super) section_name: Option<String>,
    pub(super) place: Place,
}

/// The configuration of one plugin, still to be read by the plugin itself.
#[derive(Debug, Clone)]
pub(super) struct Plugin {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) config: Arc<Node>,
}

/// Plugins for a part of the target.
#[derive(Debug)]
pub(super) struct SubPolicy {
    pub(super) section_name: String,
    pub(super) plugins: Vec<Plugin>,
}

static SPEC: Schema = Schema {
    name: "FilterPolicySpec",
    title: "",
    fields: &[
        read("targetRef", "", "The route or gateway. Required, unless the policy is embedded in its target."),
        read("filters", "{}", "Plugins by name, each with a `config`."),
        read("subPolicies", "[]", "Plugins for single routes of a VirtualService."),
    ],
    unsupported: &[],
};

static TARGET_REF: Schema = Schema {
    name: "TargetRef",
    title: "",
    fields: &[
        read("group", "", "`gateway.networking.k8s.io` or `networking.istio.io`. Required."),
        read("kind", "", "`HTTPRoute`, `VirtualService` or `Gateway`. Required."),
        read("name", "", "Name of the object. Required."),
        read("namespace", "the policy's", "Has to be the policy's own."),
        read("sectionName", "the whole object", "A route of a VirtualService, or a listener of a Gateway."),
    ],
    unsupported: &[],
};

static SUB_POLICY: Schema = Schema {
    name: "SubPolicy",
    title: "",
    fields: &[
        read("sectionName", "", "Name of the route. Required."),
        read("filters", "", "Plugins by name. Required."),
    ],
    unsupported: &[],
};

static PLUGIN: Schema = Schema {
    name: "Plugin",
    title: "",
    fields: &[read("config", "{}", "The plugin's own configuration.")],
    unsupported: &[],
};

pub(super) fn read_filter_policy(value: &Value<'_>) -> Option<FilterPolicy> {
    let spec = value.message(&SPEC)?;
    Some(FilterPolicy {
        target_ref: spec.get("targetRef").and_then(|target| read_target_ref(&target)),
        plugins: read_plugins(&spec),
        sub_policies: spec.list("subPolicies").iter().filter_map(read_sub_policy).collect(),
    })
}

fn read_target_ref(value: &Value<'_>) -> Option<TargetRef> {
    let message = value.message(&TARGET_REF)?;
    let optional = |name| Some(message.string(name)).filter(|text| !text.is_empty());
    Some(TargetRef {
        group: message.string("group"),
        kind: message.string("kind"),
        name: message.required_string("name"),
        namespace: optional("namespace"),
        section_name: optional("sectionName"),
        place: Place::of(value),
    })
}

/// What is missing in an entry is found by validation, which has a text of its own for it (HT-20).
fn read_sub_policy(value: &Value<'_>) -> Option<SubPolicy> {
    let message = value.message(&SUB_POLICY)?;
    Some(SubPolicy { section_name: message.string("sectionName"), plugins: read_plugins(&message) })
}

fn read_plugins(message: &Message<'_>) -> Vec<Plugin> {
    let entries = message.map("filters").into_iter();
    let plugins = entries.filter_map(|(name, value)| {
        let plugin = value.message(&PLUGIN)?;
        let (place, config) = match plugin.get("config") {
            Some(config) => (Place::of(&config), config.node.clone()),
            None => (
                Place::of(&value),
                Node { content: Content::Mapping(Vec::new()), location: value.location() },
            ),
        };
        Some(Plugin { name: name.to_owned(), place, config: Arc::new(config) })
    });
    plugins.collect()
}
