//! The choice of a virtual host by the authority of a request (EN-10).

use std::{collections::HashMap, fmt, sync::Arc};

use serde::{Serialize, Serializer};

use super::VirtualHost;
use crate::shared::same;

/// The virtual hosts of a table and the way to find one among any number of them.
#[derive(Default)]
pub struct VirtualHosts {
    all: Vec<Arc<VirtualHost>>,
    exact: Domains,
    /// What follows the star, by length, longest first.
    suffixes: Vec<(usize, Domains)>,
    /// What precedes the star, by length, longest first.
    prefixes: Vec<(usize, Domains)>,
    /// Of the domain `*`.
    default: Option<usize>,
}

/// Indexes into the virtual hosts by a part of a domain, lower case.
type Domains = HashMap<Box<[u8]>, usize>;

/// Two virtual hosts have the same domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the domain {domain:?} belongs to the virtual hosts {first:?} and {second:?}")]
pub struct DuplicateDomain {
    /// The domain.
    pub domain: String,
    /// Name of the first virtual host.
    pub first: String,
    /// Name of the second one.
    pub second: String,
}

impl VirtualHosts {
    /// A table of these.
    ///
    /// # Errors
    /// When a domain occurs twice.
    pub fn new(virtual_hosts: Vec<Arc<VirtualHost>>) -> Result<Self, DuplicateDomain> {
        let mut table = Self::default();
        let mut duplicate = None;
        for virtual_host in virtual_hosts {
            table.push(virtual_host, |error| {
                duplicate.get_or_insert(error);
            });
        }
        duplicate.map_or(Ok(table), Err)
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<VirtualHost>> {
        self.all.iter()
    }

    /// The one at this place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Arc<VirtualHost>> {
        self.all.get(index)
    }

    /// The virtual host of an authority: the one with this very domain, else with the longest matching `*suffix`, else
    /// with the longest matching `prefix*`, else with `*`. A star stands for one byte or more. Case does not matter. Comes with its place in the table.
    #[must_use]
    pub fn find(&self, authority: &[u8]) -> Option<(usize, &Arc<VirtualHost>)> {
        let lower_case;
        let host = if authority.iter().any(u8::is_ascii_uppercase) {
            lower_case = authority.to_ascii_lowercase();
            &lower_case
        } else {
            authority
        };
        let index = self.exact.get(host).or_else(|| self.find_wildcard(host)).copied().or(self.default)?;
        Some((index, self.all.get(index)?))
    }

    fn find_wildcard(&self, host: &[u8]) -> Option<&usize> {
        let by_suffix = || {
            self.suffixes
                .iter()
                .filter(|(length, _)| *length < host.len())
                .find_map(|(length, domains)| domains.get(&host[host.len() - length..]))
        };
        let by_prefix = || {
            self.prefixes
                .iter()
                .filter(|(length, _)| *length < host.len())
                .find_map(|(length, domains)| domains.get(&host[..*length]))
        };
        by_suffix().or_else(by_prefix)
    }

    fn push(&mut self, virtual_host: Arc<VirtualHost>, mut on_duplicate: impl FnMut(DuplicateDomain)) {
        let index = self.all.len();
        for domain in &virtual_host.domains {
            let domain = domain.to_ascii_lowercase();
            let previous = if domain == "*" {
                self.default.replace(index)
            } else if let Some(suffix) = domain.strip_prefix('*') {
                of_length(&mut self.suffixes, suffix.len()).insert(suffix.as_bytes().into(), index)
            } else if let Some(prefix) = domain.strip_suffix('*') {
                of_length(&mut self.prefixes, prefix.len()).insert(prefix.as_bytes().into(), index)
            } else {
                self.exact.insert(domain.as_bytes().into(), index)
            };
            if let Some(previous) = previous {
                let first = self.all.get(previous).unwrap_or(&virtual_host);
                on_duplicate(DuplicateDomain {
                    domain,
                    first: first.name.clone(),
                    second: virtual_host.name.clone(),
                });
            }
        }
        self.all.push(virtual_host);
    }
}

/// The domains of a length; the list stays sorted, longest first.
fn of_length(lists: &mut Vec<(usize, Domains)>, length: usize) -> &mut Domains {
    let position = lists.partition_point(|(other, _)| *other > length);
    if lists.get(position).is_none_or(|(other, _)| *other != length) {
        lists.insert(position, (length, Domains::new()));
    }
    &mut lists[position].1
}

impl FromIterator<Arc<VirtualHost>> for VirtualHosts {
    /// A table of domains that are known to be unique; of equal ones the last counts.
    fn from_iter<I: IntoIterator<Item = Arc<VirtualHost>>>(virtual_hosts: I) -> Self {
        let mut table = Self::default();
        for virtual_host in virtual_hosts {
            table.push(virtual_host, |_| ());
        }
        table
    }
}

impl PartialEq for VirtualHosts {
    /// The same virtual hosts in the same order; everything else follows from them.
    fn eq(&self, other: &Self) -> bool {
        let mut pairs = self.all.iter().zip(&other.all);
        self.all.len() == other.all.len() && pairs.all(|(one, other)| same(one, other))
    }
}

impl fmt::Debug for VirtualHosts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.all).finish()
    }
}

impl Serialize for VirtualHosts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.all.serialize(serializer)
    }
}
