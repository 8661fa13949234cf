//! The `lua` filter: scripts that look at requests and responses, and change them.

use std::{collections::BTreeMap, sync::Arc};

use extproc::messages::Struct;
use serde::{Serialize, Serializer};

use crate::{metadata::serialize_struct, tls::TextSource};

/// Settings of the filter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lua {
    /// The script; `None`: there is none, and the filter does nothing.
    pub script: Option<Arc<LuaScript>>,
    /// Scripts that routes name.
    pub scripts: BTreeMap<String, Arc<LuaScript>>,
    /// Added to the names of the counters; empty = nothing.
    pub stat_prefix: String,
    /// Match the routes again when a script changes headers of the request. Default true.
    pub clear_route_cache: bool,
    /// What scripts find as the context of their filter.
    #[serde(serialize_with = "serialize_struct")]
    pub context: Struct,
}

/// A script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LuaScript {
    /// The code.
    pub code: String,
    /// Where it comes from.
    pub source: TextSource,
    /// Where modules are looked for before the usual places.
    pub package_paths: Vec<String>,
}

impl Serialize for LuaScript {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.code)
    }
}

/// What a level says about the filter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LuaPerRoute {
    /// Which script runs.
    pub script: LuaOfRoute,
    /// Another context; `None` = that of the filter.
    pub context: Option<LuaContext>,
}

/// A context of scripts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LuaContext(#[serde(serialize_with = "serialize_struct")] pub Struct);

/// Which script a level wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum LuaOfRoute {
    /// The filter's own.
    Same,
    /// None.
    Disabled,
    /// The one that the filter has under this name; if it has none, none runs.
    Named(String),
    /// This one.
    Own(Arc<LuaScript>),
}

impl Lua {
    /// The settings below a level that says this.
    #[must_use]
    pub fn with(&self, level: &LuaPerRoute) -> Self {
        let script = match &level.script {
            LuaOfRoute::Same => self.script.clone(),
            LuaOfRoute::Disabled => None,
            LuaOfRoute::Named(name) => self.scripts.get(name).cloned(),
            LuaOfRoute::Own(script) => Some(Arc::clone(script)),
        };
        let context = match &level.context {
            Some(LuaContext(context)) => context.clone(),
            None => self.context.clone(),
        };
        Self { script, context, ..self.clone() }
    }
}
