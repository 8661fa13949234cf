//! Gateways and routes as far as policies look at them.

use std::rc::Rc;

use crate::{
    gateway_api::{GatewaySpec, RouteSpec},
    kubernetes::{Object, ObjectRef, Resources, status::ParentReference},
    translation::{AttachedRoute, Controller, Gateway, Listener, Route},
};

/// All gateways, with the routes that name them.
pub(super) fn gateways(resources: &Resources) -> Vec<Gateway> {
    let objects = &resources.gateway_api;
    let routes = objects.http_routes.by_age();
    objects.gateways.by_age().into_iter().map(|object| gateway(object, &routes)).collect()
}

fn gateway(gateway: &Object<GatewaySpec>, routes: &[&Rc<Object<RouteSpec>>]) -> Gateway {
    let (object, meta) = (gateway.reference(), Rc::clone(&gateway.meta));
    let listeners = gateway.spec.listeners.iter().map(|listener| Listener {
        owner: object.clone(),
        owner_meta: Rc::clone(&meta),
        name: listener.name.clone(),
        port: listener.port,
        hostname: None,
        tls: None,
        routes: routes.iter().filter_map(|route| attached(route, &object, &listener.name)).collect(),
    });
    let listeners = listeners.collect();
    Gateway {
        object,
        meta,
        controller: Controller::EnvoyGateway,
        listeners,
        addresses: Vec::new(),
        client_certificate: None,
    }
}

fn attached(route: &Object<RouteSpec>, gateway: &ObjectRef, listener: &str) -> Option<AttachedRoute> {
    let names = |parent: &&ParentReference| {
        parent.name == gateway.name && parent.section_name.as_deref().is_none_or(|name| name == listener)
    };
    let parent = route.spec.parents.iter().map(|parent| &parent.reference).find(names)?;
    let rules = route.spec.rules.clone();
    let made = Route { object: route.reference(), meta: Rc::clone(&route.meta), rules };
    Some(AttachedRoute { route: Rc::new(made), parent: parent.clone(), hostnames: vec!["*".to_owned()] })
}
