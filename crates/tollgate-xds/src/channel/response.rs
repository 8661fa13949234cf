//! Responses: what they hold, and what is answered.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;

use super::State;
use crate::{
    Kind,
    proto::{Any, DeltaDiscoveryResponse, DiscoveryResponse, RESOURCE_TYPE, Resource},
};

/// What a response holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The kind of the resources.
    pub kind: Kind,
    /// Whether these are all there are: what is missing is gone.
    pub is_complete: bool,
    /// What is there, or is other than before.
    pub resources: Vec<Incoming>,
    /// Names of what is gone.
    pub removed: Vec<String>,
}

/// A resource as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    /// Its name.
    pub name: String,
    /// Its version; that of the whole response where resources have none.
    pub version: String,
    /// The message.
    pub body: Bytes,
}

/// A resource that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Every kind of resource has its name there.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

type States = BTreeMap<Kind, State>;
type Take<'t> = &'t mut dyn FnMut(&Update) -> Vec<Refusal>;

/// Handles a response with a state of the world.
///
/// # Errors
/// Why it cannot be answered.
pub(super) fn handle_sotw(states: &mut States, message: Bytes, take: Take<'_>) -> Result<(), String> {
    let response = DiscoveryResponse::decode(message).map_err(|error| error.to_string())?;
    let Some((kind, State::Sotw(state))) = state(states, &response.type_url)? else { return Ok(()) };
    if !state.is_asked_for() {
        // Nobody wants it; Envoy does not answer, either.
        return Ok(());
    }
    let read = response.resources.iter().map(|any| unwrap(kind, any, &response.version_info));
    let outcome = read.collect::<Result<Vec<_>, String>>().and_then(|resources| {
        let wanted = |resource: &Incoming| state.wants(&resource.name);
        let resources: Vec<Incoming> = resources.into_iter().filter(wanted).collect();
        let update = Update { kind, is_complete: kind.is_wildcard(), resources, removed: Vec::new() };
        check(&update)?;
        Ok(take(&update))
    });
    let refused = match outcome {
        Ok(refusals) => reason(&refusals),
        Err(reason) => Some(reason),
    };
    state.answer(response.version_info, response.nonce, refused);
    Ok(())
}

/// Handles a response with changes.
///
/// # Errors
/// Why it cannot be answered.
pub(super) fn handle_delta(states: &mut States, message: Bytes, take: Take<'_>) -> Result<(), String> {
    let response = DeltaDiscoveryResponse::decode(message).map_err(|error| error.to_string())?;
    let Some((kind, State::Delta(state))) = state(states, &response.type_url)? else { return Ok(()) };
    if !state.is_asked_for() {
        return Ok(());
    }
    let read = response.resources.into_iter().filter_map(|resource| {
        let Resource { version, resource, name } = resource;
        // Without a resource it is a mere sign of life.
        let any = resource?;
        Some(body(kind, &any).map(|body| Incoming { name, version, body }))
    });
    let outcome = read.collect::<Result<Vec<_>, String>>().and_then(|resources| {
        let wanted = |name: &str| state.wants(name);
        let resources: Vec<Incoming> = resources.into_iter().filter(|one| wanted(&one.name)).collect();
        let removed = response.removed_resources;
        let update = Update { kind, is_complete: false, resources, removed };
        check(&update)?;
        let refusals = take(&update);
        Ok((update, refusals))
    });
    let refused = match outcome {
        Ok((update, refusals)) => {
            for name in &update.removed {
                state.removed(name);
            }
            let refused: BTreeSet<&str> = refusals.iter().map(|refusal| &*refusal.name).collect();
            for one in update.resources.into_iter().filter(|one| !refused.contains(&*one.name)) {
                state.accepted(one.name, one.version);
            }
            reason(&refusals)
        }
        Err(reason) => Some(reason),
    };
    state.answer(response.nonce, refused);
    Ok(())
}

/// The state of the kind of a response; `None` for a kind that is not wanted here.
fn state<'s>(states: &'s mut States, type_url: &str) -> Result<Option<(Kind, &'s mut State)>, String> {
    if type_url.is_empty() {
        return Err("a response does not name its type".to_owned());
    }
    let kind = Kind::of_type_url(type_url);
    Ok(kind.and_then(|kind| Some((kind, states.get_mut(&kind)?))))
}

/// A resource of a state of the world, which may have its name and version around it.
fn unwrap(kind: Kind, any: &Any, version: &str) -> Result<Incoming, String> {
    if any.type_url != RESOURCE_TYPE {
        let body = body(kind, any)?;
        let name = Named::decode(body.clone()).map_err(|error| format!("a {kind}: {error}"))?.name;
        return Ok(Incoming { name, version: version.to_owned(), body });
    }
    let resource = Resource::decode(any.value.clone()).map_err(|error| format!("a {kind}: {error}"))?;
    let any = resource.resource.unwrap_or_default();
    Ok(Incoming { name: resource.name, version: version.to_owned(), body: body(kind, &any)? })
}

fn body(kind: Kind, any: &Any) -> Result<Bytes, String> {
    if Kind::of_type_url(&any.type_url) == Some(kind) {
        return Ok(any.value.clone());
    }
    Err(format!("a resource of the type {} among those of the type {}", any.type_url, kind.type_url()))
}

/// What makes a response useless as a whole.
fn check(update: &Update) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for resource in &update.resources {
        if resource.name.is_empty() {
            return Err(format!("a {} without a name", update.kind));
        }
        if !names.insert(&*resource.name) {
            return Err(format!("duplicate name {} found among added/updated resources", resource.name));
        }
    }
    if let Some(name) = update.removed.iter().find(|name| names.contains(&***name)) {
        return Err(format!("{name} is both added/updated and removed"));
    }
    Ok(())
}

/// What the server is told.
fn reason(refusals: &[Refusal]) -> Option<String> {
    let lines: Vec<String> =
        refusals.iter().map(|Refusal { name, reason }| format!("{name}: {reason}")).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
