//! The filter `lua`.

use std::sync::Arc;

use extproc::messages::Struct;
use tollgate_ir::{FilterConfig, Override};
use tollgate_lua::Machine;
use tollgate_model::{
    filter::{FilterSettings, Lua, LuaContext, LuaOfRoute, LuaPerRoute, LuaScript},
    tls::TextSource,
};

use super::kinds::{Kind, PerRoute};
use crate::{
    envoy::{Scope, data_source::read_text, metadata::read_struct},
    schema::{Message, Schema, Value, read, refused},
};

const NO_SHARED_MACHINES: &str = "each script has a machine of its own in each worker";
const NO_COMPILED_MODULES: &str = "use package_paths with modules that are written in Lua";

pub(in crate::envoy) static LUA: Schema = Schema {
    name: "envoy.extensions.filters.http.lua.v3.Lua",
    title: "",
    fields: &[
        read("default_source_code", "no script", "The script."),
        read("inline_code", "no script", "Old form of the same."),
        read("source_codes", "{}", "Scripts that routes name."),
        read("stat_prefix", "", "Added to the names of the filter's statistics."),
        read(
            "clear_route_cache",
            "true",
            "Match the routes again when a script changes headers of the request.",
        ),
        read("filter_context", "{}", "What scripts find with `filterContext()`."),
        read("package_paths", "[]", "Where modules are looked for before the usual places."),
        refused("package_cpaths", NO_COMPILED_MODULES),
        refused("shared_vm_id", NO_SHARED_MACHINES),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static LUA_PER_ROUTE: Schema = Schema {
    name: "envoy.extensions.filters.http.lua.v3.LuaPerRoute",
    title: "",
    fields: &[
        read("disabled", "", "true turns the filter off."),
        read("name", "the filter's script", "A script of `source_codes`; without such a one none runs."),
        read("source_code", "the filter's script", "Another script."),
        read("filter_context", "the filter's", "Another context."),
        read("package_paths", "[]", "Where source_code finds modules before the usual places."),
        refused("package_cpaths", NO_COMPILED_MODULES),
        refused("shared_vm_id", NO_SHARED_MACHINES),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 2] = [&LUA, &LUA_PER_ROUTE];

pub(super) const KIND: Kind = Kind {
    settings: &LUA,
    read: read_lua,
    per_route: Some(PerRoute { settings: &LUA_PER_ROUTE, read: read_per_route }),
    upstream: true,
};

fn read_lua(value: &Value<'_>, _scope: &Scope) -> Option<FilterConfig> {
    let message = value.message(&LUA)?;
    let paths = message.strings("package_paths");
    let code = message.get("default_source_code");
    let old = message.get("inline_code").filter(|old| old.string().is_some_and(|code| !code.is_empty()));
    if let (Some(_), Some(old)) = (&code, &old) {
        old.error_with_help(
            "\"inline_code\" and \"default_source_code\" cannot both be given",
            "keep default_source_code",
        );
    }
    let script = match (code, old) {
        (Some(source), _) => Some(read_script(&source, &paths)?),
        (None, Some(old)) => {
            let code = old.string()?;
            let source = TextSource::Inline(code.as_bytes().into());
            Some(checked(&old, LuaScript { code, source, package_paths: paths.clone() })?)
        }
        (None, None) => None,
    };
    let scripts = message.map("source_codes").into_iter();
    let settings = Lua {
        script,
        scripts: scripts
            .filter_map(|(name, source)| Some((name.to_owned(), read_script(&source, &paths)?)))
            .collect(),
        stat_prefix: message.string("stat_prefix"),
        clear_route_cache: message.boolean("clear_route_cache", true),
        context: read_context(&message).unwrap_or_default(),
    };
    Some(FilterConfig::Settings(FilterSettings::Lua(Arc::new(settings))))
}

fn read_per_route(value: &Value<'_>, _scope: &Scope) -> Option<Override> {
    let message = value.message(&LUA_PER_ROUTE)?;
    let paths = message.strings("package_paths");
    let script = match message.one_of(&["disabled", "name", "source_code"]) {
        None => LuaOfRoute::Same,
        Some(("disabled", said)) => {
            if !said.boolean()? {
                said.error_with_help("must be true", "leave it out to keep the filter on");
            }
            LuaOfRoute::Disabled
        }
        Some(("name", name)) => LuaOfRoute::Named(name.non_empty_string()?),
        Some((_, source)) => LuaOfRoute::Own(read_script(&source, &paths)?),
    };
    Some(Override::Lua(Arc::new(LuaPerRoute { script, context: read_context(&message).map(LuaContext) })))
}

fn read_context(message: &Message<'_>) -> Option<Struct> {
    message.get("filter_context").and_then(|context| read_struct(&context))
}

fn read_script(value: &Value<'_>, paths: &[String]) -> Option<Arc<LuaScript>> {
    let (content, source) = read_text(value)?;
    let Ok(code) = String::from_utf8(content) else {
        value.error("the script is not UTF-8");
        return None;
    };
    checked(value, LuaScript { code, source, package_paths: paths.to_vec() })
}

/// A script that can be loaded: what stands outside of its functions has run.
fn checked(value: &Value<'_>, script: LuaScript) -> Option<Arc<LuaScript>> {
    match Machine::load(&script.code, &script.package_paths, |_| Ok(())) {
        Ok(_) => Some(Arc::new(script)),
        Err(error) => {
            value.error(error.to_string());
            None
        }
    }
}
