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

/// What has become of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// The kind of the resources.
    pub kind: Kind,
    /// The version of all of them; in the delta form only for people.
    pub version: String,
    /// What was refused of it; one without a name is about the response as a whole.
    pub refusals: Vec<Refusal>,
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

/// Longest name of a resource, bytes.
const LONGEST_NAME: usize = 16 * 1024;

type States = BTreeMap<Kind, State>;
type Take<'t> = &'t mut dyn FnMut(&Update) -> Vec<Refusal>;

/// Handles a response with a state of the world.
///
/// # Errors
/// Why it cannot be answered.
pub(super) fn handle_sotw(
    states: &mut States,
    message: Bytes,
    take: Take<'_>,
) -> Result<Option<Handled>, String> {
    let response = DiscoveryResponse::decode(message).map_err(|error| error.to_string())?;
    let Some((kind, State::Sotw(state))) = state(states, &response.type_url)? else { return Ok(None) };
    if !state.is_asked_for() {
        // Nobody wants it; Envoy does not answer, either.
        return Ok(None);
    }
    let read = response.resources.iter().map(|any| unwrap(kind, any, &response.version_info));
    let outcome = read.collect::<Result<Vec<_>, String>>().and_then(|resources| {
        let wanted = |resource: &Incoming| state.wants(&resource.name);
        let resources: Vec<Incoming> = resources.into_iter().filter(wanted).collect();
        let update = Update { kind, is_complete: kind.is_wildcard(), resources, removed: Vec::new() };
        check(&update)?;
        Ok(take(&update))
    });
    let refusals = outcome.unwrap_or_else(whole);
    state.answer(response.version_info.clone(), response.nonce, reason(&refusals));
    Ok(Some(Handled { kind, version: response.version_info, refusals }))
}

/// Handles a response with changes.
///
/// # Errors
/// Why it cannot be answered.
pub(super) fn handle_delta(
    states: &mut States,
    message: Bytes,
    take: Take<'_>,
) -> Result<Option<Handled>, String> {
    let response = DeltaDiscoveryResponse::decode(message).map_err(|error| error.to_string())?;
    let Some((kind, State::Delta(state))) = state(states, &response.type_url)? else { return Ok(None) };
    if !state.is_asked_for() {
        return Ok(None);
    }
    let read = response.resources.into_iter().filter_map(|resource| {
        let Resource { version, resource, name } = resource;
        // Without a resource it is a mere sign of life.
        let any = resource?;
        Some(body(kind, &any).map(|body| Incoming { name, version, body }))
    });
    let outcome = read.collect::<Result<Vec<_>, String>>().and_then(|resources| {
        let (resources, left_out): (Vec<Incoming>, Vec<Incoming>) =
            resources.into_iter().partition(|one| state.wants(&one.name));
        let removed = response.removed_resources;
        let update = Update { kind, is_complete: false, resources, removed };
        check(&update)?;
        for one in left_out {
            state.left_out(one.name);
        }
        let refusals = take(&update);
        Ok((update, refusals))
    });
    let refusals = match outcome {
        Ok((update, refusals)) => {
            for name in &update.removed {
                state.removed(name);
            }
            let refused: BTreeSet<&str> = refusals.iter().map(|refusal| &*refusal.name).collect();
            for one in update.resources.into_iter().filter(|one| !refused.contains(&*one.name)) {
                state.accepted(one.name, one.version);
            }
            refusals
        }
        Err(reason) => whole(reason),
    };
    state.answer(response.nonce, reason(&refusals));
    Ok(Some(Handled { kind, version: response.system_version_info, refusals }))
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
        if resource.name.len() > LONGEST_NAME {
            return Err(format!("a {} with a name of more than {LONGEST_NAME} bytes", update.kind));
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

/// A response that is refused as a whole.
fn whole(reason: String) -> Vec<Refusal> {
    vec![Refusal { name: String::new(), reason }]
}

/// What the server is told.
fn reason(refusals: &[Refusal]) -> Option<String> {
    let line = |Refusal { name, reason }: &Refusal| match name.is_empty() {
        true => reason.clone(),
        false => format!("{name}: {reason}"),
    };
    let lines: Vec<String> = refusals.iter().map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
