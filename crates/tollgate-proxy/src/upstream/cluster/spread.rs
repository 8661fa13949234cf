//! How requests are spread over hosts of one priority that are worth the same.

use std::{cell::RefCell, rc::Rc};

use tollgate_model::cluster::{Cluster, Locality};

use crate::upstream::cluster::{
    host::Host,
    load_balancer::{Candidate, Draw, LoadBalancer, Schedule},
};

/// How requests are spread over hosts of one priority that are worth the same.
#[derive(Debug)]
pub(in crate::upstream) enum Spread {
    /// Wherever they are.
    Anywhere(Members),
    /// Over localities first, by their weights.
    ByLocality { schedule: RefCell<Schedule>, localities: Vec<(f64, Members)> },
}

/// Hosts, and who chooses among them.
#[derive(Debug)]
pub(in crate::upstream) struct Members {
    hosts: Vec<Rc<Host>>,
    balancer: LoadBalancer,
}

impl Members {
    fn new(cluster: &Cluster, hosts: Vec<Rc<Host>>) -> Self {
        let weights: Vec<f64> = hosts.iter().map(|host| f64::from(host.weight())).collect();
        Self { balancer: LoadBalancer::new(cluster, &hosts, &weights), hosts }
    }

    fn choose(&self, draw: Draw) -> Option<&Rc<Host>> {
        self.balancer.choose(&self.hosts, draw).map(|index| &self.hosts[index])
    }
}

impl Spread {
    /// Over these hosts.
    pub(in crate::upstream) fn anywhere(cluster: &Cluster, hosts: Vec<Rc<Host>>) -> Self {
        Self::Anywhere(Members::new(cluster, hosts))
    }

    /// Over these hosts of a priority, whose hosts are `all`, with those that count for nothing left out. Localities take as much
    /// less as they have fewer of them, with what `overprovisioning_factor` adds in hundredths; one without a weight takes
    /// nothing.
    pub(in crate::upstream) fn by_locality(
        cluster: &Cluster,
        hosts: Vec<Rc<Host>>,
        all: &[&Rc<Host>],
    ) -> Self {
        let mut localities: Vec<(Option<&Locality>, Vec<Rc<Host>>)> = Vec::new();
        for host in &hosts {
            match localities.iter_mut().find(|(locality, _)| is_same(*locality, host.locality())) {
                Some((locality, members)) => {
                    // A place that is written twice has the last weight, as in Envoy.
                    *locality = host.locality().filter(|other| other.weight.is_some()).or(*locality);
                    members.push(host.clone());
                }
                None => localities.push((host.locality(), vec![host.clone()])),
            }
        }
        let share = |locality: Option<&Locality>, members: usize| {
            let weight = f64::from(locality.and_then(|locality| locality.weight).unwrap_or(0));
            let total = all.iter().filter(|host| is_same(locality, host.locality())).count();
            let factor = f64::from(cluster.health.overprovisioning_factor) / 100.0;
            weight * (factor * ratio(members, total)).min(1.0)
        };
        if cluster.lb_policy.hashes() {
            return Self::hashed_by_locality(cluster, &localities);
        }
        let localities: Vec<(f64, Members)> = localities
            .into_iter()
            .map(|(locality, members)| (share(locality, members.len()), Members::new(cluster, members)))
            .filter(|(share, _)| *share > 0.0)
            .collect();
        if localities.is_empty() {
            // Without weights where they are does not count.
            return Self::anywhere(cluster, hosts);
        }
        let schedule = Schedule::new(localities.iter().map(|(share, _)| *share));
        Self::ByLocality { schedule: RefCell::new(schedule), localities }
    }

    /// The share of a host in its locality, times that of the locality, is the weight of the host. How many of them are well
    /// does not count, as in Envoy.
    fn hashed_by_locality(cluster: &Cluster, localities: &[(Option<&Locality>, Vec<Rc<Host>>)]) -> Self {
        let weighted = localities.iter().filter_map(|(locality, members)| {
            let weight = (*locality)?.weight.filter(|weight| *weight > 0)?;
            let sum: f64 = members.iter().map(|host| f64::from(host.weight())).sum();
            let share = move |host: &Rc<Host>| f64::from(weight) * f64::from(host.weight()) / sum;
            Some(members.iter().map(move |host| (host.clone(), share(host))))
        });
        let (hosts, weights): (Vec<Rc<Host>>, Vec<f64>) = weighted.flatten().unzip();
        Self::Anywhere(Members { balancer: LoadBalancer::new(cluster, &hosts, &weights), hosts })
    }

    /// One of the hosts; `None` when there are none.
    pub(in crate::upstream) fn choose(&self, draw: Draw) -> Option<&Rc<Host>> {
        match self {
            Self::Anywhere(members) => members.choose(draw),
            Self::ByLocality { schedule, localities } => {
                let place = schedule.borrow_mut().next(|index| localities[index].0)?;
                localities[place].1.choose(draw)
            }
        }
    }
}

fn is_same(one: Option<&Locality>, other: Option<&Locality>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_at(other),
        (None, None) => true,
        _ => false,
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of hosts")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
