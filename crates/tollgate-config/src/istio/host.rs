//! What a host means: a Service, one of a ServiceEntry, or nothing that is known.

use std::collections::HashMap;

use super::{GROUP, Objects, ServiceEntry};
use crate::{
    kubernetes::{ObjectKey, ObjectRef, Objects as Set},
    routing::BackendReference,
    translation::{BackendError, Destination, Translator},
};

/// The kind of references to hosts.
pub(crate) const HOSTNAME: &str = "Hostname";

/// The kind of references to a part of a host's endpoints, `host|subset`.
pub(crate) const SUBSET: &str = "Subset";

impl<'a> Translator<'a> {
    /// The ServiceEntry of a host; of several the oldest.
    pub(crate) fn service_entry(&self, host: &str) -> Option<&'a ServiceEntry> {
        let entries = &self.store.of::<Objects>().service_entries;
        let index = self.once(|| Hosts::of(entries));
        Some(&entries.get(index.get(host)?)?.spec)
    }

    /// A reference to a host as one to the Service that it means, if it means one: `<service>.<namespace>.svc.<domain>`, or
    /// less of it (HT-41). A port that is the only one need not be named.
    pub(crate) fn service_of_host(&self, reference: &BackendReference) -> BackendReference {
        let object = &reference.object;
        if object.group != GROUP || object.kind != HOSTNAME {
            return reference.clone();
        }
        let key = service_key(&object.name, &object.namespace, &self.options.cluster_domain);
        let service = key.and_then(|key| Some((self.store.core.services.get(&key)?, key)));
        let (object, only_port) = match service {
            Some((service, key)) => {
                let only = match service.spec.ports.as_slice() {
                    [only] => Some(only.port),
                    _ => None,
                };
                (ObjectRef::new("", "Service", &key), only)
            }
            None => (object.clone(), self.service_entry(&object.name).and_then(ServiceEntry::only_port)),
        };
        BackendReference { object, port: reference.port.or(only_port), place: reference.place.clone() }
    }

    /// Where a host is that is no Service.
    pub(crate) fn host_destination(&self, reference: &BackendReference) -> Result<Destination, BackendError> {
        let host = &reference.object.name;
        let Some(entry) = self.service_entry(host) else {
            return Err(BackendError::NotFound(format!(
                "there is neither a Service nor a ServiceEntry for {host}"
            )));
        };
        if entry.without_resolution {
            return Err(BackendError::Unsupported(format!(
                "the ServiceEntry of {host} has the resolution NONE, by which a gateway finds no endpoint: use DNS or STATIC"
            )));
        }
        let port = reference.port.and_then(|port| entry.port(port)).ok_or_else(|| {
            let what = reference
                .port
                .map_or_else(|| "a port has to be named".to_owned(), |port| format!("port {port} not found"));
            BackendError::NotFound(format!("{what}: the ServiceEntry of {host} has others"))
        })?;
        Ok(Destination {
            object: None,
            endpoints: entry.endpoints(host, port).into(),
            app_protocol: port.app_protocol(),
            section: None,
            tls: None,
        })
    }
}

/// The hosts of sound ServiceEntries.
struct Hosts {
    /// The oldest first.
    entries: Vec<ObjectKey>,
    /// Index of the oldest entry of each exact host, and of each suffix behind `*`.
    exact: HashMap<String, usize>,
    suffixes: Vec<(String, usize)>,
}

impl Hosts {
    fn of(entries: &Set<ServiceEntry>) -> Self {
        let mut index = Self { entries: Vec::new(), exact: HashMap::new(), suffixes: Vec::new() };
        for entry in entries.by_age().into_iter().filter(|entry| entry.errors.is_empty()) {
            let number = index.entries.len();
            index.entries.push(entry.meta.key.clone());
            for host in entry.spec.hosts() {
                match host.strip_prefix('*') {
                    Some(suffix) => index.suffixes.push((suffix.to_owned(), number)),
                    None => {
                        index.exact.entry(host.clone()).or_insert(number);
                    }
                }
            }
        }
        index
    }

    fn get(&self, host: &str) -> Option<&ObjectKey> {
        let covers = |suffix: &str| host.len() > suffix.len() && host.ends_with(suffix);
        let wild = self.suffixes.iter().find(|(suffix, _)| covers(suffix)).map(|(_, number)| *number);
        let number = self.exact.get(host).copied().into_iter().chain(wild).min()?;
        self.entries.get(number)
    }
}

/// The Service that a host would be.
pub(crate) fn service_key(host: &str, namespace: &str, cluster_domain: &str) -> Option<ObjectKey> {
    let full = host.strip_suffix(cluster_domain).and_then(|rest| rest.strip_suffix(".svc."));
    let host = full.or_else(|| host.strip_suffix(".svc")).unwrap_or(host);
    let mut labels = host.split('.');
    let (service, own) = (labels.next()?, labels.next());
    if labels.next().is_some() {
        return None;
    }
    Some(ObjectKey::new(own.unwrap_or(namespace), service))
}
