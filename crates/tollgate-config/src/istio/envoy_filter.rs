//! EnvoyFilter: changes to the configuration as Istio would give it to Envoy.

mod apply;
mod clusters;
mod matching;
mod names;
mod spec;

pub(super) use self::{
    apply::apply,
    spec::{EnvoyFilter, read_envoy_filter},
};
