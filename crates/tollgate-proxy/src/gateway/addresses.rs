//! The addresses that are open, and what an update does to them.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use thiserror::Error;
use tollgate_model::{Snapshot, listener::BindAddress};

use crate::{
    configuration::AddressId,
    listener::{BoundAddress, bind},
};

/// An address that cannot be bound.
#[derive(Debug, Error)]
#[error("listener {listener:?} cannot be bound to {address}: {source}")]
pub struct BindError {
    /// The listener's name.
    pub listener: String,
    /// The address, `ip:port` or a path.
    pub address: String,
    /// What the system said.
    pub source: io::Error,
}

impl BindError {
    fn new(listener: &str, address: &BindAddress, source: io::Error) -> Self {
        let address = match address {
            BindAddress::Socket(address) => address.to_string(),
            BindAddress::Pipe { path, .. } => path.display().to_string(),
        };
        Self { listener: listener.to_owned(), address, source }
    }
}

/// The addresses that are open, in the order of the configuration.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    open: Vec<Open>,
    next: u64,
}

#[derive(Debug, Clone)]
struct Open {
    id: AddressId,
    listener: String,
    key: Key,
    /// With the kernel's port.
    local: BindAddress,
}

/// What makes an address the same one in the next configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// The place itself, whoever listens there.
    Fixed(BindAddress),
    /// A port of the kernel's choice: the listener's, by its number among the listener's addresses.
    Chosen { listener: String, address: BindAddress, number: usize },
}

/// What an update does to the addresses.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// To be bound: key and listener.
    wanted: Vec<(Key, String, BindAddress)>,
    /// The order that the configuration asks for.
    order: Vec<Key>,
    /// What was bound for it.
    pub(super) bound: Vec<NewAddress>,
    /// What could not be bound.
    pub(super) failures: Vec<BindError>,
    /// What has to be closed.
    pub(super) closing: Vec<AddressId>,
    /// Files of Unix sockets that nobody will listen on.
    pub(super) files: Vec<PathBuf>,
}

/// An address that connections will be accepted at.
#[derive(Debug)]
pub(super) struct NewAddress {
    id: AddressId,
    listener: String,
    address: BoundAddress,
}

impl NewAddress {
    /// Its number.
    pub(super) fn id(&self) -> AddressId {
        self.id
    }

    /// Lets the kernel complete connections, and gives the sockets, one for each worker.
    pub(super) fn listen(self) -> Result<(AddressId, Vec<socket2::Socket>), BindError> {
        let Self { id, listener, address } = self;
        let local = address.address.clone();
        let sockets = address.listen().map_err(|source| BindError::new(&listener, &local, source))?;
        Ok((id, sockets))
    }
}

impl Addresses {
    /// What has to be bound for a configuration. Nothing is done yet.
    pub(super) fn plan(&self, snapshot: &Snapshot) -> Plan {
        let known: HashSet<&Key> = self.open.iter().map(|open| &open.key).collect();
        let mut plan = Plan::default();
        for listener in &snapshot.listeners {
            for (number, address) in listener.addresses.iter().enumerate() {
                let key = match address {
                    BindAddress::Socket(socket) if socket.port() == 0 => {
                        Key::Chosen { listener: listener.name.clone(), address: address.clone(), number }
                    }
                    _ => Key::Fixed(fixed(address)),
                };
                if !known.contains(&key) {
                    plan.wanted.push((key.clone(), listener.name.clone(), address.clone()));
                }
                plan.order.push(key);
            }
        }
        plan
    }

    /// Every open address with the name of its listener.
    pub(super) fn with_listeners(&self) -> Vec<(AddressId, String)> {
        self.open.iter().map(|open| (open.id, open.listener.clone())).collect()
    }

    /// Names of listeners and addresses, with the ports that the kernel chose.
    pub(super) fn local(&self) -> Vec<(String, BindAddress)> {
        self.open.iter().map(|open| (open.listener.clone(), open.local.clone())).collect()
    }

    /// These addresses are closed.
    pub(super) fn remove(&mut self, closed: &[AddressId]) {
        self.open.retain(|open| !closed.contains(&open.id));
    }

    /// Gives the open addresses to the listeners that a configuration has for them.
    pub(super) fn assign(&mut self, snapshot: &Snapshot) {
        let wanted = snapshot.listeners.iter().flat_map(|listener| {
            listener.addresses.iter().map(|address| (fixed(address), (listener.name.as_str(), address)))
        });
        let wanted: HashMap<_, _> = wanted.collect();
        for open in &mut self.open {
            if let Key::Fixed(address) = &open.key
                && let Some((listener, address)) = wanted.get(address)
            {
                open.listener = (*listener).to_owned();
                open.change_mode(address);
            }
        }
    }
}

/// An address as far as it is a place; a Unix socket is the same one whatever its mode.
fn fixed(address: &BindAddress) -> BindAddress {
    match address {
        BindAddress::Socket(_) => address.clone(),
        BindAddress::Pipe { path, .. } => BindAddress::Pipe { path: path.clone(), mode: None },
    }
}

/// Whether sockets at these addresses may stand in each other's way although the addresses are different.
fn same_port(one: &BindAddress, other: &BindAddress) -> bool {
    match (one, other) {
        (BindAddress::Socket(one), BindAddress::Socket(other)) => one.port() == other.port(),
        _ => false,
    }
}

impl Open {
    /// Gives the file of a Unix socket the mode that is asked for now.
    fn change_mode(&mut self, wanted: &BindAddress) {
        if let BindAddress::Pipe { path, mode: Some(mode) } = wanted
            && self.local != *wanted
        {
            match fs::set_permissions(path, fs::Permissions::from_mode(*mode)) {
                Ok(()) => self.local = wanted.clone(),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "cannot change the mode of a socket");
                }
            }
        }
    }
}

impl Plan {
    /// Whether every address that is asked for is open.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Binds what is wanted and decides what is closed: what nobody asks for, unless it belongs to a listener that
    /// could not get an address it asks for, which is then served where it was.
    pub(super) fn bind(mut self, addresses: &mut Addresses, workers: usize) -> Self {
        for (key, listener, address) in std::mem::take(&mut self.wanted) {
            let ours = addresses.open.iter().any(|open| same_port(&open.local, &address));
            match bind(&address, workers, ours) {
                Ok(bound) => {
                    let id = AddressId(addresses.next);
                    addresses.next += 1;
                    let local = bound.address.clone();
                    addresses.open.push(Open { id, listener: listener.clone(), key, local });
                    self.bound.push(NewAddress { id, listener, address: bound });
                }
                Err(source) => self.failures.push(BindError::new(&listener, &address, source)),
            }
        }
        let places: HashMap<&Key, usize> =
            self.order.iter().enumerate().map(|(place, key)| (key, place)).collect();
        addresses.open.sort_by_key(|open| places.get(&open.key).copied().unwrap_or(usize::MAX));
        let incomplete: HashSet<&str> =
            self.failures.iter().map(|failure| failure.listener.as_str()).collect();
        let unwanted = addresses
            .open
            .iter()
            .filter(|open| !places.contains_key(&open.key) && !incomplete.contains(open.listener.as_str()));
        let unwanted: Vec<_> = unwanted.cloned().collect();
        for open in unwanted {
            self.closing.push(open.id);
            if let BindAddress::Pipe { path, .. } = open.local {
                self.files.push(path);
            }
        }
        self
    }
}
