//! The filter `lua`.

use serde_json::{Map, Value};
use tollgate_model::filter::{Lua, LuaContext, LuaOfRoute, LuaPerRoute, LuaScript};

use crate::envoy::{
    http_filters::lua::{LUA, LUA_PER_ROUTE},
    write::{matchers::structure, out::Out, tls::data_source},
};

pub(super) fn written(settings: &Lua) -> Value {
    let mut out = Out::new(&LUA);
    out.some("default_source_code", settings.script.as_ref().map(|script| data_source(&script.source)));
    let scripts = settings.scripts.iter();
    let scripts: Map<String, Value> =
        scripts.map(|(name, script)| (name.clone(), data_source(&script.source))).collect();
    if !scripts.is_empty() {
        out.set("source_codes", scripts);
    }
    out.text("stat_prefix", &settings.stat_prefix);
    out.unless("clear_route_cache", settings.clear_route_cache, true);
    if !settings.context.fields.is_empty() {
        out.set("filter_context", structure(&settings.context));
    }
    // Those of one filter have the same.
    let script = settings.script.as_ref().or_else(|| settings.scripts.values().next());
    out.list("package_paths", script.map(|script| paths(script)).unwrap_or_default());
    out.any()
}

/// What a level says.
pub(in crate::envoy::write) fn per_route(level: &LuaPerRoute) -> Value {
    let mut out = Out::new(&LUA_PER_ROUTE);
    match &level.script {
        LuaOfRoute::Same => {}
        LuaOfRoute::Disabled => out.set("disabled", true),
        LuaOfRoute::Named(name) => out.set("name", &**name),
        LuaOfRoute::Own(script) => {
            out.set("source_code", data_source(&script.source));
            out.list("package_paths", paths(script));
        }
    }
    if let Some(LuaContext(context)) = &level.context {
        out.set("filter_context", structure(context));
    }
    out.any()
}

fn paths(script: &LuaScript) -> Vec<Value> {
    script.package_paths.iter().map(|path| Value::from(&**path)).collect()
}
