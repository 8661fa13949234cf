//! `/config_dump`: the configuration in the messages that Envoy's admin server answers with (`envoy.admin.v3.ConfigDump`), so that
//! tools for Envoy read it.

use percent_encoding::percent_decode_str;
use regex::Regex;
use serde_json::{Map, Value, json};
use tollgate_config::decode_message;
use tollgate_xds::Kind;

use crate::{
    in_force::timestamp,
    xds::status::{Resource, Table},
};

/// What the dump is made of.
pub(super) struct Dump<'a> {
    /// The bootstrap in the JSON form of protobuf.
    pub(super) bootstrap: &'a Value,
    /// What was delivered.
    pub(super) table: &'a Table,
    /// When the bootstrap was read.
    pub(super) since: &'a str,
}

/// What is asked for.
#[derive(Debug, Default)]
pub(super) struct Query {
    resource: Option<String>,
    mask: Option<Vec<String>>,
    name_regex: Option<Regex>,
    include_eds: bool,
}

/// Why there is no dump.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The request makes no sense.
    BadRequest(String),
    /// There is no such part.
    NotFound(String),
}

impl Query {
    /// Reads the query of a request.
    ///
    /// # Errors
    /// A regular expression that is none.
    pub(super) fn parse(query: &str) -> Result<Self, Refused> {
        let mut parsed = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            match name {
                "resource" => parsed.resource = Some(value),
                "mask" => parsed.mask = Some(value.split(',').map(str::to_owned).collect()),
                "name_regex" if value.is_empty() => {}
                "name_regex" => {
                    let regex = Regex::new(&value);
                    let refused = |_| Refused::BadRequest("Error while parsing name_regex from query string\n".to_owned());
                    parsed.name_regex = Some(regex.map_err(refused)?);
                }
                "include_eds" => parsed.include_eds = true,
                _ => {}
            }
        }
        Ok(parsed)
    }
}

