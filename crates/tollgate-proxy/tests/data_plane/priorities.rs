//! Endpoints of the lowest priority number are used as long as there are any (EG-33).

use std::{collections::HashMap, sync::Arc};

use crate::support::{Running, Upstream, cluster, snapshot, to};
use tollgate_model::cluster::{Cluster, Endpoint};

fn with_priorities(upstreams: &[&Upstream], priorities: &[u32]) -> Cluster {
    let mut cluster = cluster("app", upstreams);
    for (Endpoint { priority, .. }, given) in Arc::make_mut(&mut cluster.endpoints).iter_mut().zip(priorities)
    {
        *priority = *given;
    }
    cluster
}

#[test]
fn only_the_first_priority_is_used() {
    let upstreams: Vec<_> = (0..4).map(|_| Upstream::start()).collect();
    let all: Vec<_> = upstreams.iter().collect();
    let cluster = with_priorities(&all, &[1, 0, 2, 0]);
    let spread = Running::start(snapshot(to("app"), vec![cluster])).spread(40);
    let address = |index: usize| upstreams[index].address.to_string();
    let mut seen: Vec<_> = spread.keys().cloned().collect();
    let mut expected = [address(1), address(3)];
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn priorities_need_not_begin_with_zero() {
    let (fallback, last) = (Upstream::start(), Upstream::start());
    let cluster = with_priorities(&[&last, &fallback], &[2, 1]);
    let spread = Running::start(snapshot(to("app"), vec![cluster])).spread(10);
    assert_eq!(spread, HashMap::from([(fallback.address.to_string(), 10)]));
}
