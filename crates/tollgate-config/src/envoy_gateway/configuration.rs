//! EnvoyGateway: the configuration of the controller, as an object or inside a ConfigMap (6.9, EG-71, EG-72).

use std::sync::Arc;

use super::{Objects, controller::NAME};
use crate::{
    Severity,
    diagnostic::Report,
    kubernetes::{Age, Place},
    schema::{Context, Message, Notation, Schema, Value, bookkeeping, harmless, read},
    translation::Translator,
    yaml::{self, Content, Node},
};

/// What the configuration of the controller says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// Which classes are claimed (CF-19).
    pub(crate) controller_name: String,
    /// Whether Backends may be used (EG-71).
    pub(crate) backends_enabled: bool,
    /// Whether EnvoyPatchPolicies are applied.
    pub(crate) patches_enabled: bool,
}

impl Default for Configuration {
    /// No document: nothing was turned off.
    fn default() -> Self {
        Self { controller_name: NAME.to_owned(), backends_enabled: true, patches_enabled: true }
    }
}

pub(super) static ENVOY_GATEWAY: Schema = Schema {
    name: "EnvoyGateway",
    title: "",
    fields: &[
        bookkeeping("apiVersion"),
        bookkeeping("kind"),
        bookkeeping("metadata"),
        read("gateway", "{}", "Which classes are claimed."),
        read("extensionApis", "{}", "Which kinds may be used."),
        bookkeeping("provider"),
        harmless("logging", "use the options of the command line"),
        harmless("admin", "use the options of the command line"),
        harmless("telemetry", "statistics and logs are those of the gateway itself"),
        harmless("rateLimit", "rate limits are not implemented"),
        harmless("extensionManager", "extension servers are not called"),
        harmless("extensionManagers", "extension servers are not called"),
        harmless("runtimeFlags", "there is no such flag"),
        harmless("gatewayAPI", "every resource that is read is served"),
        harmless("xdsServer", "there is no server"),
        harmless("envoyProxy", "refer to an EnvoyProxy with parametersRef"),
    ],
    unsupported: &[],
};

static GATEWAY: Schema = Schema {
    name: "Gateway",
    title: "",
    fields: &[read("controllerName", "gateway.envoyproxy.io/gatewayclass-controller", "Name in classes.")],
    unsupported: &[],
};

static EXTENSION_APIS: Schema = Schema {
    name: "ExtensionAPISettings",
    title: "",
    fields: &[
        read("enableBackend", "false", "Backends may be used."),
        read("enableEnvoyPatchPolicy", "false", "EnvoyPatchPolicies are applied."),
        harmless("enableLua", "Lua is not run"),
        harmless("disableLua", "Lua is not run"),
        harmless("enableSDSSecretRef", "secrets are read from objects"),
    ],
    unsupported: &[],
};

pub(super) fn read_configuration(message: &Message<'_>) -> Option<Configuration> {
    let mut configuration = Configuration::default();
    let name = message.message("gateway", &GATEWAY).map(|gateway| gateway.string("controllerName"));
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        configuration.controller_name = name;
    }
    let apis = message.message("extensionApis", &EXTENSION_APIS);
    let is_enabled = |name| apis.as_ref().is_some_and(|apis| apis.boolean(name, false));
    configuration.backends_enabled = is_enabled("enableBackend");
    configuration.patches_enabled = is_enabled("enableEnvoyPatchPolicy");
    Some(configuration)
}

/// Name of the ConfigMap, and of its key.
const CONFIG_MAP: &str = "envoy-gateway-config";
const KEY: &str = "envoy-gateway.yaml";

impl Configuration {
    /// The one configuration that is in force.
    pub(super) fn in_force(translator: &Translator<'_>) -> Self {
        let Translator { store, diagnostics, .. } = translator;
        let objects = store.of::<Objects>().configurations.iter();
        let mut found: Vec<(Age, Place, Self)> = objects
            .map(|object| (object.meta.age(), object.meta.place.clone(), object.spec.clone()))
            .collect();
        let maps = store.core.config_maps.iter().filter(|map| map.meta.key.name == CONFIG_MAP);
        for map in maps {
            let Some(text) = map.spec.data.get(KEY) else { continue };
            let place = place_of_text(&map.node, &map.meta.place);
            let read = read_text(text, &place, translator);
            found.extend(read.map(|configuration| (map.meta.age(), place, configuration)));
        }
        found.sort_by(|(left, ..), (right, ..)| left.cmp(right));
        for (_, place, _) in found.iter().skip(1) {
            diagnostics.error(
                place,
                "there is more than one configuration of Envoy Gateway",
                Some(format!("the one at {} is used", found[0].1)),
            );
        }
        found.into_iter().next().map(|(.., configuration)| configuration).unwrap_or_default()
    }
}

/// Where the text stands in its ConfigMap.
fn place_of_text(map: &Arc<Node>, whole: &Place) -> Place {
    let member = |node: &Node, name: &str| match &node.content {
        Content::Mapping(entries) => entries.iter().find(|entry| entry.key == name).cloned(),
        _ => None,
    };
    let entry = member(map, "data").and_then(|data| member(&data.value, KEY));
    match entry {
        Some(entry) => whole.elsewhere(entry.key_location, format!("data[\"{KEY}\"]")),
        None => whole.clone(),
    }
}

/// Reads the text; what is said about it stands at the ConfigMap.
fn read_text(text: &str, place: &Place, translator: &Translator<'_>) -> Option<Configuration> {
    let Translator { files, options, diagnostics, .. } = *translator;
    let report = Report::of(place.whole());
    let documents = yaml::parse(text, &report);
    let context = Context { report: &report, files, options, notation: Notation::Kubernetes };
    let configuration = documents.first().and_then(|document| {
        let value = Value::root(context, document);
        let message = value.message(&ENVOY_GATEWAY)?;
        let Content::Mapping(entries) = &document.content else { return None };
        let is_kind = entries.iter().any(|entry| {
            entry.key == "kind"
                && matches!(&entry.value.content, Content::Plain(kind) | Content::Quoted(kind) if kind == "EnvoyGateway")
        });
        if !is_kind {
            value.warning("it is not read: its kind is not EnvoyGateway", "write kind: EnvoyGateway");
            return None;
        }
        read_configuration(&message)
    });
    for said in report.finish() {
        let message = format!("line {} of {KEY}: {}", said.place.line(), said.message);
        match said.severity {
            Severity::Error => diagnostics.error(place, message, said.help),
            Severity::Warning => diagnostics.warning(place, message, said.help),
            Severity::Info => diagnostics.info(place, message, said.help),
        }
    }
    configuration
}
