//! What compiling folds, shares and takes over.

#![allow(clippy::unwrap_used, reason = "what a test sets up works or ends the test")]

mod parts;
mod unchanged;

use std::{sync::Arc, time::Duration};

use extproc::{BodySendMode, Plan, ProcessingMode};
use tollgate_ir::{ExtProcOverrides, Override, PerFilter, compile};
use tollgate_model::{Snapshot, processor::FilterOverride};

use self::parts::{BUFFERED, resources, route, settings};

pub(crate) fn said(over: Override) -> PerFilter {
    std::iter::once((Arc::from("processor"), over)).collect()
}

/// What the filters do on every route.
fn filters(snapshot: &Snapshot) -> Vec<Vec<FilterOverride>> {
    let hosts = &snapshot.listeners[0].filter_chains[0].http.route_config.virtual_hosts;
    let routes = hosts.iter().flat_map(|host| &host.routes);
    routes.map(|route| route.filters.dense().cloned().collect()).collect()
}

fn slices(filters: &[Vec<FilterOverride>]) -> Vec<&[FilterOverride]> {
    filters.iter().map(Vec::as_slice).collect()
}

#[test]
fn routes_that_say_the_same_share_what_is_compiled() {
    let different = ExtProcOverrides::between(&settings(|_| ()), &settings(BUFFERED)).unwrap();
    let different = Override::ExtProc(Arc::new(different));
    let snapshot = compile(
        &resources(vec![
            route(said(different.clone())),
            route(said(different)),
            route(said(Override::Enabled)),
            route(PerFilter::default()),
            route(said(Override::Disabled)),
        ]),
        None,
    )
    .unwrap();
    let all = filters(&snapshot);
    let [
        [FilterOverride::ExtProc(one)],
        [FilterOverride::ExtProc(two)],
        [FilterOverride::ExtProc(base)],
        rest @ ..,
    ] = &*slices(&all)
    else {
        panic!("{all:?}")
    };
    assert!(Arc::ptr_eq(one, two) && !Arc::ptr_eq(one, base));
    assert_eq!(one.plan.processing_mode.request_body_mode, BodySendMode::Buffered);
    assert_eq!(base.plan.processing_mode, ProcessingMode::default());
    // What is off everywhere takes no room.
    assert_eq!(rest, [&[] as &[FilterOverride], &[]]);
}

#[test]
fn other_settings_take_the_place_of_those_of_the_filter() {
    let other = Arc::new(settings(|plan| plan.message_timeout = Duration::from_secs(9)));
    let snapshot = compile(&resources(vec![route(said(Override::Instead(other)))]), None).unwrap();
    let all = filters(&snapshot);
    let [[FilterOverride::ExtProc(found)]] = &*slices(&all) else { panic!() };
    assert_eq!(found.plan.message_timeout, Duration::from_secs(9));
}

#[test]
fn what_overrides_can_say_is_said_by_them() {
    let base = settings(|_| ());
    for (change, possible) in [
        (BUFFERED, true),
        (|plan: &mut Plan| plan.failure_mode_allow = true, true),
        (|plan: &mut Plan| plan.metadata_options.receiving_namespaces.untyped.push("a".to_owned()), true),
        (|plan: &mut Plan| plan.message_timeout = Duration::from_secs(9), false),
        (|plan: &mut Plan| plan.observability_mode = true, false),
    ] as [(fn(&mut Plan), bool); 5]
    {
        let wanted = settings(change);
        let found = ExtProcOverrides::between(&base, &wanted);
        assert_eq!(found.is_some(), possible, "{wanted:?}");
        if let Some(overrides) = found {
            assert_eq!(overrides.apply(&base), wanted);
        }
    }
}
