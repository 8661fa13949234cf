//! What management servers have delivered, for those who read what needs it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    rc::Rc,
};

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use tollgate_config::{Delivered, FileSystem, Files, Options, Part, Surroundings, read_delivered};
use tollgate_xds::{Channel, Kind, Need, Read, Reader};

use super::{
    servers::{Needs, Servers, ready},
    users::Users,
};
use crate::named_files::{NamedFiles, RecordedFiles};

/// A resource by its kind and name.
pub(super) type Key = (Kind, String);

/// The resources that were accepted last.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// What the bootstrap says about all of them.
    surroundings: Surroundings,
    /// Endpoints, routes and secrets.
    needed: HashMap<Key, Bytes>,
    /// Clusters and listeners.
    roots: HashMap<Key, Root>,
    users: Users,
    /// The files that are read at present.
    recorded: RecordedFiles,
    /// The files that clusters and listeners name, those of what they need as well.
    named: RefCell<BTreeMap<Key, NamedFiles>>,
}

/// A cluster or a listener, as it was accepted last.
#[derive(Debug)]
struct Root {
    body: Bytes,
    /// What became of it with what it needs, unless something of that has changed since.
    part: Option<Part>,
}

impl Shelf {
    /// The bootstrap says something else about everything; what became of it is forgotten then. False: it is the same.
    pub(super) fn surround(&mut self, surroundings: Surroundings) -> bool {
        if self.surroundings == surroundings {
            return false;
        }
        self.surroundings = surroundings;
        self.roots.values_mut().for_each(|root| root.part = None);
        true
    }

    /// What became of a root, if that is known of this message.
    pub(super) fn part(&self, key: &Key, body: &Bytes) -> Option<Part> {
        let root = self.roots.get(key).filter(|root| root.body.as_ptr() == body.as_ptr())?;
        root.part.clone()
    }

    /// Whether files are named at all.
    pub(super) fn has_files(&self) -> bool {
        !self.named.borrow().is_empty()
    }

    /// The clusters and listeners whose files hold something else than before; what became of them is forgotten.
    pub(super) fn take_changed_files(&mut self) -> Vec<Key> {
        let mut seen = BTreeMap::new();
        let named = self.named.borrow();
        let changed = named.iter().filter(|(_, files)| files.have_changed(&mut seen));
        let changed: Vec<Key> = changed.map(|(key, _)| key.clone()).collect();
        drop(named);
        for key in &changed {
            if let Some(root) = self.roots.get_mut(key) {
                root.part = None;
            }
        }
        changed
    }

    /// Remembers the files that were read for a cluster or a listener, instead of those before if it was read to the end.
    fn note_files(&self, key: Key, is_whole: bool) {
        let files = self.recorded.take();
        if !matches!(key.0, Kind::Cluster | Kind::Listener) {
            return;
        }
        let mut named = self.named.borrow_mut();
        if is_whole {
            named.remove(&key);
        }
        if !files.is_empty() {
            named.entry(key).or_default().extend(files);
        }
    }

    /// A resource is gone.
    pub(super) fn remove(&mut self, key: &Key) {
        self.needed.remove(key);
        self.roots.remove(key);
        self.named.borrow_mut().remove(key);
        self.users.link(key, BTreeSet::new());
        for user in self.users.of(key) {
            if let Some(root) = self.roots.get_mut(user) {
                root.part = None;
            }
        }
    }

    fn put_root(&mut self, key: Key, body: Bytes, needs: BTreeSet<Need>, part: Option<Part>) {
        self.users.link(&key, needs);
        self.roots.insert(key, Root { body, part });
    }
}

/// A resource that is needed, by the full name of its message and by its own name.
pub(super) fn need(message: &str, name: &str) -> Option<Need> {
    Some(Need { kind: Kind::of_message(message)?, name: name.to_owned() })
}

