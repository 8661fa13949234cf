//! Which hosts are well: what checks of our own find out, and what requests meet.
//!
//! Everything is decided on the control thread. A [`HostHealth`] is what workers see of it: flags, and a number that grows
//! with every change, so that a request costs no more than a look at that number.

mod check;
mod outlier;
mod probe;
mod report;
mod schedule;
mod state;
mod supervisor;
#[cfg(test)]
mod tests;

pub(in crate::upstream) use self::{
    outlier::{Outcome, Window},
    state::{ClusterHealth, Condition, HostHealth},
    supervisor::{Watched, WatchedEndpoint},
};
pub use self::{report::HealthReports, state::Flags as HealthFlags};
