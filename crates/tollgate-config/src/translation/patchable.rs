//! What was translated, for policies that patch it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use http::StatusCode;
use tollgate_ir::{Action, Resources};
use tollgate_model::route::DirectResponse;

use super::{Controller, Translator};
use crate::{
    Explanation, Explanations, ReplacedBecause, RouteKey,
    kubernetes::{ObjectRef, Place},
    patching::Patching,
};

/// What was translated, for policies that patch it.
pub(crate) struct Patchable<'a> {
    translator: &'a Translator<'a>,
    resources: Resources,
    explanations: Explanations,
    /// By the name of the listener.
    listeners: HashMap<String, ServedListener>,
}

/// What a listener of the resources is made of.
#[derive(Debug)]
pub(crate) struct ServedListener {
    pub(crate) gateways: Vec<ObjectRef>,
    /// Whose rules apply to the first of them.
    pub(crate) controller: &'static Controller,
    /// As the gateways say it.
    pub(crate) port: u16,
    pub(crate) tls: bool,
    /// The owners and the names of the listeners that each filter chain serves.
    pub(crate) chains: Vec<Vec<(ObjectRef, String)>>,
}

impl<'a> Patchable<'a> {
    pub(super) fn new(
        translator: &'a Translator<'a>,
        resources: Resources,
        explanations: Explanations,
        listeners: HashMap<String, ServedListener>,
    ) -> Self {
        Self { translator, resources, explanations, listeners }
    }

    /// What patches are applied to: everything there is so far.
    pub(crate) fn begin(&self) -> Patching<'a> {
        let complete = self.translator.complete(&self.resources);
        Patching::new(&complete, self.translator.files, self.translator.options)
    }

    /// Takes over what came of the patches.
    pub(crate) fn end(&mut self, patching: Patching<'_>) {
        patching.finish(&mut self.resources, &mut self.explanations);
    }

    /// The listeners, by their names.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = (&str, &ServedListener)> {
        self.listeners.iter().map(|(name, listener)| (name.as_str(), listener))
    }

    /// Lets all routes of a gateway answer 500: what a patch was to put in front of them is not there.
    pub(crate) fn close(&mut self, gateway: &ObjectRef, reason: &str, place: &Place) {
        let of_gateway = self.listeners().filter(|(_, listener)| listener.gateways.contains(gateway));
        let names = of_gateway.map(|(name, _)| name.to_owned()).collect();
        self.close_listeners(&names, reason, place);
    }

    /// The same for all routes of some listeners.
    pub(crate) fn close_listeners(&mut self, names: &BTreeSet<String>, reason: &str, place: &Place) {
        for listener in &self.resources.listeners {
            if !names.contains(&listener.name) {
                continue;
            }
            let default = listener.default_filter_chain.iter().map(|chain| (None, chain));
            let chains = listener.filter_chains.iter().enumerate().map(|(index, chain)| (Some(index), chain));
            for (filter_chain, chain) in chains.chain(default) {
                let Some(table) = self.resources.route_tables.get_mut(&chain.http.route_config) else {
                    continue;
                };
                let hosts = &mut Arc::make_mut(table).virtual_hosts;
                for (virtual_host, host) in hosts.iter_mut().enumerate() {
                    for (route, one) in Arc::make_mut(host).routes.iter_mut().enumerate() {
                        one.action = Action::DirectResponse(DirectResponse::new(
                            StatusCode::INTERNAL_SERVER_ERROR,
                            Bytes::new(),
                        ));
                        let listener = listener.name.clone();
                        let key = RouteKey { listener, filter_chain, virtual_host, route };
                        let Some(old) = self.explanations.get(&key) else { continue };
                        let replaced = ReplacedBecause { reason: reason.to_owned(), place: place.clone() };
                        let new = Explanation { replaced: Some(replaced), ..(**old).clone() };
                        self.explanations.insert(key, Arc::new(new));
                    }
                }
            }
        }
    }

    pub(super) fn into_parts(self) -> (Resources, Explanations) {
        (self.resources, self.explanations)
    }
}
