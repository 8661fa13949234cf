//! From delivered resources to a configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use bytes::Bytes;
use tollgate_config::{Files, Options, Part, Reading, read_with};
use tollgate_ir::{Compiled, GoogleCluster, ObjectName, Resources as Ir, Secrets, Sourced, compile};
use tollgate_model::{
    listener::BindAddress,
    management::{Management, Needed},
};
use tollgate_xds::{Kind, Need};

use super::{
    Resources,
    shelf::{Everything, Key, Shelf, need, read},
    users::Users,
};
use crate::sources::Sources;

/// The text of the bootstrap, and how it is read.
#[derive(Debug, Clone)]
pub(crate) struct Bootstrap {
    pub(crate) sources: Sources,
    pub(crate) options: Options,
}

impl Bootstrap {
    /// What is in it, with what was delivered for it.
    fn read(&self, files: &dyn Files) -> Reading {
        read_with(&self.sources.texts, files, &self.options)
    }
}

/// The parts of a configuration.
#[derive(Debug)]
pub(super) struct Assembly {
    bootstrap: Bootstrap,
    /// What is in the bootstrap.
    fixed: Ir,
    /// Clusters and listeners.
    parts: BTreeMap<Key, Part>,
    /// Everything that goes together. `None` = it is not known any more.
    together: Option<Ir>,
    /// What those need that work now.
    users: Users,
    /// What was there before the changes since the last configuration.
    before: BTreeMap<Key, Option<Part>>,
    /// What works by itself and cannot be read with what it needs, and why.
    left_out: BTreeMap<Key, String>,
    /// What does not go together with the rest, and why.
    clashes: BTreeMap<Key, String>,
}

impl Assembly {
    /// Nothing but the bootstrap.
    ///
    /// # Errors
    /// When it cannot be read (any more).
    pub(super) fn new(bootstrap: Bootstrap, shelf: &mut Shelf) -> Result<Self, String> {
        let read = bootstrap.read(&Everything { shelf, new: None });
        shelf.surround(read.surroundings);
        Ok(Self {
            fixed: read.resources.ok_or("the bootstrap cannot be read")?,
            bootstrap,
            parts: BTreeMap::new(),
            together: None,
            users: Users::default(),
            before: BTreeMap::new(),
            left_out: BTreeMap::new(),
            clashes: BTreeMap::new(),
        })
    }

    /// What the bootstrap itself needs.
    pub(super) fn needed(&self) -> &[Needed<GoogleCluster>] {
        self.fixed.process.management.as_ref().map(|management| &*management.needs).unwrap_or_default()
    }

    fn needs(&self) -> BTreeSet<Need> {
        self.needed().iter().filter_map(|needed| need(&needed.message, &needed.name)).collect()
    }

    /// Another bootstrap takes the place of the one before; one that cannot be read does not.
    pub(super) fn rebase(&mut self, sources: Sources, resources: &Resources, shelf: &mut Shelf) -> bool {
        let bootstrap = Bootstrap { sources, options: self.bootstrap.options.clone() };
        let Reading { resources: fixed, surroundings, .. } = bootstrap.read(&Everything { shelf, new: None });
        let Some(fixed) = fixed else { return false };
        (self.bootstrap, self.fixed, self.together) = (bootstrap, fixed, None);
        if shelf.surround(surroundings) {
            let roots: Vec<Key> = self.parts.keys().chain(self.left_out.keys()).cloned().collect();
            roots.into_iter().for_each(|root| self.take_root(root, resources, shelf));
        }
        true
    }

    /// Why a resource is not in force that works by itself.
    pub(super) fn left_out(&self, key: &Key) -> Option<&str> {
        self.left_out.get(key).or_else(|| self.clashes.get(key)).map(String::as_str)
    }

    /// What works by itself and is not in force.
    pub(super) fn all_left_out(&self) -> BTreeSet<Key> {
        self.left_out.keys().chain(self.clashes.keys()).cloned().collect()
    }

    /// Who is to be asked.
    pub(super) fn management(&self) -> Option<Arc<Sourced<Management<GoogleCluster>>>> {
        self.fixed.process.management.clone()
    }

