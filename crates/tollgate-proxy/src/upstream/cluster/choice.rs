//! What a request says about the host it is to have.

use std::{
    cell::{Cell, OnceCell},
    fmt,
    net::SocketAddr,
    num::NonZeroU32,
    rc::Rc,
};

use extproc::{RequestHeaders, messages::Struct, metadata::DynamicMetadata};
use tollgate_model::{
    cluster::{OverrideHost, OverrideHostSource, SUBSET_NAMESPACE},
    route::OmittedHosts,
};

use crate::stream_info::Protocol;
use crate::upstream::cluster::{host::Host, priorities::Pick};

/// What a request says about the host it is to have. Without anything the policy of the cluster decides alone.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Choice<'a> {
    /// Address of the host of the client's session, which comes before everything.
    pub(crate) session: Option<&'a str>,
    /// The host that a filter wants, which comes before the policy.
    pub(crate) named: Option<NamedHost>,
    /// What the client speaks, for clusters that speak the same.
    pub(crate) protocol: Option<Protocol>,
    /// The head, as it goes upstream.
    pub(crate) request: Option<&'a RequestHeaders>,
    /// The authority, as it goes upstream, where that is not the one of the head.
    pub(crate) authority: Option<&'a [u8]>,
    /// The dynamic metadata.
    pub(crate) metadata: Option<&'a DynamicMetadata>,
    /// What the client wanted to connect to, if that is known and it was redirected.
    pub(crate) original_destination: Option<SocketAddr>,
    /// Hosts that filters have picked, as far as they are known and used up by earlier tries.
    pub(crate) picked: Option<&'a PickedHosts>,
    /// Who hashes the request, if its cluster asks for that.
    pub(crate) hashed: Option<&'a dyn HashedRequest>,
    /// What its route says about it, if it has one.
    pub(crate) routed: Option<&'a dyn RoutedRequest>,
    /// Hosts that had the request before.
    pub(crate) tried: Option<Tried<'a>>,
    /// The priority, and which of its hosts, if an aggregate has decided that.
    pub(crate) of: Option<(u32, Pick)>,
}

/// A host that a filter wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NamedHost {
    pub(crate) address: SocketAddr,
    /// It is that one or none.
    pub(crate) strict: bool,
}

/// A request that can be hashed.
pub(crate) trait HashedRequest: fmt::Debug {
    /// The hash by which its host is chosen; `None`: it has nothing of what is to be hashed, and any host will do. It may be
    /// that the client is given something to hash, so it is asked for only where it counts, once for each try.
    fn hash(&self) -> Option<u64>;
}

/// A request that a route has sent to its cluster.
pub(crate) trait RoutedRequest: fmt::Debug {
    /// Which subset of the cluster the route asks for, if it does.
    fn metadata_match(&self) -> Option<&Struct>;
}

/// Hosts that had the request before, and are to be avoided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried<'a> {
    pub(crate) hosts: &'a HostsTried,
    /// How often another one than these is looked for.
    pub(crate) most: u32,
    /// Hosts that are passed over as well.
    pub(crate) omitted: Option<&'a OmittedHosts>,
    /// After every so many tries the priorities of those that were tried are left out, if they ever are.
    pub(crate) update_frequency: Option<NonZeroU32>,
}

impl Tried<'_> {
    /// How often another host is looked for.
    pub(in crate::upstream) fn attempts(&self) -> u32 {
        self.most.max(self.omitted.map_or(0, |omitted| omitted.most))
    }

    /// Whether another host is better.
    pub(in crate::upstream) fn avoids(&self, host: &Rc<Host>) -> bool {
        let labels = || host.metadata()?.filter_metadata.get(SUBSET_NAMESPACE);
        self.most > 0 && self.hosts.contain(host)
            || self.omitted.is_some_and(|omitted| labels().is_some_and(|labels| omitted.contain(labels)))
    }
}

/// The hosts that had a request before.
#[derive(Debug, Default)]
pub(crate) struct HostsTried(Vec<Rc<Host>>);

impl HostsTried {
    /// Adds the host of a try.
    pub(in crate::upstream) fn add_host(&mut self, host: Rc<Host>) {
        self.0.push(host);
    }

    /// The priorities to leave out: those of the hosts that were tried when they were last looked at.
    pub(in crate::upstream) fn priorities(&self, update_frequency: NonZeroU32) -> Vec<u32> {
        self.looked_at(update_frequency).iter().map(|host| host.priority()).collect()
    }

