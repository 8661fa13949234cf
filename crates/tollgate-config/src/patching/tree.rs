//! Resources as the control plane would send them: a tree for each listener, route table and cluster.

use serde_json::json;
use tollgate_ir::Resources;
use tollgate_model::listener::MisdirectedRequests;

use crate::{
    envoy::write_bootstrap,
    schema::{from_json, to_json},
    yaml::{Content, Entry, Location, Node},
};

/// What kind of resource it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ResourceKind {
    Listener,
    RouteConfiguration,
    Cluster,
    ClusterLoadAssignment,
    Secret,
}

/// A bootstrap taken apart.
///
/// Listeners of cleartext have a default filter chain and no other one, and every listener names its route table, as Envoy
/// Gateway sends them: paths of patches lead through both.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// Everything else.
    bootstrap: Node,
    pub(super) listeners: Vec<Node>,
    route_tables: Vec<Node>,
    pub(super) clusters: Vec<Node>,
    secrets: Vec<Node>,
}

impl Tree {
    pub(super) fn of(resources: &Resources) -> Self {
        let mut plain = resources.clone();
        for listener in &mut plain.listeners {
            // How Envoy would answer 421 is written as routes; here it stays what it is.
            let listener = std::sync::Arc::make_mut(listener);
            for chain in &mut listener.value.filter_chains {
                chain.misdirected_requests = MisdirectedRequests::default();
            }
        }
        let mut bootstrap = from_json(&write_bootstrap(&plain).bootstrap);
        let mut tree = Self {
            listeners: Vec::new(),
            route_tables: Vec::new(),
            clusters: Vec::new(),
            secrets: Vec::new(),
            bootstrap: Node { content: Content::Null, location: Location::default() },
        };
        if let Some(fixed) = member_mut(&mut bootstrap, "static_resources") {
            tree.clusters = take_list(fixed, "clusters");
            tree.secrets = take_list(fixed, "secrets");
            for mut listener in take_list(fixed, "listeners") {
                tree.take_route_tables(&mut listener);
                use_default_chain(&mut listener);
                tree.listeners.push(listener);
            }
        }
        tree.bootstrap = bootstrap;
        tree
    }

    /// Takes the route tables out of a listener.
    fn take_route_tables(&mut self, listener: &mut Node) {
        for manager in managers_mut(listener) {
            let Some(table) = take(manager, "route_config") else { continue };
            let name = name_of(&table).to_owned();
            if name.is_empty() || self.route_tables.iter().any(|other| name_of(other) == name) {
                set(manager, "route_config", table);
                continue;
            }
            let source = json!({"ads": {}, "resource_api_version": "V3"});
            set(manager, "rds", from_json(&json!({"config_source": source, "route_config_name": name})));
            self.route_tables.push(table);
        }
    }

    /// The bootstrap as it is read.
    pub(super) fn assemble(&self) -> Node {
        let mut bootstrap = self.bootstrap.clone();
        let mut listeners = self.listeners.clone();
        for listener in &mut listeners {
            for manager in managers_mut(listener) {
                let named = manager
                    .member("rds")
                    .and_then(|rds| rds.member("route_config_name"))
                    .and_then(Node::text);
                let table =
                    named.and_then(|name| self.route_tables.iter().find(|table| name_of(table) == name));
                if let Some(table) = table.cloned() {
                    take(manager, "rds");
                    set(manager, "route_config", table);
                }
            }
            use_first_chain(listener);
        }
        let list = |items| Node { content: Content::Sequence(items), location: Location::default() };
        let fixed = [
            ("listeners", listeners),
            ("clusters", self.clusters.clone()),
            ("secrets", self.secrets.clone()),
        ];
        let mut resources = Node { content: Content::Mapping(Vec::new()), location: Location::default() };
        for (name, items) in fixed {
            set(&mut resources, name, list(items));
        }
        set(&mut bootstrap, "static_resources", resources);
        bootstrap
    }

    fn all(&self, kind: ResourceKind) -> &[Node] {
        match kind {
            ResourceKind::Listener => &self.listeners,
            ResourceKind::RouteConfiguration => &self.route_tables,
            ResourceKind::Cluster | ResourceKind::ClusterLoadAssignment => &self.clusters,
            ResourceKind::Secret => &self.secrets,
        }
    }

