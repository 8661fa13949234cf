//! Gateways and routes as far as policies look at them.

use std::{collections::BTreeMap, rc::Rc};

use crate::{
    gateway_api,
    kubernetes::{Document, Metadata, ObjectKey, ObjectRef, Place, status::ParentReference},
    translation::{AttachedRoute, Controller, Gateway, Listener, Route, Rule, RuleBackend},
    yaml::{Content, Node},
};

/// Takes gateways and routes out of the documents.
pub(super) fn gateways(documents: Vec<Document>) -> (Vec<Gateway>, Vec<Document>) {
    let (ours, others): (Vec<_>, Vec<_>) = documents
        .into_iter()
        .partition(|document| matches!(&*kind(&document.node), "GatewayClass" | "Gateway" | "HTTPRoute"));
    let of_kind = |name: &'static str| ours.iter().filter(move |document| kind(&document.node) == name);
    let routes: Vec<_> = of_kind("HTTPRoute").collect();
    let gateways = of_kind("Gateway").map(|document| gateway(document, &routes));
    (gateways.collect(), others)
}

fn gateway(document: &Document, routes: &[&Document]) -> Gateway {
    let meta = Rc::new(metadata(document));
    let object = reference(&meta);
    let listeners = items(&document.node, &["spec", "listeners"]).iter().map(|listener| {
        let name = text(listener, &["name"]);
        Listener {
            owner: object.clone(),
            owner_meta: Rc::clone(&meta),
            port: text(listener, &["port"]).parse().unwrap(),
            hostname: None,
            routes: routes.iter().filter_map(|route| attached(route, &object, &name)).collect(),
            name,
        }
    });
    let listeners = listeners.collect();
    Gateway { object, meta, controller: Controller::EnvoyGateway, listeners }
}

fn attached(document: &Document, gateway: &ObjectRef, listener: &str) -> Option<AttachedRoute> {
    let parent = items(&document.node, &["spec", "parentRefs"]).iter().find(|parent| {
        text(parent, &["name"]) == gateway.name && ["", listener].contains(&&*text(parent, &["sectionName"]))
    })?;
    let meta = Rc::new(metadata(document));
    let rules = items(&document.node, &["spec", "rules"]).iter().map(|rule| Rule {
        name: Some(text(rule, &["name"])).filter(|name| !name.is_empty()),
        place: place(document, rule),
        extension_refs: Vec::new(),
        backends: vec![RuleBackend { extension_refs: Vec::new() }],
    });
    let section_name = Some(text(parent, &["sectionName"])).filter(|name| !name.is_empty());
    Some(AttachedRoute {
        route: Rc::new(Route { object: reference(&meta), rules: rules.collect(), meta }),
        parent: ParentReference { section_name, ..ParentReference::to(gateway) },
        hostnames: vec!["*".to_owned()],
    })
}

fn metadata(document: &Document) -> Metadata {
    let node = &document.node;
    let namespace = match text(node, &["metadata", "namespace"]) {
        namespace if namespace.is_empty() => "default".to_owned(),
        namespace => namespace,
    };
    let labels = match at(node, &["metadata", "labels"]).map(|labels| &labels.content) {
        Some(Content::Mapping(entries)) => {
            entries.iter().map(|entry| (entry.key.clone(), text(&entry.value, &[]))).collect()
        }
        _ => BTreeMap::new(),
    };
    Metadata {
        group: gateway_api::GROUP.to_owned(),
        version: "v1".to_owned(),
        kind: kind(node),
        key: ObjectKey::new(namespace, text(node, &["metadata", "name"])),
        labels,
        annotations: BTreeMap::new(),
        creation_timestamp: None,
        generation: 1,
        order: 0,
        place: place(document, node),
    }
}

fn reference(meta: &Metadata) -> ObjectRef {
    ObjectRef::new(&meta.group, &meta.kind, &meta.key)
}

fn place(document: &Document, node: &Node) -> Place {
    Place { file: document.file.clone(), location: node.location, path: "".into() }
}

fn kind(node: &Node) -> String {
    text(node, &["kind"])
}

fn at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, name| {
        let Content::Mapping(entries) = &node.content else { return None };
        entries.iter().find(|entry| entry.key == *name).map(|entry| &entry.value)
    })
}

fn text(node: &Node, path: &[&str]) -> String {
    match at(node, path).map(|node| &node.content) {
        Some(Content::Plain(text) | Content::Quoted(text)) => text.clone(),
        _ => String::new(),
    }
}

fn items<'n>(node: &'n Node, path: &[&str]) -> &'n [Node] {
    match at(node, path).map(|node| &node.content) {
        Some(Content::Sequence(items)) => items,
        _ => &[],
    }
}
