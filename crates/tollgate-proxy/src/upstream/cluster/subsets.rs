//! Subsets of the hosts of a cluster, and which of them a request has, as Envoy's subset load balancer decides.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use extproc::messages::{Struct, Value, value::Kind};
use prost::Message as _;
use tollgate_model::cluster::{
    Cluster, FALLBACK_LIST, SUBSET_NAMESPACE, SelectorFallback, SubsetFallback, SubsetSelector, Subsets,
};

use crate::stats::{ClusterMetric, Metrics};
use crate::upstream::cluster::{choice::Choice, group::Group, host::Host};

/// What a request says about the subset it is to have, by key.
type Criteria<'a> = BTreeMap<&'a str, &'a Value>;

/// The subsets of a cluster; built anew when its hosts change.
#[derive(Debug)]
pub(in crate::upstream) struct SubsetGroups {
    /// By selector and the values of its keys.
    by_selector: Vec<HashMap<Box<[u8]>, Subset>>,
    default: Subset,
}

/// Hosts that have the same values.
#[derive(Debug, Default)]
struct Subset {
    /// By priority; never empty but in the default subset.
    hosts: Vec<Rc<Host>>,
    /// It has one host, whatever its health.
    single: bool,
    /// Made when the first request comes.
    group: OnceCell<Group>,
}

/// Who chooses among the hosts of a cluster.
#[derive(Debug, Clone, Copy)]
pub(in crate::upstream) struct Chooser<'a> {
    pub(in crate::upstream) cluster: &'a Cluster,
    pub(in crate::upstream) subsets: &'a Subsets,
    /// All hosts.
    pub(in crate::upstream) all: &'a Group,
    pub(in crate::upstream) metrics: &'a Metrics<ClusterMetric>,
}

impl SubsetGroups {
    /// Divides hosts that are sorted by priority.
    pub(in crate::upstream) fn new(subsets: &Subsets, hosts: &[Rc<Host>]) -> Self {
        let by_selector =
            subsets.selectors.iter().map(|selector| members(selector, subsets.list_as_any, hosts)).collect();
        let belongs = |host: &&Rc<Host>| {
            let own = labels(host);
            subsets.default_subset.fields.iter().all(|(key, value)| {
                let own = own.and_then(|own| own.fields.get(key));
                own.is_some_and(|own| own == value || subsets.list_as_any && elements(own).contains(value))
            })
        };
        let default = match subsets.default_subset.fields.is_empty() {
            // All hosts are a group already.
            true => Subset::default(),
            false => Subset { hosts: hosts.iter().filter(belongs).cloned().collect(), ..Subset::default() },
        };
        Self { by_selector, default }
    }

    /// The health of a host has changed.
    pub(in crate::upstream) fn forget_health(&mut self) {
        self.default.group.take();
        for subset in self.by_selector.iter_mut().flat_map(HashMap::values_mut) {
            subset.group.take();
        }
    }

    /// The host of a request; `None`: there is none for it.
    pub(in crate::upstream) fn choose<'a>(
        &'a self,
        chooser: Chooser<'a>,
        choice: &Choice<'_>,
    ) -> Option<&'a Rc<Host>> {
        let mut criteria = criteria(choice);
        let list = match chooser.subsets.fallback_list {
            true => criteria.remove(FALLBACK_LIST),
            false => None,
        };
        match list.map(elements) {
            None | Some([]) => self.choose_once(chooser, choice, &criteria),
            Some(list) => list.iter().find_map(|more| {
                let mut criteria = criteria.clone();
                if let Some(Kind::StructValue(more)) = &more.kind {
                    criteria.extend(by_key(more));
                }
                self.choose_once(chooser, choice, &criteria)
            }),
        }
    }

    fn choose_once<'a>(
        &'a self,
        chooser: Chooser<'a>,
        choice: &Choice<'_>,
        criteria: &Criteria<'_>,
    ) -> Option<&'a Rc<Host>> {
        let subsets = chooser.subsets;
        let selected = subsets.selectors.iter().zip(&self.by_selector).find(|(selector, _)| {
            let has_keys = selector.keys.iter().all(|key| criteria.contains_key(&**key));
            has_keys && (subsets.allow_redundant_keys || selector.keys.len() == criteria.len())
        });
        if let Some((selector, by_values)) = selected {
            let values = selector.keys.iter().filter_map(|key| criteria.get(&**key).copied());
            if let Some(subset) = by_values.get(&*key_of(values)) {
                // It may be that it has no host that is well: nobody else takes the request then.
                chooser.metrics.increment(ClusterMetric::LbSubsetsSelected);
                return subset.choose(chooser, choice);
            }
            let same_keys = subsets.selectors.iter().filter(|other| other.keys == selector.keys);
            match same_keys.filter_map(|selector| selector.fallback.as_ref()).next() {
                None => {}
                Some(SelectorFallback::NoFallback) => return None,
                Some(SelectorFallback::Of(fallback)) => return self.fall_back(*fallback, chooser, choice),
                Some(SelectorFallback::KeysSubset(keys)) => {
                    let mut criteria = criteria.clone();
                    criteria.retain(|key, _| keys.iter().any(|kept| kept == key));
                    // There are fewer keys each time.
                    return self.choose_once(chooser, choice, &criteria);
                }
            }
        }
        let fallback = subsets.fallback?;
        if let Some(host) = self.fall_back(fallback, chooser, choice) {
            chooser.metrics.increment(ClusterMetric::LbSubsetsFallback);
            return Some(host);
        }
        if !subsets.panic_mode_any {
            return None;
        }
        let host = chooser.all.choose(chooser.cluster, chooser.metrics, choice)?;
        chooser.metrics.increment(ClusterMetric::LbSubsetsFallbackPanic);
        Some(host)
    }

    fn fall_back<'a>(
        &'a self,
        fallback: SubsetFallback,
        chooser: Chooser<'a>,
        choice: &Choice<'_>,
    ) -> Option<&'a Rc<Host>> {
        let has_default = !chooser.subsets.default_subset.fields.is_empty();
        match fallback {
            SubsetFallback::DefaultSubset if has_default => self.default.choose(chooser, choice),
            SubsetFallback::AnyEndpoint | SubsetFallback::DefaultSubset => {
                chooser.all.choose(chooser.cluster, chooser.metrics, choice)
            }
        }
    }
}

