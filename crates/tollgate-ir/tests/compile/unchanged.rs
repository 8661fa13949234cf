//! What is compiled after a change, counted, and what is taken over.

use std::{sync::Arc, time::Duration};

use rcgen::{CertificateParams, KeyPair};
use tollgate_ir::{
    BareCluster, Cluster, Compiled, FilterChain, HttpConnectionManager, Listener, Override, PerFilter,
    Resources, RouteTable, Sourced, TlsCertificate, Work, compile,
};
use tollgate_model::{Snapshot, tls::Identity};

use super::{
    parts::{
        chain, cluster, downstream_tls, endpoint, filter, listener, resources, route, table, upstream_tls,
        virtual_host,
    },
    said,
};

fn identity(name: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
}

fn insert_certificate(resources: &mut Resources, name: &str) {
    let value = TlsCertificate { identity: identity(name) };
    let certificate = Arc::new(Sourced { value, origin: Arc::default() });
    resources.secrets.tls_certificates.insert(name.to_owned(), certificate);
}

fn insert_listener(resources: &mut Resources, listener: Listener) {
    resources.listeners.push(Arc::new(Sourced { value: listener, origin: Arc::default() }));
}

fn insert_table(resources: &mut Resources, name: &str, table: RouteTable) {
    resources.route_tables.insert(name.to_owned(), Arc::new(table));
}

fn with_tls(chain: FilterChain, certificate: &str) -> FilterChain {
    FilterChain { tls: Some(Arc::new(downstream_tls(certificate))), ..chain }
}

/// Two listeners, one with two filter chains, over TLS, of which one has three virtual hosts; and three clusters, two of them
/// over TLS.
fn everything() -> Resources {
    let mut resources = Resources::default();
    for name in ["one", "two", "three"] {
        insert_certificate(&mut resources, name);
    }
    let chains = vec![with_tls(chain("first"), "one"), with_tls(chain("second"), "two")];
    insert_listener(&mut resources, listener("main", chains));
    insert_listener(&mut resources, listener("other", vec![chain("third")]));
    let hosts = ["a", "b", "c"].map(|name| virtual_host(name, vec![route(said(Override::Enabled))]));
    insert_table(&mut resources, "first", table(hosts.into()));
    for name in ["second", "third"] {
        insert_table(&mut resources, name, table(vec![virtual_host("a", vec![route(PerFilter::default())])]));
    }
    for (name, certificate) in [("plain", None), ("secure", Some("two")), ("safe", Some("three"))] {
        let tls = certificate.map(|name| Arc::new(upstream_tls(Some(name))));
        resources.insert_cluster(Cluster { tls, ..cluster(name, 1) }, Arc::default());
    }
    resources
}

/// What is compiled of a configuration after a change.
fn after(change: impl FnOnce(&mut Resources)) -> (Compiled, Compiled) {
    let mut resources = everything();
    let before = compile(&resources, None).unwrap();
    change(&mut resources);
    let now = compile(&resources, Some(&before)).unwrap();
    (before, now)
}

fn change_http(resources: &mut Resources, change: impl FnOnce(&mut HttpConnectionManager)) {
    let listener = &mut Arc::make_mut(&mut resources.listeners[0]).value;
    change(Arc::make_mut(&mut listener.filter_chains[0].http));
}

/// The names of the clusters that are other objects than before.
fn other_clusters<'s>(before: &Snapshot, now: &'s Snapshot) -> Vec<&'s str> {
    let is_other = |(name, cluster): &(&String, &Arc<_>)| !Arc::ptr_eq(cluster, &before.clusters[*name]);
    now.clusters.iter().filter(is_other).map(|(name, _)| name.as_str()).collect()
}

fn same_listeners(before: &Snapshot, now: &Snapshot) -> Vec<bool> {
    now.listeners.iter().zip(&before.listeners).map(|(now, before)| Arc::ptr_eq(now, before)).collect()
}

#[test]
fn the_first_one_is_compiled_as_a_whole() {
    let work = compile(&everything(), None).unwrap().work();
    let expected =
        Work { clusters: 3, listeners: 2, connection_managers: 3, virtual_hosts: 5, tls_contexts: 4 };
    assert_eq!(work, expected);
}

#[test]
fn nothing_is_compiled_where_nothing_has_changed() {
    let (before, now) = after(|_| ());
    assert_eq!(now.work(), Work::default());
    assert_eq!((other_clusters(&before, &now), same_listeners(&before, &now)), (vec![], vec![true; 2]));
    // The same once more, from text: equal, and other objects.
    let (one, other) =
        (resources(vec![route(PerFilter::default())]), resources(vec![route(PerFilter::default())]));
    let one = compile(&one, None).unwrap();
    assert_eq!(compile(&other, Some(&one)).unwrap().work(), Work::default());
}

#[test]
fn endpoints_concern_their_cluster_alone() {
    let (before, now) = after(|resources| {
        resources.endpoints.insert("secure".to_owned(), [endpoint(1), endpoint(2)].into());
    });
    assert_eq!(now.work(), Work { clusters: 1, ..Work::default() });
    assert_eq!(
        (other_clusters(&before, &now), same_listeners(&before, &now)),
        (vec!["secure"], vec![true; 2])
    );
    let tls = |snapshot: &Snapshot| Arc::clone(snapshot.clusters["secure"].tls.as_ref().unwrap());
    assert!(Arc::ptr_eq(&tls(&before), &tls(&now)), "sessions can be resumed");
    assert_eq!(now.clusters["secure"].endpoints.len(), 2);
    // They are not copied, either.
    assert!(Arc::ptr_eq(&now.clusters["secure"].endpoints, &now.resources().endpoints["secure"]));
}

