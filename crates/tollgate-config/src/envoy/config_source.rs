//! Resources that are elsewhere: in files of their own (`path_config_source`), or with a management server (`ads`).
//!
//! A file holds a `DiscoveryResponse`, in YAML or JSON, or in protobuf's wire format if its name ends in `.pb`. It is read with the
//! configuration that names it, and again whenever it changes. What is in it is read by the same schemas, and reported with its own
//! lines.

use std::{ffi::OsStr, path::Path, sync::Arc};

use tollgate_ir::ObjectName;

use crate::{
    diagnostic::Report,
    place::Whole,
    schema::{Context, Message, Notation, Schema, Value, bookkeeping, harmless, read, wire},
    yaml::{self, Location, Node},
};

pub(super) static CONFIG_SOURCE: Schema = Schema {
    name: "envoy.config.core.v3.ConfigSource",
    title: "",
    fields: &[
        read("path_config_source", "", "A file."),
        read("path", "", "Old form of path_config_source.path."),
        read("ads", "", "The aggregated stream of dynamic_resources.ads_config."),
        read("api_config_source", "", "A management server of its own."),
        read("self", "", "The management server that the resource with this is from."),
        read("resource_api_version", "V3", "V3."),
        read(
            "initial_fetch_timeout",
            "15s",
            "How long the first answer of a server is waited for; 0s is as long as it takes. Files are read at once.",
        ),
    ],
    unsupported: &["authorities"],
};

pub(super) static PATH_CONFIG_SOURCE: Schema = Schema {
    name: "envoy.config.core.v3.PathConfigSource",
    title: "",
    fields: &[
        read("path", "", "Path of the file, with a slash; it is read again when it changes. Required."),
        harmless("watched_directory", "files are watched wherever they are"),
        harmless("poll_interval", "changes are noticed, and looked for every 10 seconds"),
    ],
    unsupported: &[],
};

static DISCOVERY_RESPONSE: Schema = Schema {
    name: "envoy.service.discovery.v3.DiscoveryResponse",
    title: "",
    fields: &[
        read("resources", "[]", "Messages of one type, each with its `@type`."),
        bookkeeping("version_info"),
        bookkeeping("type_url"),
        bookkeeping("nonce"),
        bookkeeping("control_plane"),
        bookkeeping("canary"),
    ],
    unsupported: &["resource_errors"],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 3] = [&CONFIG_SOURCE, &PATH_CONFIG_SOURCE, &DISCOVERY_RESPONSE];

/// The members of a `ConfigSource` that are management servers.
const SERVERS: [&str; 3] = ["ads", "api_config_source", "self"];

/// Whether a `ConfigSource` names a management server: what is there is asked for, and may not be there yet.
pub(super) fn is_from_server(source: &Value<'_>) -> bool {
    source.context.notation.is_native() && SERVERS.into_iter().any(|member| source.member(member).is_some())
}