impl Subset {
    fn choose<'a>(&'a self, chooser: Chooser<'a>, choice: &Choice<'_>) -> Option<&'a Rc<Host>> {
        if self.single {
            return self.hosts.first();
        }
        let group = self.group.get_or_init(|| Group::new(chooser.cluster, &self.hosts));
        group.choose(chooser.cluster, chooser.metrics, choice)
    }
}

/// The subsets of a selector.
fn members(selector: &SubsetSelector, list_as_any: bool, hosts: &[Rc<Host>]) -> HashMap<Box<[u8]>, Subset> {
    let mut subsets: HashMap<Box<[u8]>, Subset> = HashMap::new();
    for host in hosts {
        let Some(own) = labels(host) else { continue };
        let values = selector.keys.iter().map(|key| own.fields.get(key));
        let Some(values) = values.collect::<Option<Vec<&Value>>>() else { continue };
        for key in keys_of(&values, list_as_any) {
            let subset = subsets.entry(key).or_default();
            subset.single = selector.single_host;
            let is_known = subset.hosts.last().is_some_and(|last| last.id == host.id);
            if !is_known && (subset.hosts.is_empty() || !selector.single_host) {
                subset.hosts.push(host.clone());
            }
        }
    }
    subsets
}

/// The keys of all subsets that a host with these values belongs to.
fn keys_of(values: &[&Value], list_as_any: bool) -> Vec<Box<[u8]>> {
    let mut keys = vec![Vec::new()];
    for value in values {
        let choices = match &value.kind {
            Some(Kind::ListValue(list)) if list_as_any => list.values.as_slice(),
            _ => std::slice::from_ref(*value),
        };
        keys = keys
            .iter()
            .flat_map(|key: &Vec<u8>| {
                choices.iter().map(|choice| {
                    let mut key = key.clone();
                    add_to_key(&mut key, choice);
                    key
                })
            })
            .collect();
    }
    keys.into_iter().map(Vec::into_boxed_slice).collect()
}

fn key_of<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<u8> {
    let mut key = Vec::new();
    values.for_each(|value| add_to_key(&mut key, value));
    key
}

/// Maps are sorted, so the same value has the same bytes.
fn add_to_key(key: &mut Vec<u8>, value: &Value) {
    let encoded = value.encode_length_delimited_to_vec();
    key.extend_from_slice(&encoded);
}

/// What routes say, and before that what filters say.
fn criteria<'a>(choice: &Choice<'a>) -> Criteria<'a> {
    // A call of a filter has no route, and nothing is said about it.
    let Some(routed) = choice.routed else { return Criteria::new() };
    let mut criteria: Criteria<'a> = routed.metadata_match().into_iter().flat_map(by_key).collect();
    let of_filters = choice.metadata.and_then(|metadata| metadata.namespace(SUBSET_NAMESPACE));
    criteria.extend(of_filters.into_iter().flat_map(by_key));
    criteria
}

fn by_key(fields: &Struct) -> impl Iterator<Item = (&str, &Value)> {
    fields.fields.iter().map(|(key, value)| (key.as_str(), value))
}

/// What of a host counts.
fn labels(host: &Host) -> Option<&Struct> {
    host.metadata()?.filter_metadata.get(SUBSET_NAMESPACE)
}

fn elements(value: &Value) -> &[Value] {
    match &value.kind {
        Some(Kind::ListValue(list)) => &list.values,
        _ => &[],
    }
}
