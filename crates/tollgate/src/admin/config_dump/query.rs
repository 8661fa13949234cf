//! What of a dump is asked for.

use hyper::StatusCode;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::type_url;
use crate::admin::parameters::Parameters;

/// What is asked for.
#[derive(Debug, Default)]
pub(in crate::admin) struct Query {
    /// A list, whose entries are shown instead of everything.
    resource: Option<String>,
    /// Paths of the fields that are shown; none for all of them.
    mask: Vec<String>,
    /// What the names of resources have to match.
    name: Option<Regex>,
    pub(super) include_endpoints: bool,
}

/// Why something is not shown, in Envoy's words.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::admin) struct Refused(pub(in crate::admin) StatusCode, pub(in crate::admin) String);

/// A list of a message of the dump.
struct List {
    /// The message that the list is in.
    message: &'static str,
    name: &'static str,
    /// The message of its entries, without that of the list.
    entry: &'static str,
    /// The fields of its entries.
    fields: &'static [&'static str],
}

const fn list(
    message: &'static str,
    name: &'static str,
    entry: &'static str,
    fields: &'static [&'static str],
) -> List {
    List { message, name, entry, fields }
}

const STATE: &str = "error_state";

static LISTS: [List; 15] = [
    list("ClustersConfigDump", "static_clusters", "StaticCluster", &["cluster", "last_updated"]),
    list("ClustersConfigDump", "dynamic_active_clusters", "DynamicCluster", CLUSTER),
    list("ClustersConfigDump", "dynamic_warming_clusters", "DynamicCluster", CLUSTER),
    list(
        "EndpointsConfigDump",
        "static_endpoint_configs",
        "StaticEndpointConfig",
        &["endpoint_config", "last_updated"],
    ),
    list("EndpointsConfigDump", "dynamic_endpoint_configs", "DynamicEndpointConfig", ENDPOINTS),
    list("ListenersConfigDump", "static_listeners", "StaticListener", &["listener", "last_updated"]),
    list("ListenersConfigDump", "dynamic_listeners", "DynamicListener", LISTENER),
    list("ScopedRoutesConfigDump", "inline_scoped_route_configs", "InlineScopedRouteConfigs", &["name"]),
    list("ScopedRoutesConfigDump", "dynamic_scoped_route_configs", "DynamicScopedRouteConfigs", &["name"]),
    list("RoutesConfigDump", "static_route_configs", "StaticRouteConfig", &["route_config", "last_updated"]),
    list("RoutesConfigDump", "dynamic_route_configs", "DynamicRouteConfig", ROUTES),
    list("SecretsConfigDump", "static_secrets", "StaticSecret", &["name", "last_updated", "secret"]),
    list("SecretsConfigDump", "dynamic_active_secrets", "DynamicSecret", SECRET),
    list("SecretsConfigDump", "dynamic_warming_secrets", "DynamicSecret", SECRET),
    list(
        "EcdsConfigDump",
        "ecds_filters",
        "EcdsFilterConfig",
        &["version_info", "ecds_filter", "last_updated", STATE],
    ),
];

const CLUSTER: &[&str] = &["version_info", "cluster", "last_updated", STATE, "client_status"];
const ENDPOINTS: &[&str] = &["version_info", "endpoint_config", "last_updated", STATE, "client_status"];
const LISTENER: &[&str] =
    &["name", "active_state", "warming_state", "draining_state", STATE, "client_status"];
const ROUTES: &[&str] = &["version_info", "route_config", "last_updated", STATE, "client_status"];
const SECRET: &[&str] = &["name", "version_info", "last_updated", "secret", STATE, "client_status"];

/// Fields that are no lists: their message, and the name.
const SINGLE: [(&str, &str); 4] = [
    ("BootstrapConfigDump", "bootstrap"),
    ("BootstrapConfigDump", "last_updated"),
    ("ClustersConfigDump", "version_info"),
    ("ListenersConfigDump", "version_info"),
];