/// The file system, and what was delivered.
pub(super) struct Everything<'s> {
    pub(super) shelf: &'s Shelf,
    /// A resource that is not on the shelf yet.
    pub(super) new: Option<(&'s Key, &'s Bytes)>,
}

impl Files for Everything<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.shelf.recorded.read(path)
    }

    fn environment_variable(&self, name: &str) -> Option<String> {
        FileSystem.environment_variable(name)
    }

    fn system_roots(&self) -> Vec<CertificateDer<'static>> {
        FileSystem.system_roots()
    }

    fn delivered(&self, type_name: &str, name: &str) -> Option<Bytes> {
        let kind = Kind::of_message(type_name)?;
        match self.new {
            Some(((new_kind, new_name), body)) if *new_kind == kind && new_name == name => Some(body.clone()),
            _ => self.shelf.needed.get(&(kind, name.to_owned())).cloned(),
        }
    }

    fn has_address(&self, address: IpAddr) -> bool {
        FileSystem.has_address(address)
    }
}

/// Reads a resource with what it needs.
///
/// # Errors
/// Why it is refused.
pub(super) fn read(
    files: &Everything<'_>,
    (kind, name): (Kind, &str),
    body: &Bytes,
    options: &Options,
) -> Result<Delivered, String> {
    files.shelf.recorded.take();
    // Whatever was being worked on is dropped with it.
    let delivered = catch_unwind(AssertUnwindSafe(|| {
        read_delivered(kind.message(), name, body, &files.shelf.surroundings, files, options)
    }))
    .map_err(|_| "it cannot be read because of a bug in Tollgate".to_owned())?;
    let refusal = delivered.refusal();
    files.shelf.note_files((kind, name.to_owned()), refusal.is_none());
    match refusal {
        Some(reason) => Err(reason),
        None => Ok(delivered),
    }
}

/// Reads resources when they come: by themselves, and together with those that they are for.
#[derive(Debug)]
pub(super) struct DeliveredReader {
    shelf: Rc<RefCell<Shelf>>,
    servers: Rc<RefCell<Servers>>,
    options: Options,
}

impl DeliveredReader {
    pub(super) fn new(shelf: Rc<RefCell<Shelf>>, servers: Rc<RefCell<Servers>>, options: Options) -> Self {
        Self { shelf, servers, options }
    }
}

impl Reader for DeliveredReader {
    type Value = ();

    fn read(&mut self, kind: Kind, name: &str, body: &Bytes) -> Result<Read<()>, String> {
        let mut shelf = self.shelf.borrow_mut();
        let delivered = read(&Everything { shelf: &shelf, new: None }, (kind, name), body, &self.options)?;
        let title = format!("{kind} {name}");
        let needed = self.servers.borrow_mut().needs(&delivered.needs, |source| ready(source, &title))?;
        let Needs { needs, ways } = needed;
        let key = (kind, name.to_owned());
        if matches!(kind, Kind::Cluster | Kind::Listener) {
            shelf.put_root(key, body.clone(), needs.clone(), delivered.part);
            return Ok(Read { value: (), needs, ways });
        }
        // It may be right by itself, and wrong where it is used.
        let mut parts = BTreeMap::new();
        for user in shelf.users.of(&key) {
            let Some(root) = shelf.roots.get(user) else { continue };
            let files = Everything { shelf: &shelf, new: Some((&key, body)) };
            let read = read(&files, (user.0, &user.1), &root.body, &self.options);
            let read = read.map_err(|reason| format!("in the {} {}: {reason}", user.0, user.1))?;
            parts.insert(user.clone(), read.part);
        }
        shelf.needed.insert(key, body.clone());
        for (user, part) in parts {
            if let Some(root) = shelf.roots.get_mut(&user) {
                root.part = part;
            }
        }
        Ok(Read { value: (), needs, ways })
    }

    fn take_channels(&mut self) -> Vec<Channel> {
        self.servers.borrow_mut().take_channels()
    }
}