    /// Where the admin server is to listen.
    pub(super) fn admin_address(&self) -> Option<SocketAddr> {
        self.fixed.process.admin_address
    }

    /// Takes in that resources work otherwise than before: each cluster and listener that is concerned is read again, and no
    /// other.
    pub(super) fn take(&mut self, changes: BTreeSet<Key>, resources: &Resources, shelf: &mut Shelf) {
        let mut roots = BTreeSet::new();
        let required = self.needs();
        let mut of_bootstrap = false;
        for key in changes {
            let is_gone = resources.entry(key.0, &key.1).is_none();
            if matches!(key.0, Kind::Cluster | Kind::Listener) {
                roots.insert(key.clone());
            } else {
                roots.extend(self.users.of(&key).cloned());
                of_bootstrap |= required.contains(&Need { kind: key.0, name: key.1.clone() });
            }
            if is_gone {
                shelf.remove(&key);
            }
        }
        if of_bootstrap && let Some(fixed) = self.bootstrap.read(&Everything { shelf, new: None }).resources {
            (self.fixed, self.together) = (fixed, None);
        }
        for root in roots {
            self.take_root(root, resources, shelf);
        }
    }

    /// Files have changed that clusters and listeners name: those are read again. False: none has.
    pub(super) fn look_at_files(&mut self, resources: &Resources, shelf: &mut Shelf) -> bool {
        let changed = shelf.take_changed_files();
        let any = !changed.is_empty();
        changed.into_iter().for_each(|root| self.take_root(root, resources, shelf));
        any
    }

    fn take_root(&mut self, key: Key, resources: &Resources, shelf: &Shelf) {
        self.left_out.remove(&key);
        let Some(active) = resources.active(key.0, &key.1) else {
            self.users.link(&key, BTreeSet::new());
            let before = self.put(&key, None);
            self.before.entry(key).or_insert(before);
            return;
        };
        self.users.link(&key, active.needs.clone());
        let missing = active
            .needs
            .iter()
            .find(|need| need.kind == Kind::Secret && resources.active(Kind::Secret, &need.name).is_none());
        let part = match missing {
            // Without it everybody could come in, or anybody be spoken to.
            Some(secret) => Err(format!("the secret {} has not come", secret.name)),
            None => self.read(&key, active.body(), shelf),
        };
        match part {
            Ok(part) => {
                let before = self.put(&key, Some(part));
                self.before.entry(key).or_insert(before);
            }
            // What was in force stays.
            Err(reason) => {
                self.left_out.insert(key, reason);
            }
        }
    }

    fn read(&self, key: &Key, body: &Bytes, shelf: &Shelf) -> Result<Part, String> {
        if let Some(part) = shelf.part(key, body) {
            return Ok(part);
        }
        let files = Everything { shelf, new: None };
        let delivered = read(&files, (key.0, &key.1), body, &self.bootstrap.options)?;
        delivered.part.ok_or_else(|| "it cannot be read".to_owned())
    }

    /// Makes a configuration of everything. What does not go together with the rest is left out, or stays as it was.
    ///
    /// # Errors
    /// When there is no configuration at all.
    pub(super) fn compose(&mut self, previous: &Compiled) -> Result<Compiled, String> {
        loop {
            let together = match self.together.take() {
                Some(known) => known,
                None => self.all_together(),
            };
            let compiled = compile(&together, Some(previous));
            self.together = Some(together);
            match compiled {
                Ok(snapshot) => {
                    self.before.clear();
                    return Ok(snapshot);
                }
                Err(error) => {
                    let blamed = error.origin.object.as_ref().and_then(|object| self.part_of(object));
                    let Some(key) = blamed else { return Err(error.to_string()) };
                    let before = self.before.remove(&key).flatten();
                    self.put(&key, before);
                    self.left_out.insert(key, error.problem.to_string());
                }
            }
        }
    }

    /// The part that is made of a resource.
    fn part_of(&self, object: &ObjectName) -> Option<Key> {
        let kinds = [Kind::Cluster, Kind::Listener];
        let kind = kinds.into_iter().find(|kind| kind.to_string() == *object.kind)?;
        let key = (kind, object.name.to_string());
        self.parts.contains_key(&key).then_some(key)
    }

