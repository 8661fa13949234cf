//! The schemas of objects held against the properties of their CustomResourceDefinitions.
//!
//! `definitions.txt` has the names of the properties, without the specs of pods. To make it anew, after an update of an API:
//!
//! ```text
//! go mod download sigs.k8s.io/gateway-api@v1.5.1 github.com/envoyproxy/gateway@v1.9.1 istio.io/api@v1.32.0 \
//!     github.com/kgateway-dev/kgateway/v2@v2.4.0
//! DEFINITIONS="$mod/sigs.k8s.io/gateway-api@v1.5.1/config/crd/experimental \
//!     $mod/github.com/envoyproxy/gateway@v1.9.1/charts/gateway-helm/charts/crds/crds/generated \
//!     $mod/istio.io/api@v1.32.0/kubernetes \
//!     $mod/github.com/kgateway-dev/kgateway/v2@v2.4.0/install/helm/kgateway-crds/templates" \
//!     cargo test -p tollgate-config --lib definitions -- --ignored
//! ```
//!
//! with `mod=$(go env GOMODCACHE)`. HTNN's are in `manifests/charts/htnn-controller/templates/crds` of its repository.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use crate::{
    Source,
    diagnostic::Report,
    load,
    schema::{coverage, is_spelling},
    yaml::{self, Content, Node},
};

const TABLE: &str = include_str!("definitions.txt");

/// The groups and kinds whose objects are read.
const KINDS: [(&str, &[&str]); 5] = [
    (
        "gateway.networking.k8s.io",
        &[
            "BackendTLSPolicy",
            "GRPCRoute",
            "Gateway",
            "GatewayClass",
            "HTTPRoute",
            "ListenerSet",
            "ReferenceGrant",
            "TCPRoute",
            "TLSRoute",
            "UDPRoute",
        ],
    ),
    (
        "gateway.envoyproxy.io",
        &[
            "Backend",
            "BackendTrafficPolicy",
            "ClientTrafficPolicy",
            "EnvoyExtensionPolicy",
            "EnvoyPatchPolicy",
            "EnvoyProxy",
            "HTTPRouteFilter",
            "SecurityPolicy",
        ],
    ),
    ("gateway.kgateway.dev", &["Backend", "GatewayExtension", "TrafficPolicy"]),
    ("networking.istio.io", &["DestinationRule", "EnvoyFilter", "Gateway", "ServiceEntry", "VirtualService"]),
    ("htnn.mosn.io", &["FilterPolicy", "HTTPFilterPolicy"]),
];

/// Types of pods, which nothing here reads.
const OF_PODS: [&str; 12] = [
    "affinity",
    "containers",
    "env",
    "envFrom",
    "initContainers",
    "lifecycle",
    "resources",
    "securityContext",
    "tolerations",
    "topologySpreadConstraints",
    "volumeMounts",
    "volumes",
];

/// The properties of a type. Lists are transparent; the values of a map are called `*`.
#[derive(Debug, Default, PartialEq)]
struct Properties(BTreeMap<String, Self>);

impl Properties {
    /// The properties of an OpenAPI schema.
    fn of(schema: &Node) -> Self {
        let mut found = Self::default();
        found.add(schema);
        found
    }

    fn add(&mut self, schema: &Node) {
        if let Some(Content::Mapping(properties)) = member(schema, "properties") {
            for property in properties {
                let inner = self.0.entry(property.key.clone()).or_default();
                if !OF_PODS.contains(&&*property.key) {
                    inner.add(&property.value);
                }
            }
        } else if let Some(items) = node(schema, "items") {
            self.add(items);
        } else if let Some(values) = node(schema, "additionalProperties") {
            let values = Self::of(values);
            if !values.0.is_empty() {
                self.0.insert("*".to_owned(), values);
            }
        }
    }

    fn write(&self, depth: usize, text: &mut String) {
        for (name, inner) in &self.0 {
            writeln!(text, "{}{name}", " ".repeat(depth)).unwrap();
            inner.write(depth + 1, text);
        }
    }

