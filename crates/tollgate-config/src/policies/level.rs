//! The levels that policies about a rule can be at.

use super::TargetView;
use crate::{
    kubernetes::ObjectRef,
    translation::{Gateway, Listener, Site},
};

/// How specific a target is: the greater one wins (EG-40).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Gateway,
    GatewayListener,
    ListenerSet,
    ListenerSetListener,
    Route,
    Rule,
}

impl Level {
    /// Whether it is a route or a part of it.
    pub(crate) fn is_route(self) -> bool {
        self >= Self::Route
    }
}

/// The targets that a policy about something can have, the most specific one first.
pub(crate) type Levels<'a> = Vec<(Level, TargetView<'a>)>;

/// Those of a policy about a rule.
pub(crate) fn levels<'a>(site: &Site<'a>) -> Levels<'a> {
    levels_under(site, &site.gateway.object)
}

/// The same with the Gateway that the listener belongs to, where several share one of ours.
pub(crate) fn levels_under<'a>(site: &Site<'a>, gateway: &'a ObjectRef) -> Levels<'a> {
    let route = &site.attached.route.object;
    let mut levels = Vec::with_capacity(5);
    if let Some(name) = &site.rule.name {
        levels.push((Level::Rule, TargetView { object: route, section: Some(name) }));
    }
    levels.push((Level::Route, TargetView { object: route, section: None }));
    add_listener(&mut levels, gateway, site.listener);
    levels
}

/// Those of a policy about a listener.
pub(crate) fn levels_of_listener<'a>(gateway: &'a Gateway, listener: &'a Listener) -> Levels<'a> {
    let mut levels = Vec::with_capacity(3);
    add_listener(&mut levels, &gateway.object, listener);
    levels
}

fn add_listener<'a>(levels: &mut Levels<'a>, gateway: &'a ObjectRef, listener: &'a Listener) {
    let own = TargetView { object: &listener.owner, section: Some(&listener.name) };
    if listener.owner == *gateway {
        levels.push((Level::GatewayListener, own));
    } else {
        levels.push((Level::ListenerSetListener, own));
        levels.push((Level::ListenerSet, TargetView { object: &listener.owner, section: None }));
    }
    levels.push((Level::Gateway, TargetView { object: gateway, section: None }));
}
