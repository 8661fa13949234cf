//! Limits of connections that are runtime keys.

use std::collections::BTreeMap;

use tollgate_model::overload::OverloadManager;

use crate::schema::Value;

/// Connections of all listeners.
const GLOBAL_LIMIT: &str = "overload.global_downstream_max_connections";
/// What stands before and behind the name of a listener in the key of its limit.
const LISTENER_LIMIT: (&str, &str) = ("envoy.resource_limits.listener.", ".connection_limit");

/// What the runtime keys say.
#[derive(Default)]
pub(super) struct Limits<'a> {
    global: Option<(u64, Value<'a>)>,
    listeners: Vec<(String, u64, Value<'a>)>,
}

impl<'a> Limits<'a> {
    /// Whether the key is one of a limit; it is read then.
    pub(super) fn read(&mut self, key: &str, value: &Value<'a>) -> bool {
        let (prefix, suffix) = LISTENER_LIMIT;
        let listener = key.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
        if listener.is_none() && key != GLOBAL_LIMIT {
            return false;
        }
        let Some(limit) = value.integer(0..=i64::MAX).and_then(|limit| u64::try_from(limit).ok()) else {
            return true;
        };
        match listener {
            Some(listener) => {
                self.listeners.retain(|(known, ..)| known != listener);
                self.listeners.push((listener.to_owned(), limit, value.clone()));
            }
            None => self.global = Some((limit, value.clone())),
        }
        true
    }

    /// Sets the limit of the process, unless a resource monitor does.
    pub(super) fn apply_global(&mut self, overload: &mut OverloadManager) {
        let Some((limit, value)) = self.global.take() else { return };
        if overload.max_downstream_connections.is_some() {
            value.no_effect(
                format!("the runtime key \"{GLOBAL_LIMIT}\""),
                "envoy.resource_monitors.global_downstream_max_connections says what counts",
            );
        } else {
            overload.max_downstream_connections = Some(limit);
        }
    }

    /// The limit of a listener.
    pub(super) fn take(&mut self, listener: &str) -> Option<u64> {
        let index = self.listeners.iter().position(|(known, ..)| known == listener)?;
        Some(self.listeners.swap_remove(index).1)
    }

    /// The limits of listeners that have not been taken.
    pub(super) fn into_rest(self) -> BTreeMap<String, u64> {
        self.listeners.into_iter().map(|(listener, limit, _)| (listener, limit)).collect()
    }

    /// Says which limits belong to no listener.
    pub(super) fn complain_about_the_rest(&self) {
        for (listener, _, value) in &self.listeners {
            value.warning(
                format!("there is no listener named \"{listener}\", so this limit holds for nothing"),
                "the key is envoy.resource_limits.listener.<name>.connection_limit",
            );
        }
    }
}