impl Dump<'_> {
    /// The answer.
    ///
    /// # Errors
    /// When there is nothing of that kind.
    pub(super) fn answer(&self, query: &Query) -> Result<Value, Refused> {
        let mut configs = self.configs(query.include_eds);
        if let Some(regex) = &query.name_regex {
            configs.iter_mut().for_each(|config| keep_named(config, regex));
        }
        configs.iter_mut().for_each(redact);
        if let Some(resource) = &query.resource {
            configs = elements(configs, resource)?;
        }
        if let Some(mask) = &query.mask {
            for config in &mut configs {
                let type_url = config["@type"].clone();
                let mut kept = json!({});
                for path in mask {
                    let path: Vec<&str> = path.split('.').collect();
                    copy(config, &mut kept, &path);
                }
                kept["@type"] = type_url;
                *config = kept;
            }
            // What nothing of the mask belongs to is left out.
            configs.retain(|config| config.as_object().is_some_and(|config| config.len() > 1));
        }
        Ok(json!({ "configs": configs }))
    }

    fn configs(&self, include_eds: bool) -> Vec<Value> {
        let mut configs = vec![json!({
            "@type": dump_type("BootstrapConfigDump"),
            "bootstrap": self.bootstrap,
            "last_updated": self.since,
        })];
        let version = |kind: Kind| self.table.types.get(&kind).map(|last| last.version.clone());
        let fixed = |list: &str, kind: Kind, member: &str| {
            let resources = self.bootstrap["static_resources"][list].as_array();
            let with_type = resources.into_iter().flatten().map(|resource| {
                json!({ member: typed(kind, resource.clone()), "last_updated": self.since })
            });
            with_type.collect::<Vec<_>>()
        };
        let mut clusters = object("ClustersConfigDump");
        insert(&mut clusters, "version_info", version(Kind::Cluster).map(Value::from));
        insert_list(&mut clusters, "static_clusters", fixed("clusters", Kind::Cluster, "cluster"));
        insert_list(&mut clusters, "dynamic_active_clusters", self.delivered(Kind::Cluster, "cluster", active));
        insert_list(&mut clusters, "dynamic_warming_clusters", self.delivered(Kind::Cluster, "cluster", warming));
        configs.push(clusters.into());
        if include_eds {
            let mut endpoints = object("EndpointsConfigDump");
            let of_clusters = self.bootstrap["static_resources"]["clusters"].as_array();
            let assignments = of_clusters.into_iter().flatten().filter_map(|cluster| cluster.get("load_assignment"));
            let fixed = assignments.map(|one| json!({ "endpoint_config": typed(Kind::Endpoints, one.clone()) }));
            insert_list(&mut endpoints, "static_endpoint_configs", fixed.collect());
            let delivered = self.delivered(Kind::Endpoints, "endpoint_config", active);
            insert_list(&mut endpoints, "dynamic_endpoint_configs", delivered);
            configs.push(endpoints.into());
        }
        let mut listeners = object("ListenersConfigDump");
        insert(&mut listeners, "version_info", version(Kind::Listener).map(Value::from));
        insert_list(&mut listeners, "static_listeners", fixed("listeners", Kind::Listener, "listener"));
        insert_list(&mut listeners, "dynamic_listeners", self.listeners());
        configs.push(listeners.into());
        configs.push(object("ScopedRoutesConfigDump").into());
        let mut routes = object("RoutesConfigDump");
        let in_place = in_place_routes(&self.bootstrap["static_resources"]["listeners"]);
        let in_place = in_place
            .into_iter()
            .map(|table| json!({ "route_config": typed(Kind::Routes, table), "last_updated": self.since }));
        insert_list(&mut routes, "static_route_configs", in_place.collect());
        insert_list(&mut routes, "dynamic_route_configs", self.delivered(Kind::Routes, "route_config", active));
        configs.push(routes.into());
        let mut secrets = object("SecretsConfigDump");
        let mut delivered = self.delivered(Kind::Secret, "secret", active);
        for secret in &mut delivered {
            secret["name"] = secret["secret"]["name"].clone();
        }
        insert_list(&mut secrets, "dynamic_active_secrets", delivered);
        configs.push(secrets.into());
        configs
    }

    /// The resources of a kind that are in this state.
    fn delivered(
        &self,
        kind: Kind,
        member: &str,
        state: impl Fn(&Resource) -> Option<&(String, bytes::Bytes)>,
    ) -> Vec<Value> {
        let of_kind = self.table.of(kind).filter_map(|(_, resource)| Some((state(resource)?, resource)));
        let configs = of_kind.map(|((version, body), resource)| {
            let mut config = json!({ "version_info": version, member: message(kind, body) });
            if let Some(since) = resource.since {
                config["last_updated"] = timestamp(since).into();
            }
            config
        });
        configs.collect()
    }

    fn listeners(&self) -> Vec<Value> {
        let states = self.table.of(Kind::Listener).map(|(name, resource)| {
            let mut listener = json!({ "name": name });
            let since = resource.since.map(timestamp);
            let state = |(version, body): &(String, bytes::Bytes)| {
                json!({ "version_info": version, "listener": message(Kind::Listener, body), "last_updated": since })
            };
            if let Some(active) = &resource.active {
                listener["active_state"] = state(active);
            }
            if let Some(warming) = &resource.warming {
                listener["warming_state"] = state(warming);
            }
            if let Some((version, why)) = &resource.refused {
                listener["error_state"] =
                    json!({ "details": why, "version_info": version, "last_update_attempt": since });
            }
            listener
        });
        states.collect()
    }
}

fn active(resource: &Resource) -> Option<&(String, bytes::Bytes)> {
    resource.active.as_ref()
}

fn warming(resource: &Resource) -> Option<&(String, bytes::Bytes)> {
    resource.warming.as_ref()
}

fn dump_type(name: &str) -> String {
    format!("type.googleapis.com/envoy.admin.v3.{name}")
}

fn object(name: &str) -> Map<String, Value> {
    Map::from_iter([("@type".to_owned(), Value::from(dump_type(name)))])
}

fn insert(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value);
    }
}

fn insert_list(object: &mut Map<String, Value>, name: &str, list: Vec<Value>) {
    insert(object, name, (!list.is_empty()).then(|| list.into()));
}