    /// The resources that a patch means by a name.
    pub(super) fn find(&mut self, kind: ResourceKind, name: &str) -> Vec<&mut Node> {
        let wanted = self.names(kind, name);
        let list = match kind {
            ResourceKind::Listener => &mut self.listeners,
            ResourceKind::RouteConfiguration => &mut self.route_tables,
            ResourceKind::Cluster | ResourceKind::ClusterLoadAssignment => &mut self.clusters,
            ResourceKind::Secret => &mut self.secrets,
        };
        let found = list.iter_mut().filter(|node| wanted.iter().any(|name| name == name_of(node)));
        if kind == ResourceKind::ClusterLoadAssignment {
            return found.filter_map(|cluster| member_mut(cluster, "load_assignment")).collect();
        }
        found.collect()
    }

    /// The names that resources have which somebody calls so.
    ///
    /// The backends of a rule are clusters of their own here, where Envoy Gateway makes one cluster of them. With its names of
    /// the second kind a listener is called by its port (`tcp-80`), and so is its route table (`http-80`).
    pub(super) fn names(&self, kind: ResourceKind, name: &str) -> Vec<String> {
        let known = self.all(kind).iter().map(name_of);
        let found: Vec<String> = match kind {
            ResourceKind::Cluster | ResourceKind::ClusterLoadAssignment => {
                let of_backends = format!("{name}/backend/");
                known.filter(|one| *one == name || one.starts_with(&of_backends)).map(str::to_owned).collect()
            }
            _ => known.filter(|one| *one == name).map(str::to_owned).collect(),
        };
        if !found.is_empty() {
            return found;
        }
        let port = match kind {
            ResourceKind::Listener => name.strip_prefix("tcp-"),
            ResourceKind::RouteConfiguration => name.strip_prefix("http-"),
            _ => None,
        };
        port.map(|port| self.of_port(kind, port)).unwrap_or_default()
    }

    fn of_port(&self, kind: ResourceKind, port: &str) -> Vec<String> {
        let prefixes = [format!("http-{port}"), format!("https-{port}")];
        let mut found = Vec::new();
        for listener in &self.listeners {
            for manager in managers(listener) {
                let prefix = manager.member("stat_prefix").and_then(Node::text);
                if !prefix.is_some_and(|prefix| prefixes.iter().any(|one| one == prefix)) {
                    continue;
                }
                let table = manager.member("rds").and_then(|rds| rds.member("route_config_name"));
                found.extend(match kind {
                    ResourceKind::Listener => Some(name_of(listener).to_owned()),
                    _ => table.and_then(Node::text).map(str::to_owned),
                });
            }
        }
        found.dedup();
        found
    }

    /// Adds a resource, or puts it in the place of the one that has its name.
    pub(super) fn insert(&mut self, kind: ResourceKind, node: Node) {
        let list = match kind {
            ResourceKind::Listener => &mut self.listeners,
            ResourceKind::RouteConfiguration => &mut self.route_tables,
            ResourceKind::Cluster => &mut self.clusters,
            ResourceKind::Secret => &mut self.secrets,
            ResourceKind::ClusterLoadAssignment => {
                let name = text_of(&node, "cluster_name").to_owned();
                if let Some(cluster) = self.clusters.iter_mut().find(|cluster| name_of(cluster) == name) {
                    set(cluster, "load_assignment", node);
                }
                return;
            }
        };
        match list.iter_mut().find(|other| name_of(other) == name_of(&node)) {
            Some(other) => *other = node,
            None => list.push(node),
        }
    }

    /// Changes the route table of each connection manager of a listener.
    pub(super) fn each_table<E>(
        &mut self,
        listener: &mut Node,
        mut change: impl FnMut(&mut Node) -> Result<(), E>,
    ) -> Result<(), E> {
        for manager in managers_mut(listener) {
            let named = manager.member("rds").and_then(|rds| rds.member("route_config_name"));
            let table = match named.and_then(Node::text) {
                Some(name) => self.route_tables.iter_mut().find(|table| name_of(table) == name),
                None => member_mut(manager, "route_config"),
            };
            if let Some(table) = table {
                change(table)?;
            }
        }
        Ok(())
    }

