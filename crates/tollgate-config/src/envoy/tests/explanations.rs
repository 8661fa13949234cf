//! Where listeners, routes, processors and their settings are written.

use std::fmt::Write as _;

use super::*;
use crate::{Explanation, ProcessorOrigin, RouteKey, RouteOrigin};

const TEXT: &str = include_str!("levels.yaml");

fn show(shown: &mut String, of: &str, origins: &[std::sync::Arc<ProcessorOrigin>]) {
    for origin in origins {
        let behind = if origin.upstream { " behind the router" } else { "" };
        let (defined, enabled) = (&origin.defined_by, &origin.enabled_by);
        let _ = writeln!(shown, "  {of}{}{behind} at {}", defined.name, defined.place);
        let _ = writeln!(shown, "    on by {} at {}", enabled.name, enabled.place);
        for (name, place) in &origin.sources {
            let _ = writeln!(shown, "    {name} at {place}");
        }
        for (name, level) in &origin.overrides {
            let _ = writeln!(shown, "    {name} by {} at {}", level.name, level.place);
        }
    }
}

/// EN-30: whichever level says it, its place is known; so is that of each listener, virtual host and route.
#[test]
fn every_level_is_told_with_its_place() {
    let Outcome { snapshot, explanations, .. } = load(TEXT);
    let snapshot = snapshot.unwrap();
    let listener = &snapshot.listeners[0];
    let mut shown = format!("{} at {}\n", listener.name, explanations.listener(&listener.name).unwrap());
    show(&mut shown, "without a route: ", explanations.without_route(&listener.name, Some(0)));
    let hosts = &listener.filter_chains[0].http.route_config.virtual_hosts;
    for (virtual_host, host) in hosts.iter().enumerate() {
        for (index, route) in host.routes.iter().enumerate() {
            let key = RouteKey {
                listener: listener.name.clone(),
                filter_chain: Some(0),
                virtual_host,
                route: index,
            };
            let explanation: &Explanation = explanations.get(&key).unwrap();
            let RouteOrigin::Envoy { virtual_host } = &explanation.origin else { panic!("{explanation:?}") };
            let _ = writeln!(shown, "{} at {}", host.name, virtual_host);
            let _ = writeln!(shown, "route \"{}\" at {}", route.name, explanation.place);
            show(&mut shown, "", &explanation.processors);
            for (share, origins) in &explanation.backends {
                show(&mut shown, &format!("share {share}: "), origins);
            }
        }
    }
    insta::assert_snapshot!(shown);
}

/// A default filter chain has a place of its own.
#[test]
fn the_default_filter_chain_is_explained() {
    let chains = Gateway::default().to_string();
    let (before, rest) = chains.split_once("filter_chains: [{").unwrap();
    let (chain, after) = rest.rsplit_once("}]}]}").unwrap();
    let text = format!("{before}default_filter_chain: {{{chain}}}}}]}}{after}");
    let Outcome { snapshot, explanations, .. } = load(&text);
    assert!(snapshot.is_some(), "{}", diagnostics(&text));
    let key = RouteKey { listener: "main".to_owned(), filter_chain: None, virtual_host: 0, route: 0 };
    assert_eq!(explanations.get(&key).unwrap().processors.len(), 1);
    assert_eq!(explanations.without_route("main", None).len(), 1);
}