impl Query {
    /// # Errors
    /// When a pattern is none.
    pub(in crate::admin) fn new(parameters: &Parameters) -> Result<Self, Refused> {
        let text = |name: &str| parameters.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let name = text("name_regex").map(|pattern| {
            Regex::new(&pattern).map_err(|error| {
                let reason =
                    format!("INVALID_ARGUMENT: Error while parsing name_regex from {pattern}: {error}\n");
                Refused(StatusCode::BAD_REQUEST, reason)
            })
        });
        let mask = text("mask").unwrap_or_default();
        Ok(Self {
            resource: text("resource"),
            mask: mask.split(',').filter(|path| !path.is_empty()).map(str::to_owned).collect(),
            name: name.transpose()?,
            include_endpoints: parameters.has("include_eds"),
        })
    }

    /// The dump, or what of it is asked for.
    pub(super) fn select(&self, mut configs: Vec<Value>) -> Result<Value, Refused> {
        if let Some(name) = &self.name {
            configs.iter_mut().for_each(|config| keep_named(config, name));
        }
        let shown = match &self.resource {
            Some(resource) => self.entries(resource, &configs)?,
            None if self.mask.is_empty() => configs,
            None => self.masked(configs)?,
        };
        if shown.is_empty() { Ok(json!({})) } else { Ok(json!({ "configs": shown })) }
    }

    fn entries(&self, resource: &str, configs: &[Value]) -> Result<Vec<Value>, Refused> {
        if SINGLE.iter().any(|(_, name)| *name == resource) {
            let text =
                format!("{resource} is not a repeated field. Use ?mask={resource} to get only this field");
            return Err(Refused(StatusCode::BAD_REQUEST, text));
        }
        let is_there =
            |list: &&List| configs.iter().any(|config| config["@type"] == type_url(list.message).as_str());
        let Some(list) = LISTS.iter().filter(|list| list.name == resource).find(is_there) else {
            return Err(Refused(StatusCode::NOT_FOUND, format!("{resource} not found in config dump")));
        };
        let is_field = |path: &String| list.fields.contains(&first(path));
        if !self.mask.iter().all(is_field) {
            let paths: String = self.mask.iter().map(|path| format!("paths: \"{path}\"\n")).collect();
            let text = format!("FieldMask {paths} could not be successfully used.");
            return Err(Refused(StatusCode::BAD_REQUEST, text));
        }
        let entries = configs.iter().filter_map(|config| config.get(resource)?.as_array()).flatten();
        let shown = entries.map(|entry| {
            let mut entry = if self.mask.is_empty() { entry.clone() } else { trimmed(entry, &self.paths()) };
            entry["@type"] = type_url(&format!("{}.{}", list.message, list.entry)).into();
            entry
        });
        Ok(shown.collect())
    }

    /// The messages that have the fields of the mask, with no others. The entries of a list are shown whole.
    fn masked(&self, configs: Vec<Value>) -> Result<Vec<Value>, Refused> {
        let has = |message: &str, path: &String| {
            let is_list = LISTS.iter().any(|list| list.name == path && message == type_url(list.message));
            let single = SINGLE.iter().any(|(of, name)| *name == first(path) && message == type_url(of));
            is_list || single
        };
        let shown = configs.into_iter().filter_map(|config| {
            let message = config["@type"].as_str().unwrap_or_default();
            self.mask.iter().all(|path| has(message, path)).then(|| trimmed(&config, &self.paths()))
        });
        let shown: Vec<Value> = shown.collect();
        if shown.is_empty() {
            let text = format!(
                "FieldMask {} could not be successfully applied to any configs.",
                self.mask.join(",")
            );
            return Err(Refused(StatusCode::BAD_REQUEST, text));
        }
        Ok(shown)
    }

    fn paths(&self) -> Vec<&str> {
        self.mask.iter().map(String::as_str).collect()
    }
}

fn first(path: &str) -> &str {
    path.split('.').next().unwrap_or_default()
}