    /// Reads the lines that are indented by `depth` or more.
    fn read<'l>(lines: &mut std::iter::Peekable<impl Iterator<Item = &'l str>>, depth: usize) -> Self {
        let mut found = Self::default();
        while let Some(line) = lines.next_if(|line| indentation(line) >= depth) {
            found.0.insert(line.trim().to_owned(), Self::read(lines, depth + 1));
        }
        found
    }

    /// The type at a path such as `spec.rules[0].matches`.
    fn at(&self, path: &str) -> Option<&Self> {
        let mut here = self;
        for (is_key, name) in steps(path) {
            here = if is_key { here.0.get("*")? } else { here.0.get(&name)? };
        }
        Some(here)
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The members and keys of a path, without the places in lists.
fn steps(path: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[\"") {
            let (key, after) = after.split_once("\"]").unwrap_or((after, ""));
            found.push((true, key.to_owned()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            rest = after.split_once(']').map_or("", |(_, after)| after);
        } else {
            let name = rest.trim_start_matches('.');
            let end = name.find(['.', '[']).unwrap_or(name.len());
            found.push((false, name[..end].to_owned()));
            rest = &name[end..];
        }
    }
    found
}

fn node<'n>(parent: &'n Node, name: &str) -> Option<&'n Node> {
    let Content::Mapping(entries) = &parent.content else { return None };
    entries.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
}

fn member<'n>(parent: &'n Node, name: &str) -> Option<&'n Content> {
    node(parent, name).map(|node| &node.content)
}

fn text<'n>(parent: &'n Node, name: &str) -> Option<&'n str> {
    match member(parent, name)? {
        Content::Plain(text) | Content::Quoted(text) => Some(text),
        _ => None,
    }
}

/// By group and kind.
type Definitions = BTreeMap<(String, String), Properties>;

fn table() -> Definitions {
    let mut lines = TABLE.lines().filter(|line| !line.starts_with('#')).peekable();
    let mut found = Definitions::new();
    while let Some(line) = lines.next() {
        let (group, kind) = line.split_once(' ').expect("a group and a kind");
        found.insert((group.to_owned(), kind.to_owned()), Properties::read(&mut lines, 1));
    }
    found
}

/// The definitions of files, all versions together.
fn read_definitions(folders: &str) -> Definitions {
    let mut found = Definitions::new();
    for folder in folders.split_whitespace() {
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|name| name == "yaml")) {
            let report = Report::new("definition");
            for document in yaml::parse(&fs::read_to_string(path).unwrap(), &report) {
                add_definition(&document, &mut found);
            }
        }
    }
    found
}

fn add_definition(document: &Node, found: &mut Definitions) {
    if text(document, "kind") != Some("CustomResourceDefinition") {
        return;
    }
    let spec = node(document, "spec").unwrap();
    let (group, kind) = (text(spec, "group").unwrap(), text(node(spec, "names").unwrap(), "kind").unwrap());
    if !KINDS.iter().any(|(known, kinds)| *known == group && kinds.contains(&kind)) {
        return;
    }
    let Some(Content::Sequence(versions)) = member(spec, "versions") else { panic!("{kind}: no versions") };
    let properties = found.entry((group.to_owned(), kind.to_owned())).or_default();
    for version in versions {
        let schema = node(node(version, "schema").unwrap(), "openAPIV3Schema").unwrap();
        let spec = node(node(schema, "properties").unwrap(), "spec").unwrap();
        properties.0.entry("spec".to_owned()).or_default().add(spec);
    }
}

