//! Two configurations, one after the other: what is the same, and what is not.

use std::sync::Arc;

use tollgate_ir::{Compiled, Work};
use tollgate_model::update::{Changes, Difference};

use super::*;
use crate::read_with;

const TLS: &str = "transport_socket: {name: tls, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, common_tls_context: \
    {tls_certificates: [{certificate_chain: {filename: certificate.pem}, private_key: {filename: key.pem}}]}}},";

/// What becomes of a text when another one was there before.
fn compiled_after(text: &str, before: &Compiled) -> Compiled {
    let reading = read_with(&source(text), &TestFiles, &Options::default());
    reading.compile(Some(before)).snapshot.unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn changed(names: &[&str]) -> Changes {
    Changes { changed: self::names(names), ..Changes::default() }
}

/// What `change` does to a configuration.
fn difference(change: impl FnOnce(&mut Gateway)) -> Difference {
    let mut gateway = Gateway::default();
    let old = gateway.snapshot();
    change(&mut gateway);
    Difference::between(&old, &gateway.snapshot())
}

#[test]
fn the_same_text_gives_the_same_objects() {
    let everything = include_str!("everything.yaml");
    let old = snapshot(everything);
    let new = compiled_after(everything, &old);
    assert_eq!(*old, *new);
    assert_eq!(new.work(), Work::default());
    assert_eq!(Difference::between(&old, &new).to_string(), "nothing");
    assert!(new.listeners.iter().zip(&old.listeners).all(|(new, old)| Arc::ptr_eq(new, old)));
    assert!(new.clusters.iter().all(|(name, new)| Arc::ptr_eq(new, &old.clusters[name])));
}

#[test]
fn a_route_changes_its_virtual_host_and_its_listener() {
    let difference = difference(|gateway| gateway.routes = gateway.routes.replace("prefix: /", "path: /a"));
    let expected = Difference {
        listeners: changed(&["main"]),
        virtual_hosts: changed(&["main/host"]),
        ..Difference::default()
    };
    assert_eq!(difference, expected);
    assert_eq!(difference.to_string(), "listeners: changed main; virtual hosts: changed main/host");
}

#[test]
fn what_is_only_in_the_plan_of_a_filter_is_a_change() {
    let difference = difference(|gateway| gateway.filters = ext_proc("ext", "failure_mode_allow: true"));
    assert_eq!(difference.listeners, changed(&["main"]));
}

#[test]
fn clusters_come_go_and_change() {
    let difference = difference(|gateway| {
        gateway.clusters = format!(
            "{}, {}",
            cluster("new", ""),
            cluster("processor", "connect_timeout: 1s, http2_protocol_options: {}")
        );
        gateway.routes = gateway.routes.replace("app", "new");
    });
    let expected =
        Changes { added: names(&["new"]), changed: names(&["processor"]), removed: names(&["app"]) };
    assert_eq!(difference.clusters, expected);
    assert!(
        difference.to_string().ends_with("clusters: added new, changed processor, removed app"),
        "{difference}"
    );
}

#[test]
fn names_beyond_a_line_are_counted() {
    let difference = difference(|gateway| {
        for index in 0..20 {
            gateway.clusters += &format!(", {}", cluster(&format!("c{index:02}"), ""));
        }
    });
    assert_eq!(difference.to_string(), "clusters: added c00 c01 c02 c03 c04 c05 c06 c07 and 12 more");
}

#[test]
fn identity_is_a_change_of_its_own() {
    let difference = difference(|gateway| gateway.bootstrap = "node: {id: other}".into());
    assert_eq!(difference.to_string(), "node or admin address");
}

#[test]
fn a_changed_listener_keeps_tls_that_did_not_change() {
    let mut gateway = Gateway { chain: TLS.into(), ..Gateway::default() };
    let old = gateway.snapshot();
    gateway.routes = gateway.routes.replace("prefix: /", "path: /a");
    let anew = gateway.snapshot();
    let new = compiled_after(&gateway.to_string(), &old);
    let tls = |snapshot: &Compiled| snapshot.listeners[0].filter_chains[0].tls.clone().unwrap();
    assert!(!Arc::ptr_eq(&tls(&old), &tls(&anew)));
    assert!(!Arc::ptr_eq(&old.listeners[0], &new.listeners[0]));
    assert!(Arc::ptr_eq(&tls(&old), &tls(&new)));
}