/// Reads the resource of that name that a management server has delivered; `None` as well when it has not come yet.
pub(super) fn read_from_server<T>(
    source: &Value<'_>,
    schema: &'static Schema,
    name: &str,
    read: impl FnOnce(&Value<'_>) -> Option<T>,
) -> Option<T> {
    let message = source.message(&CONFIG_SOURCE)?;
    message.enumeration("resource_api_version", &VERSION, ());
    message.duration("initial_fetch_timeout");
    message.required_one_of(&SERVERS)?;
    let bytes = source.context.files.delivered(schema.name, name)?;
    // What is wrong in it has its name.
    let report = Report::of(Whole::Object(object_name(schema.name, name)));
    let node = wire::decode(schema.name, &bytes, &report);
    let context = Context { report: &report, notation: Notation::Delivered, ..source.context };
    let result = node.as_ref().and_then(|node| read(&Value::root(context, node)));
    source.context.report.absorb(report);
    result
}

/// How a delivered resource is called: `Cluster NAME`.
pub(super) fn object_name(type_name: &str, name: &str) -> ObjectName {
    ObjectName { kind: type_name.rsplit('.').next().unwrap_or(type_name).into(), name: name.into() }
}

/// Reads the resources of the file that a `ConfigSource` names. `read` is given each that is of the type of `schema`; others are
/// reported.
pub(super) fn read_resources(
    source: &Value<'_>,
    schema: &'static Schema,
    mut read: impl FnMut(&Value<'_>),
) -> Option<()> {
    let message = source.message(&CONFIG_SOURCE)?;
    message.enumeration("resource_api_version", &VERSION, ());
    message.duration("initial_fetch_timeout");
    for member in SERVERS {
        if let Some(server) = message.get(member) {
            server.error(format!("\"{member}\" is not supported here; use path_config_source, or ads"));
            return None;
        }
    }
    let path = path(&message)?;
    let name = path.non_empty_string()?;
    if !name.contains('/') {
        // Envoy watches the folder of the file, and wants to see which one that is.
        path.error_with_help(
            format!("\"{name}\" names no folder"),
            format!("write it with one: \"./{name}\""),
        );
        return None;
    }
    let content = match source.context.files.read(Path::new(&name)) {
        Ok(content) => content,
        Err(error) => {
            path.error(format!("the file \"{name}\" cannot be read: {error}"));
            return None;
        }
    };
    // What is wrong in the file has the file's name.
    let report = Report::new(Arc::<str>::from(&*name));
    let document = parse(&name, content, &report);
    if let Some(document) = &document {
        let value = Value::root(Context { report: &report, ..source.context }, document);
        read_response(&value, schema, &mut read);
    }
    source.context.report.absorb(report);
    document.map(drop)
}

/// Reads the resource of that name out of the file that a `ConfigSource` names; `name_of` is the field with the name.
pub(super) fn read_resource<T>(
    source: &Value<'_>,
    schema: &'static Schema,
    (name_of, name): (&str, &str),
    mut read: impl FnMut(&Value<'_>) -> Option<T>,
) -> Option<T> {
    let (mut found, mut result) = (false, None);
    read_resources(source, schema, |resource| {
        let own = resource.member(name_of).and_then(|own| own.string());
        if !found && own.as_deref() == Some(name) {
            found = true;
            result = read(resource);
        }
    })?;
    if !found {
        let short = schema.name.rsplit('.').next().unwrap_or(schema.name);
        source.error(format!("the file has no {short} named \"{name}\""));
    }
    result
}

pub(super) static VERSION: crate::schema::Enumeration<()> =
    crate::schema::Enumeration { values: &[("AUTO", 0, None), ("V2", 1, None), ("V3", 2, Some(()))] };

fn path<'a>(message: &Message<'a>) -> Option<Value<'a>> {
    let (kind, value) = message.required_one_of(&["path_config_source", "path"])?;
    match kind {
        "path" => Some(value),
        _ => value.message(&PATH_CONFIG_SOURCE)?.required("path"),
    }
}

/// The response in a file.
fn parse(name: &str, content: Vec<u8>, report: &Report) -> Option<Node> {
    if Path::new(name).extension() == Some(OsStr::new("pb")) {
        return wire::decode(DISCOVERY_RESPONSE.name, &content, report);
    }
    let whole = |message: String| {
        report.add(crate::Severity::Error, Location { line: 1, column: 1, length: 1 }, "", message, None);
    };
    let Ok(text) = String::from_utf8(content) else {
        whole("not UTF-8".to_owned());
        return None;
    };
    let mut documents = yaml::parse(&text, report);
    if documents.len() > 1 {
        whole("there is a second document; resources are one document".to_owned());
    }
    if documents.is_empty() && !report.has_errors() {
        whole("the file is empty".to_owned());
    }
    documents.drain(..).next()
}

fn read_response(value: &Value<'_>, schema: &'static Schema, read: &mut dyn FnMut(&Value<'_>)) {
    let Some(response) = value.message(&DISCOVERY_RESPONSE) else { return };
    for resource in response.list("resources") {
        let Some(any) = resource.any() else { continue };
        if any.type_name == schema.name {
            read(&any.value);
        } else {
            any.unsupported("resource", &[schema.name]);
        }
    }
}
