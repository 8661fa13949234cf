//! What was probably meant by a reference to an object that does not exist.

use std::collections::HashMap;

use super::{ObjectKey, ObjectStore};
use crate::{
    Diagnostic,
    suggestion::{Suggestions, did_you_mean},
};

/// Ports that are listed of a service.
const MOST_PORTS: usize = 8;

/// Adds help to problems that name an object which is not there, if one of a similar name is.
pub(crate) fn add_hints(diagnostics: &mut [Diagnostic], resources: &ObjectStore) {
    // By kind in lower case, as messages of the original systems have it either way, and namespace.
    let mut names: HashMap<(String, &str), Vec<&str>> = HashMap::new();
    for object in resources.documents() {
        let meta = &object.meta;
        let key = (meta.kind.to_ascii_lowercase(), &*meta.key.namespace);
        names.entry(key).or_default().push(&meta.key.name);
    }
    let suggestions = Suggestions::default();
    for diagnostic in diagnostics.iter_mut().filter(|diagnostic| diagnostic.help.is_none()) {
        let Some((before, after)) = diagnostic.message.split_once(" not found") else { continue };
        let help = match after.strip_prefix(" on service ") {
            Some(service) => ports(service, resources),
            None => missing(before).and_then(|(kind, namespace, name)| {
                let names = names.get(&(kind.to_ascii_lowercase(), namespace))?;
                suggestions.nearest(name, names.iter().copied()).map(did_you_mean)
            }),
        };
        diagnostic.help = help;
    }
}

/// Kind, namespace and name at the end of a text.
fn missing(text: &str) -> Option<(&str, &str, &str)> {
    let (before, key) = text.rsplit_once(' ')?;
    let kind = before.rsplit(' ').next()?;
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    Some((kind, namespace, name))
}

/// The ports that a service has.
fn ports(service: &str, resources: &ObjectStore) -> Option<String> {
    let (namespace, name) = service.split_once('/')?;
    let service = resources.core.services.get(&ObjectKey::new(namespace, name))?;
    let of_tcp = service.spec.ports.iter().filter(|port| port.tcp);
    let ports: Vec<String> = of_tcp.take(MOST_PORTS).map(|port| port.port.to_string()).collect();
    if ports.is_empty() { None } else { Some(format!("the service has {}", ports.join(", "))) }
}

#[cfg(test)]
mod tests {
    use crate::{Options, Source, files::FileSystem, load_with};

    #[test]
    fn similar_names_and_other_ports_are_suggested() {
        let help = |backend: &str| {
            let text = format!(
                "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec: {{gatewayClassName: tollgate, listeners: [{{name: http, protocol: HTTP, port: 80}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: backend}}
spec: {{clusterIP: 10.0.0.1, ports: [{{name: http, port: 80}}, {{name: admin, port: 81}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: app}}
spec: {{parentRefs: [{{name: edge}}], rules: [{{backendRefs: [{backend}]}}]}}
"
            );
            let outcome =
                load_with(&[Source { path: "a.yaml".to_owned(), text }], &FileSystem, &Options::default());
            let helps: Vec<String> = outcome.diagnostics.into_iter().filter_map(|said| said.help).collect();
            helps.join("; ")
        };
        assert!(help("{name: backent, port: 80}").contains("did you mean \"backend\"?"));
        assert!(help("{name: backend, port: 8080}").contains("the service has 80, 81"));
        assert!(!help("{name: nothing-like-it, port: 80}").contains("did you mean"));
    }
}