#[test]
#[ignore = "makes the table from the definitions in the folders that DEFINITIONS lists"]
fn the_table_is_made_of_the_definitions() {
    let found = read_definitions(&std::env::var("DEFINITIONS").expect("DEFINITIONS lists folders"));
    let mut written =
        "# The properties of CustomResourceDefinitions; definitions.rs says how to make this again.\n"
            .to_owned();
    for ((group, kind), properties) in &found {
        writeln!(written, "{group} {kind}").unwrap();
        properties.write(1, &mut written);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kubernetes/tests/definitions.txt");
    fs::write(path, written).unwrap();
}

#[test]
fn paths_are_taken_apart() {
    let step = |is_key: bool, name: &str| (is_key, name.to_owned());
    assert_eq!(
        steps("spec.a[0].b[\"x.y\"].c"),
        [step(false, "spec"), step(false, "a"), step(false, "b"), step(true, "x.y"), step(false, "c")]
    );
}

/// Inputs that have every field which is read, and what is read before each of them.
const INPUTS: [(&str, Option<&str>); 6] = [
    ("src/envoy_gateway/tests/inputs", Some("src/envoy_gateway/tests/base.yaml")),
    ("src/kgateway/tests/inputs", Some("src/kgateway/tests/base.yaml")),
    ("src/htnn/tests/inputs", Some("src/htnn/tests/base.yaml")),
    ("src/translation/tests/inputs", None),
    ("tests/gateway_api", None),
    ("tests/istio", None),
];

/// What is read though the table does not have it.
const SURPLUS: [&str; 20] = [
    // Up to Gateway API 1.0.
    "BackendTLSPolicy spec.targetRef (",
    "BackendTLSPolicy spec.targetRefs.namespace",
    "BackendTLSPolicy spec.tls",
    "BackendTLSPolicy spec.validation.caCertRefs",
    "BackendTLSPolicy spec.validation.wellKnownCACerts",
    // After Gateway API 1.5.
    "HTTPRoute spec.rules.sessionPersistence.cookie (",
    "HTTPRoute spec.rules.sessionPersistence.cookieConfig.",
    "HTTPRoute spec.rules.sessionPersistence.header (",
    // Before kgateway 2.4.
    "GatewayExtension spec.extProc.authority",
    "GatewayExtension spec.extProc.backendRef",
    "TrafficPolicy spec.ai",
    "TrafficPolicy spec.apiKeyAuthentication",
    "TrafficPolicy spec.hashPolicies",
    "TrafficPolicy spec.jwt (",
    // In other versions of Envoy Gateway.
    "BackendTrafficPolicy spec.panicThreshold",
    "ClientTrafficPolicy spec.mergeType",
    // Schemas that kinds share; what is only for the other one is refused in its own words.
    "GRPCRoute spec.rules.filters.",
    "Gateway spec.infrastructure.parametersRef.namespace",
    "TCPRoute spec.hostnames",
    "UDPRoute spec.hostnames",
];

#[test]
fn schemas_have_the_properties_of_the_definitions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, base) in INPUTS {
        let base = base.map(|base| Source::read(&root.join(base)).unwrap());
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let sources: Vec<Source> =
                    base.iter().cloned().chain([Source::read(&path).unwrap()]).collect();
                drop(load(&sources));
            }
        }
    }
    let definitions = table();
    let (mut wrong, mut compared) = (BTreeSet::new(), 0);
    for opened in coverage::opened_in_objects() {
        let key = (opened.group.clone(), opened.kind.clone());
        // What is protobuf inside of an object is compared with Envoy's descriptors.
        if opened.schema.name.starts_with("envoy.") {
            continue;
        }
        let Some(definition) = definitions.get(&key).filter(|_| opened.path.starts_with("spec")) else {
            continue;
        };
        let place = || {
            let steps = steps(&opened.path)
                .into_iter()
                .map(|(is_key, name)| if is_key { "*".to_owned() } else { name });
            format!("{} {}", opened.kind, steps.collect::<Vec<_>>().join("."))
        };
        let Some(properties) = definition.at(&opened.path) else {
            wrong.insert(format!("{} ({}) does not exist", place(), opened.schema.name));
            continue;
        };
        // What may hold anything has no properties.
        if properties.0.is_empty() {
            continue;
        }
        compared += 1;
        for name in opened.schema.names() {
            if !properties.0.keys().any(|property| is_spelling(name, property)) {
                wrong.insert(format!("{}.{name} ({}) does not exist", place(), opened.schema.name));
            }
        }
        for property in properties.0.keys() {
            if !opened.schema.names().any(|name| is_spelling(name, property)) {
                wrong.insert(format!("{}.{property} ({}) is missing", place(), opened.schema.name));
            }
        }
    }
    let wrong: Vec<String> =
        wrong.into_iter().filter(|line| !SURPLUS.iter().any(|known| line.starts_with(known))).collect();
    assert!(compared > 100, "{compared} messages were compared");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