    /// Puts a part in the place of the one before, which it gives. A cluster changes what goes together by itself, however many
    /// others there are.
    fn put(&mut self, key: &Key, part: Option<Part>) -> Option<Part> {
        let before = match part {
            Some(part) => self.parts.insert(key.clone(), part),
            None => self.parts.remove(key),
        };
        let has_namesake = self.fixed.clusters.contains_key(&key.1);
        self.together = self.together.take().filter(|_| key.0 == Kind::Cluster && !has_namesake);
        if let Some(together) = &mut self.together {
            if let Some(before) = &before {
                remove_cluster(together, &key.1, before);
            }
            if let Some(part) = self.parts.get(key) {
                add_cluster(together, &key.1, part);
            }
        }
        before
    }

    /// Everything that goes together, from the beginning.
    fn all_together(&mut self) -> Ir {
        let mut ir = self.fixed.clone();
        self.clashes.clear();
        let mut taken: Vec<(String, BindAddress)> = Vec::new();
        for listener in &ir.listeners {
            taken.extend(listener.addresses.iter().map(|address| (listener.name.clone(), address.clone())));
        }
        for (key, part) in &self.parts {
            let name = &key.1;
            match part {
                Part::Cluster { .. } if self.fixed.clusters.contains_key(name) => {
                    self.clashes.insert(key.clone(), "the bootstrap has a cluster of that name".to_owned());
                }
                Part::Cluster { .. } => add_cluster(&mut ir, name, part),
                Part::Listener { listener, route_tables, secrets } => {
                    let other = taken.iter().find(|(_, address)| conflicts(address, &listener.addresses));
                    let same = self.fixed.listeners.iter().any(|fixed| fixed.name == listener.name);
                    if same {
                        let reason = "the bootstrap has a listener of that name".to_owned();
                        self.clashes.insert(key.clone(), reason);
                    } else if let Some((other, _)) = other {
                        let reason = format!("it listens where the listener {other} does");
                        self.clashes.insert(key.clone(), reason);
                    } else {
                        let addresses = listener.addresses.iter();
                        taken.extend(addresses.map(|address| (listener.name.clone(), address.clone())));
                        add_secrets(&mut ir.secrets, secrets);
                        ir.route_tables.extend(route_tables.iter().cloned());
                        ir.listeners.push(Arc::clone(listener));
                    }
                }
            }
        }
        ir
    }
}

fn add_cluster(ir: &mut Ir, name: &str, part: &Part) {
    let Part::Cluster { cluster, endpoints, http_filters, secrets } = part else { return };
    add_secrets(&mut ir.secrets, secrets);
    ir.clusters.insert(name.to_owned(), Arc::clone(cluster));
    ir.endpoints.insert(name.to_owned(), Arc::clone(endpoints));
    if !http_filters.is_empty() {
        ir.cluster_http_filters.insert(name.to_owned(), Arc::clone(http_filters));
    }
}

fn remove_cluster(ir: &mut Ir, name: &str, part: &Part) {
    let Part::Cluster { secrets, .. } = part else { return };
    let Secrets { tls_certificates, validation_contexts } = secrets;
    tls_certificates.keys().for_each(|name| drop(ir.secrets.tls_certificates.remove(name)));
    validation_contexts.keys().for_each(|name| drop(ir.secrets.validation_contexts.remove(name)));
    ir.clusters.remove(name);
    ir.endpoints.remove(name);
    ir.cluster_http_filters.remove(name);
}

/// Their names begin with that of the part.
fn add_secrets(all: &mut Secrets, of_part: &Secrets) {
    let Secrets { tls_certificates, validation_contexts } = of_part;
    all.tls_certificates.extend(tls_certificates.iter().map(|(name, one)| (name.clone(), Arc::clone(one))));
    all.validation_contexts
        .extend(validation_contexts.iter().map(|(name, one)| (name.clone(), Arc::clone(one))));
}

/// Port 0 is never the same twice.
fn conflicts(address: &BindAddress, others: &[BindAddress]) -> bool {
    !matches!(address, BindAddress::Socket(socket) if socket.port() == 0) && others.contains(address)
}