/// A resource with its type.
fn typed(kind: Kind, mut resource: Value) -> Value {
    if let Value::Object(members) = &mut resource {
        members.insert("@type".to_owned(), kind.type_url().into());
    }
    resource
}

fn message(kind: Kind, body: &[u8]) -> Value {
    decode_message(kind.message(), body).map_or(Value::Null, |message| typed(kind, message))
}

/// The route tables that connection managers have in place.
fn in_place_routes(listeners: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    let listeners = listeners.as_array().into_iter().flatten();
    for listener in listeners {
        let chains = listener["filter_chains"].as_array().into_iter().flatten();
        for chain in chains.chain(listener.get("default_filter_chain")) {
            let filters = chain["filters"].as_array().into_iter().flatten();
            found.extend(filters.filter_map(|filter| filter["typed_config"].get("route_config").cloned()));
        }
    }
    found
}

/// The lists of each dump, and what their elements are.
const LISTS: [(&str, &str); 12] = [
    ("static_clusters", "ClustersConfigDump.StaticCluster"),
    ("dynamic_active_clusters", "ClustersConfigDump.DynamicCluster"),
    ("dynamic_warming_clusters", "ClustersConfigDump.DynamicCluster"),
    ("static_listeners", "ListenersConfigDump.StaticListener"),
    ("dynamic_listeners", "ListenersConfigDump.DynamicListener"),
    ("static_route_configs", "RoutesConfigDump.StaticRouteConfig"),
    ("dynamic_route_configs", "RoutesConfigDump.DynamicRouteConfig"),
    ("static_endpoint_configs", "EndpointsConfigDump.StaticEndpointConfig"),
    ("dynamic_endpoint_configs", "EndpointsConfigDump.DynamicEndpointConfig"),
    ("static_secrets", "SecretsConfigDump.StaticSecret"),
    ("dynamic_active_secrets", "SecretsConfigDump.DynamicSecret"),
    ("dynamic_warming_secrets", "SecretsConfigDump.DynamicSecret"),
];

/// The elements of one list, each as a configuration of its own.
fn elements(configs: Vec<Value>, resource: &str) -> Result<Vec<Value>, Refused> {
    let Some((_, type_name)) = LISTS.iter().find(|(name, _)| *name == resource) else {
        let is_message = configs.iter().any(|config| config.get(resource).is_some());
        return Err(match is_message {
            true => Refused::BadRequest(format!(
                "{resource} is not a repeated field. Use ?mask={resource} to get only this field"
            )),
            false => Refused::NotFound(format!("{resource} not found in config dump")),
        });
    };
    let lists = configs.into_iter().filter_map(|mut config| match config.get_mut(resource)?.take() {
        Value::Array(list) => Some(list),
        _ => None,
    });
    let elements = lists.flatten().map(|mut element| {
        element["@type"] = dump_type(type_name).into();
        element
    });
    Ok(elements.collect())
}

/// Leaves the resources whose names match.
fn keep_named(config: &mut Value, regex: &Regex) {
    let Value::Object(members) = config else { return };
    for (name, list) in members.iter_mut() {
        if let (true, Value::Array(elements)) = (LISTS.iter().any(|(known, _)| known == name), list) {
            elements.retain(|element| name_of(element).is_some_and(|name| regex.is_match(name)));
        }
    }
    members.retain(|_, member| member.as_array().is_none_or(|list| !list.is_empty()));
}

fn name_of(element: &Value) -> Option<&str> {
    let own = ["cluster", "listener", "route_config", "secret", "endpoint_config"];
    let inner = own.iter().find_map(|member| element.get(member));
    let inner = inner.unwrap_or(element);
    inner["name"].as_str().or_else(|| inner["cluster_name"].as_str())
}