#[test]
fn clusters_concern_nobody_else() {
    let (before, now) = after(|resources| {
        resources.clusters.remove("plain");
        resources.insert_cluster(cluster("new", 1), Arc::default());
        let value = BareCluster {
            connect_timeout: Duration::from_secs(1),
            ..resources.clusters["safe"].value.clone()
        };
        let safe = Arc::new(Sourced { value, origin: Arc::default() });
        resources.clusters.insert("safe".to_owned(), safe);
    });
    assert_eq!(now.work(), Work { clusters: 2, ..Work::default() });
    let mut names: Vec<_> = now.clusters.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!((names, same_listeners(&before, &now)), (vec!["new", "safe", "secure"], vec![true; 2]));
    assert!(Arc::ptr_eq(&before.clusters["secure"], &now.clusters["secure"]));
}

#[test]
fn a_route_concerns_its_virtual_host_alone() {
    let (before, now) = after(|resources| {
        let table = Arc::make_mut(resources.route_tables.get_mut("first").unwrap());
        Arc::make_mut(&mut table.virtual_hosts[1]).routes[0].per_filter = said(Override::Disabled);
    });
    let expected = Work { listeners: 1, connection_managers: 1, virtual_hosts: 1, ..Work::default() };
    assert_eq!((now.work(), same_listeners(&before, &now)), (expected, vec![false, true]));
    let chain = |snapshot: &Snapshot, index: usize| snapshot.listeners[0].filter_chains[index].clone();
    let hosts = |snapshot: &Snapshot| {
        chain(snapshot, 0).http.route_config.virtual_hosts.iter().cloned().collect::<Vec<_>>()
    };
    let same: Vec<bool> =
        hosts(&before).iter().zip(&hosts(&now)).map(|(one, other)| Arc::ptr_eq(one, other)).collect();
    assert_eq!(same, [true, false, true]);
    assert!(Arc::ptr_eq(&chain(&before, 1).http, &chain(&now, 1).http));
    for index in 0..2 {
        let tls = |snapshot| chain(snapshot, index).tls.unwrap();
        assert!(Arc::ptr_eq(&tls(&before), &tls(&now)));
    }
}

#[test]
fn a_filter_concerns_every_route_below_it() {
    let (_, now) = after(|resources| {
        change_http(resources, |http| http.http_filters[0].disabled = false);
    });
    let expected = Work { listeners: 1, connection_managers: 1, virtual_hosts: 3, ..Work::default() };
    assert_eq!(now.work(), expected);
    // What the table says concerns all its routes, too.
    let (_, now) = after(|resources| {
        let table = Arc::make_mut(resources.route_tables.get_mut("first").unwrap());
        table.per_filter = said(Override::Enabled);
    });
    assert_eq!(now.work(), expected);
    // Another setting does not.
    let (_, now) = after(|resources| change_http(resources, |http| http.server_name = "me".to_owned()));
    assert_eq!(now.work(), Work { virtual_hosts: 0, ..expected });
}

#[test]
fn a_filter_behind_the_router_concerns_everybody_who_may_come_there() {
    let (before, now) = after(|resources| {
        resources.cluster_http_filters.insert("plain".to_owned(), [filter()].into());
    });
    let expected = Work { listeners: 2, connection_managers: 3, virtual_hosts: 5, ..Work::default() };
    assert_eq!((now.work(), same_listeners(&before, &now)), (expected, vec![false; 2]));
}

#[test]
fn a_certificate_concerns_those_that_name_it() {
    let (before, now) = after(|resources| insert_certificate(resources, "two"));
    let expected = Work { clusters: 1, listeners: 1, tls_contexts: 2, ..Work::default() };
    assert_eq!(now.work(), expected);
    assert_eq!(
        (other_clusters(&before, &now), same_listeners(&before, &now)),
        (vec!["secure"], vec![false, true])
    );
    let (_, now) = after(|resources| insert_certificate(resources, "unused"));
    assert_eq!(now.work(), Work::default());
}

#[test]
fn certificates_that_are_missing_are_missed_after_a_change_too() {
    let mut resources = everything();
    let before = compile(&resources, None).unwrap();
    resources.secrets.tls_certificates.remove("two");
    let error = compile(&resources, Some(&before)).unwrap_err();
    assert!(error.problem.to_string().contains("there is no secret \"two\""), "{error}");
}

#[test]
fn what_comes_to_the_same_stays_the_same() {
    // The filter is off anyway.
    let (before, now) = after(|resources| {
        let table = Arc::make_mut(resources.route_tables.get_mut("third").unwrap());
        Arc::make_mut(&mut table.virtual_hosts[0]).routes[0].per_filter = said(Override::Disabled);
    });
    let expected = Work { listeners: 1, connection_managers: 1, virtual_hosts: 1, ..Work::default() };
    assert_eq!((now.work(), same_listeners(&before, &now)), (expected, vec![true; 2]));
}

#[test]
fn one_of_many_clusters_is_found_without_compiling_the_others() {
    let mut resources = Resources::default();
    for number in 0..10_000 {
        let mut cluster = cluster(&format!("c{number}"), 1);
        cluster.endpoints = (1..=50).map(endpoint).collect();
        resources.insert_cluster(cluster, Arc::default());
    }
    let mut compiled = compile(&resources, None).unwrap();
    assert_eq!(compiled.work().clusters, 10_000);
    for number in 0..20 {
        resources.endpoints.insert(format!("c{number}"), [endpoint(2)].into());
        let next = compile(&resources, Some(&compiled)).unwrap();
        assert_eq!(next.work(), Work { clusters: 1, ..Work::default() });
        assert_eq!(other_clusters(&compiled, &next), [format!("c{number}")]);
        compiled = next;
    }
}