    /// The listeners that use one of these route tables.
    pub(super) fn listeners_of(&self, tables: &[String]) -> Vec<String> {
        let uses = |listener: &&Node| {
            managers(listener).any(|manager| {
                let name = manager.member("rds").and_then(|rds| rds.member("route_config_name"));
                name.and_then(Node::text).is_some_and(|name| tables.iter().any(|table| table == name))
            })
        };
        self.listeners.iter().filter(uses).map(|listener| name_of(listener).to_owned()).collect()
    }
}

/// `name` of a resource.
pub(super) fn name_of(node: &Node) -> &str {
    text_of(node, "name")
}

/// A text of a resource; empty where there is none.
pub(super) fn text_of<'n>(node: &'n Node, name: &str) -> &'n str {
    node.member(name).and_then(Node::text).unwrap_or_default()
}

pub(super) fn member_mut<'n>(node: &'n mut Node, name: &str) -> Option<&'n mut Node> {
    let Content::Mapping(entries) = &mut node.content else { return None };
    entries.iter_mut().find(|entry| entry.key == name).map(|entry| &mut entry.value)
}

pub(super) fn items_mut(node: &mut Node) -> &mut [Node] {
    match &mut node.content {
        Content::Sequence(items) => items,
        _ => &mut [],
    }
}

pub(super) fn take(node: &mut Node, name: &str) -> Option<Node> {
    let Content::Mapping(entries) = &mut node.content else { return None };
    let at = entries.iter().position(|entry| entry.key == name)?;
    Some(entries.remove(at).value)
}

pub(super) fn take_list(node: &mut Node, name: &str) -> Vec<Node> {
    match take(node, name).map(|list| list.content) {
        Some(Content::Sequence(items)) => items,
        _ => Vec::new(),
    }
}

pub(super) fn set(node: &mut Node, name: &str, value: Node) {
    let Content::Mapping(entries) = &mut node.content else { return };
    match entries.iter_mut().find(|entry| entry.key == name) {
        Some(entry) => entry.value = value,
        None => entries.push(Entry { key: name.to_owned(), key_location: Location::default(), value }),
    }
}

const CHAINS: [&str; 2] = ["filter_chains", "default_filter_chain"];

/// The connection managers of a listener.
fn managers_mut(listener: &mut Node) -> Vec<&mut Node> {
    let Content::Mapping(entries) = &mut listener.content else { return Vec::new() };
    let chains = entries.iter_mut().filter(|entry| CHAINS.contains(&entry.key.as_str())).flat_map(|entry| {
        match &mut entry.value {
            Node { content: Content::Sequence(items), .. } => items.iter_mut().collect::<Vec<_>>(),
            chain => vec![chain],
        }
    });
    let filters = chains.filter_map(|chain| member_mut(chain, "filters")).flat_map(items_mut);
    filters.filter_map(|filter| member_mut(filter, "typed_config")).collect()
}

fn managers(listener: &Node) -> impl Iterator<Item = &Node> {
    let chains =
        CHAINS.iter().filter_map(|name| listener.member(name)).flat_map(|chains| match &chains.content {
            Content::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(chains),
        });
    let filters = chains.filter_map(|chain| chain.member("filters")).flat_map(Node::items);
    filters.filter_map(|filter| filter.member("typed_config"))
}

/// Makes the one filter chain of a listener of cleartext its default one.
fn use_default_chain(listener: &mut Node) {
    let chains = listener.member("filter_chains").map(Node::items).unwrap_or_default();
    let is_plain = |chain: &Node| {
        chain.member("filter_chain_match").is_none() && chain.member("transport_socket").is_none()
    };
    if matches!(chains, [only] if is_plain(only)) && listener.member("default_filter_chain").is_none() {
        let chain = take_list(listener, "filter_chains").into_iter().next();
        if let Some(chain) = chain {
            set(listener, "default_filter_chain", chain);
        }
    }
}

/// The reverse, unless there are other filter chains now.
fn use_first_chain(listener: &mut Node) {
    if !listener.member("filter_chains").map(Node::items).unwrap_or_default().is_empty() {
        return;
    }
    if let Some(chain) = take(listener, "default_filter_chain") {
        let chains = Node { content: Content::Sequence(vec![chain]), location: Location::default() };
        set(listener, "filter_chains", chains);
    }
}

/// The resource as JSON, to look for something.
pub(super) fn json(node: &Node) -> serde_json::Value {
    to_json(node)
}