/// Copies what a path of a field mask names.
fn copy(from: &Value, to: &mut Value, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else {
        *to = from.clone();
        return;
    };
    let Some(member) = from.get(first) else { return };
    let type_url = from.get("@type").cloned();
    let target = &mut to[*first];
    if rest.is_empty() {
        *target = member.clone();
    } else if member.is_object() {
        if target.is_null() {
            *target = json!({});
        }
        copy(member, target, rest);
        if let Some(type_url) = member.get("@type") {
            target["@type"] = type_url.clone();
        }
    }
    if let Some(type_url) = type_url {
        to["@type"] = type_url;
    }
}

/// Members that hold what nobody is shown.
const SENSITIVE: [&str; 8] = [
    "private_key",
    "password",
    "pkcs12",
    "session_ticket_keys",
    "generic_secret",
    "access_token",
    "google_refresh_token",
    "json_key",
];

/// Hides keys and passwords, as Envoy does.
fn redact(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if SENSITIVE.contains(&&**name) { hide(member, name) } else { redact(member) }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

fn hide(value: &mut Value, name: &str) {
    match value {
        // Bytes are base64: "[redacted]".
        Value::String(text) if name == "inline_bytes" => "W3JlZGFjdGVkXQ==".clone_into(text),
        Value::String(text) => "[redacted]".clone_into(text),
        Value::Object(members) => members.iter_mut().for_each(|(name, member)| hide(member, name)),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, name)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bootstrap() -> Value {
        json!({
            "node": {"id": "a"},
            "static_resources": {
                "clusters": [{"name": "app", "load_assignment": {"cluster_name": "app"}}, {"name": "other"}],
                "listeners": [{"name": "main", "filter_chains": [{
                    "transport_socket": {"typed_config": {"private_key": {"inline_string": "secret", "filename": "key.pem"}}},
                    "filters": [{"typed_config": {"route_config": {"name": "r"}}}],
                }]}],
            },
        })
    }

    fn answer(query: &str) -> Result<Value, Refused> {
        let (bootstrap, table) = (bootstrap(), Table::default());
        let dump = Dump { bootstrap: &bootstrap, table: &table, since: "2026-11-30T00:00:00Z" };
        dump.answer(&Query::parse(query)?)
    }

    fn types(answer: &Value) -> Vec<String> {
        let types = answer["configs"].as_array().unwrap().iter().map(|config| config["@type"].as_str().unwrap());
        types.map(|name| name.rsplit('.').next().unwrap().to_owned()).collect()
    }

    /// As observed on Envoy 1.40.0.
    #[test]
    fn the_parts_are_envoys() {
        let whole = answer("").unwrap();
        let names = [
            "BootstrapConfigDump",
            "ClustersConfigDump",
            "ListenersConfigDump",
            "ScopedRoutesConfigDump",
            "RoutesConfigDump",
            "SecretsConfigDump",
        ];
        assert_eq!(types(&whole), names);
        assert_eq!(types(&answer("include_eds").unwrap())[2], "EndpointsConfigDump");
        let clusters = answer("resource=static_clusters").unwrap();
        assert_eq!(types(&clusters), ["StaticCluster", "StaticCluster"]);
        assert_eq!(clusters["configs"][0]["cluster"]["@type"], Kind::Cluster.type_url());
        let masked = answer("resource=static_clusters&mask=cluster.name").unwrap();
        let expected = json!({
            "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster",
            "cluster": {"@type": Kind::Cluster.type_url(), "name": "app"},
        });
        assert_eq!(masked["configs"][0], expected);
        assert_eq!(types(&answer("mask=bootstrap").unwrap()), ["BootstrapConfigDump"]);
        let named = answer("resource=static_clusters&name_regex=ap.").unwrap();
        assert_eq!(named["configs"].as_array().unwrap().len(), 1);
        assert_eq!(answer("resource=nothing"), Err(Refused::NotFound("nothing not found in config dump".to_owned())));
        assert!(matches!(answer("resource=bootstrap"), Err(Refused::BadRequest(_))));
        assert!(matches!(answer("name_regex=("), Err(Refused::BadRequest(_))));
    }

    #[test]
    fn keys_are_not_shown() {
        let text = answer("").unwrap().to_string();
        assert!(!text.contains("secret\"") && !text.contains("key.pem"), "{text}");
        assert!(text.contains("[redacted]"), "{text}");
    }
}