    /// The hosts that were tried when they were last looked at.
    pub(in crate::upstream) fn looked_at(&self, update_frequency: NonZeroU32) -> &[Rc<Host>] {
        let frequency = update_frequency.get() as usize;
        &self.0[..self.0.len() / frequency * frequency]
    }

    /// Whether it is one of them.
    pub(in crate::upstream) fn contain(&self, host: &Rc<Host>) -> bool {
        self.0.iter().any(|tried| tried.id == host.id)
    }
}

/// The list of hosts that filters have picked for a request. It is read when the first host is chosen; each try takes the
/// next.
#[derive(Debug, Default)]
pub(crate) struct PickedHosts {
    list: OnceCell<Box<[Box<str>]>>,
    next: Cell<usize>,
}

impl PickedHosts {
    /// The address of the next one.
    pub(in crate::upstream) fn take(&self, policy: &OverrideHost, choice: &Choice<'_>) -> Option<&str> {
        let list = self.list.get_or_init(|| read(policy, choice));
        let next = list.get(self.next.get())?;
        self.next.set(self.next.get() + 1);
        Some(next)
    }
}

fn read(policy: &OverrideHost, choice: &Choice<'_>) -> Box<[Box<str>]> {
    let lists = policy.sources.iter().filter_map(|source| match source {
        OverrideHostSource::Header(name) => choice.request?.fields.get(name)?.to_str().ok(),
        OverrideHostSource::Metadata(key) => key.string(choice.metadata?.namespace(&key.namespace)),
    });
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .filter(|host| !host.is_empty())
        .map(Box::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};
    use tollgate_model::metadata::MetadataKey;

    use super::*;

    fn policy() -> OverrideHost {
        let key = MetadataKey { namespace: "envoy.lb".into(), path: vec!["endpoint".into()] };
        OverrideHost {
            sources: vec![
                OverrideHostSource::Header(http::HeaderName::from_static("x-endpoint")),
                OverrideHostSource::Metadata(key),
            ],
            selected_host_key: None,
        }
    }

    fn request(values: &[&str]) -> RequestHeaders {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append("x-endpoint", HeaderValue::from_str(value).unwrap());
        }
        let text = HeaderValue::from_static;
        RequestHeaders {
            method: Method::GET,
            scheme: text("http"),
            authority: text("a"),
            path: text("/"),
            fields,
        }
    }

    fn walk(choice: &Choice<'_>) -> Vec<String> {
        let picked = PickedHosts::default();
        std::iter::from_fn(|| picked.take(&policy(), choice).map(str::to_owned)).collect()
    }

    #[test]
    fn a_list_is_walked_once() {
        let request = request(&["10.0.0.1:80, [::1]:81 ,,10.0.0.2:82", "10.0.0.9:80"]);
        let choice = Choice { request: Some(&request), ..Choice::default() };
        assert_eq!(walk(&choice), ["10.0.0.1:80", "[::1]:81", "10.0.0.2:82"], "the first header counts");
    }

    #[test]
    fn all_sources_are_one_list() {
        let request = request(&["10.0.0.1:80"]);
        let mut metadata = DynamicMetadata::default();
        let OverrideHostSource::Metadata(key) = &policy().sources[1] else { panic!() };
        assert!(metadata.merge(key.holding("10.0.0.2:80"), &["envoy.lb".to_owned()]));
        let choice = Choice { request: Some(&request), metadata: Some(&metadata), ..Choice::default() };
        assert_eq!(walk(&choice), ["10.0.0.1:80", "10.0.0.2:80"]);
        assert_eq!(walk(&Choice { request: None, ..choice }), ["10.0.0.2:80"]);
        assert_eq!(walk(&Choice::default()), [""; 0]);
    }

    #[test]
    fn what_was_picked_first_stays() {
        let (first, other) = (request(&["10.0.0.1:80,10.0.0.2:80"]), request(&["10.0.0.9:80"]));
        let picked = PickedHosts::default();
        let take = |request| {
            let choice = Choice { request: Some(request), ..Choice::default() };
            picked.take(&policy(), &choice).map(str::to_owned)
        };
        assert_eq!(take(&first).as_deref(), Some("10.0.0.1:80"));
        assert_eq!(take(&other).as_deref(), Some("10.0.0.2:80"));
        assert_eq!(take(&other), None);
    }
}