/// Keeps the fields of the paths, and the type.
fn trimmed(value: &Value, paths: &[&str]) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    if paths.iter().any(|path| path.is_empty()) {
        return value.clone();
    }
    let mut kept = Map::new();
    for (name, member) in members {
        let inner: Vec<&str> = paths
            .iter()
            .filter(|path| first(path) == name)
            .map(|path| path[name.len()..].trim_start_matches('.'))
            .collect();
        if name == "@type" {
            kept.insert(name.clone(), member.clone());
        } else if !inner.is_empty() {
            kept.insert(name.clone(), trimmed(member, &inner));
        }
    }
    Value::Object(kept)
}

/// Leaves out what is called otherwise.
fn keep_named(config: &mut Value, name: &Regex) {
    let Value::Object(members) = config else { return };
    let lists: Vec<&str> = LISTS.iter().map(|list| list.name).collect();
    for (key, member) in members.iter_mut().filter(|(key, _)| lists.contains(&key.as_str())) {
        let _ = key;
        if let Value::Array(entries) = member {
            entries.retain(|entry| name.is_match(name_of(entry)));
        }
    }
    members.retain(|_, member| member.as_array().is_none_or(|entries| !entries.is_empty()));
}

/// What the resource of an entry is called.
fn name_of(entry: &Value) -> &str {
    let names = [
        &entry["name"],
        &entry["cluster"]["name"],
        &entry["listener"]["name"],
        &entry["route_config"]["name"],
        &entry["endpoint_config"]["cluster_name"],
    ];
    names.into_iter().find_map(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs() -> Vec<Value> {
        let cluster =
            |name: &str| json!({"cluster": {"@type": "c", "name": name, "type": "EDS"}, "last_updated": "t"});
        vec![
            json!({"@type": type_url("BootstrapConfigDump"), "bootstrap": {"node": {"id": "n"}, "admin": {}}, "last_updated": "t"}),
            json!({"@type": type_url("ClustersConfigDump"), "static_clusters": [cluster("a"), cluster("b")]}),
        ]
    }

    fn asked(query: &str) -> Result<Value, Refused> {
        Query::new(&Parameters::new(query)).and_then(|query| query.select(configs()))
    }

    #[test]
    fn lists_are_shown_entry_by_entry() {
        let entry = type_url("ClustersConfigDump.StaticCluster");
        assert_eq!(
            asked("resource=static_clusters&mask=cluster.name").unwrap(),
            json!({"configs": [
                {"@type": entry, "cluster": {"@type": "c", "name": "a"}},
                {"@type": entry, "cluster": {"@type": "c", "name": "b"}},
            ]})
        );
        let named = asked("resource=static_clusters&name_regex=%5Eb%24").unwrap();
        assert_eq!(named["configs"].as_array().unwrap().len(), 1);
        assert_eq!(named["configs"][0]["cluster"]["name"], "b");
        assert_eq!(asked("resource=dynamic_active_clusters").unwrap(), json!({}));
    }

    #[test]
    fn a_mask_chooses_messages_and_fields() {
        let shown = asked("mask=bootstrap.node").unwrap();
        assert_eq!(
            shown,
            json!({"configs": [{"@type": type_url("BootstrapConfigDump"), "bootstrap": {"node": {"id": "n"}}}]})
        );
        assert_eq!(asked("mask=static_clusters").unwrap()["configs"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn what_is_not_there_is_refused_in_envoys_words() {
        for (query, status, expected) in [
            ("resource=nope", 404, "nope not found in config dump"),
            ("resource=dynamic_endpoint_configs", 404, "dynamic_endpoint_configs not found in config dump"),
            (
                "resource=bootstrap",
                400,
                "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field",
            ),
            ("mask=nope.x", 400, "FieldMask nope.x could not be successfully applied to any configs."),
            (
                "mask=static_clusters.cluster.name",
                400,
                "FieldMask static_clusters.cluster.name could not be successfully applied to any configs.",
            ),
            (
                "resource=static_clusters&mask=bogus",
                400,
                "FieldMask paths: \"bogus\"\n could not be successfully used.",
            ),
        ] {
            let Refused(found, text) = asked(query).unwrap_err();
            assert_eq!((found.as_u16(), text.as_str()), (status, expected), "{query}");
        }
        assert!(asked("name_regex=%5B").unwrap_err().1.contains("name_regex"));
    }
}
