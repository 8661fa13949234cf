//! A system as an exercise: its folder is [`made_up`], and the line that adds it is in [`load`].

mod made_up;

use std::{sync::Arc, time::Duration};

use tollgate_ir::{Action, Cluster, HttpConnectionManager, Resources, RouteAction};
use tollgate_model::cluster::Endpoint;

use super::with;
use crate::{FileSystem, Options, Reading, Source, load::read_as};

const OBJECTS: &str = include_str!("tests/made_up/objects.yaml");

fn load(text: &str) -> Reading {
    let systems = with(&made_up::MADE_UP);
    let sources = [Source { path: "objects.yaml".to_owned(), text: text.to_owned() }];
    read_as(&systems, &sources, &[], &FileSystem, &Options::default())
}

fn resources(text: &str) -> Resources {
    load(text).resources.expect("resources")
}

fn manager(resources: &Resources) -> &HttpConnectionManager {
    &resources.listeners[0].filter_chains[0].http
}

fn action<'r>(resources: &'r Resources, domain: &str) -> &'r RouteAction {
    let table = &resources.route_tables[&manager(resources).route_config];
    let host = table.virtual_hosts.iter().find(|host| host.domains == [domain]).expect("a virtual host");
    let Action::Route(action) = &host.routes[0].action else { panic!("{:?}", host.routes[0].action) };
    action
}

fn cluster(resources: &Resources, name: &str) -> Cluster {
    let cluster = &resources.clusters[name];
    let endpoints: Arc<[Endpoint]> = resources.endpoints_of(name).into();
    let Ok(cluster) = cluster.value.clone().try_map(Ok::<_, std::convert::Infallible>, |()| endpoints);
    cluster
}

#[test]
fn its_gateways_have_its_defaults_names_and_words() {
    let reading = load(OBJECTS);
    let resources = reading.resources.expect("resources");
    assert_eq!(manager(&resources).server_name, "made-up");
    assert_eq!(resources.listeners[0].per_connection_buffer_limit_bytes, 4096);
    assert_eq!(action(&resources, "plain.test").timeout, Some(Duration::from_secs(3)));
    assert!(resources.clusters.contains_key("made-up:web.default:80"), "{:?}", resources.clusters.keys());
    let gateway = reading.objects.iter().find(|object| object.kind == "Gateway").expect("the Gateway");
    let status = gateway.status.as_ref().expect("a status");
    assert_eq!(status["conditions"][0]["message"], "Come in");
}

#[test]
fn its_policies_change_rules_clusters_and_listeners() {
    let resources = resources(OBJECTS);
    // The older of two policies counts; that of the Gateway is for the other route.
    assert_eq!(action(&resources, "slow.test").timeout, Some(Duration::from_secs(60)));
    let web = cluster(&resources, "made-up:web.default:80");
    assert_eq!(web.connect_timeout, Duration::from_secs(1));
    let slow = cluster(&resources, "made-up:slow.default:80");
    assert_eq!(slow.connect_timeout, Duration::from_secs(9));
    assert_eq!(resources.listeners[0].limits.max_connections, Some(7));
}

#[test]
fn its_backends_are_served() {
    let resources = resources(OBJECTS);
    let endpoints = resources.endpoints_of("made-up:elsewhere.default:");
    let addresses: Vec<String> = endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
    assert_eq!(addresses, ["10.9.9.9:81"]);
}

#[test]
fn what_is_wrong_with_its_policies_is_said_and_not_served() {
    let wrong = OBJECTS.replace("timeout: 60s", "timeout: soon");
    let reading = load(&wrong);
    let messages: Vec<&str> = reading.diagnostics.iter().map(|said| &*said.message).collect();
    assert!(messages.iter().any(|said| said.contains("\"soon\" is not a duration")), "{messages:?}");
    let resources = reading.resources.expect("resources");
    let table = &resources.route_tables[&manager(&resources).route_config];
    let host = table.virtual_hosts.iter().find(|host| host.domains == ["slow.test"]).expect("a virtual host");
    assert!(matches!(&host.routes[0].action, Action::DirectResponse(answer) if answer.status == 500));
    // The guard knows its kinds, too.
    let astray = OBJECTS.replace("name: slow}]", "name: slo}]");
    let said: Vec<String> = load(&astray).diagnostics.into_iter().map(|said| said.message).collect();
    assert!(said.iter().any(|said| said.contains("HTTPRoute default/slo not found")), "{said:?}");
}

#[test]
fn its_policies_have_statuses() {
    let reading = load(OBJECTS);
    let policies = reading.objects.iter().filter(|object| object.kind == "PacePolicy");
    let accepted: Vec<(String, String)> = policies
        .map(|policy| {
            let ancestor = &policy.status.as_ref().expect("a status")["ancestors"][0];
            let reason = ancestor["conditions"][0]["reason"].as_str().expect("a reason");
            (policy.name.clone(), reason.to_owned())
        })
        .collect();
    let expected = [("of-gateway", "Accepted"), ("of-route", "Accepted"), ("too-late", "Conflicted")];
    assert_eq!(accepted, expected.map(|(name, reason)| (name.to_owned(), reason.to_owned())));
}

#[test]
fn nobody_knows_it_who_does_not_add_it() {
    let sources = [Source { path: "objects.yaml".to_owned(), text: OBJECTS.to_owned() }];
    let reading = crate::read_with(&sources, &FileSystem, &Options::default());
    let messages: Vec<String> = reading.diagnostics.into_iter().map(|said| said.message).collect();
    assert!(messages.iter().any(|said| said.contains("PacePolicy of pace.example")), "{messages:?}");
}
