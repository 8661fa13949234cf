//! Templates of paths.

use tollgate_model::route::{PathMatch, PathRewrite, PathTemplate, PathTemplateRewrite};

use crate::{
    envoy::cluster::TYPED_EXTENSION_CONFIG,
    schema::{Any, Schema, Value, read},
};

pub(in crate::envoy) static URI_TEMPLATE_MATCH: Schema = Schema {
    name: "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
    title: "",
    fields: &[read(
        "path_template",
        "",
        "What the whole path is: `*` is a segment or a part of it, `**` any number of segments, `{name}` a segment with a name, \
         `{name=a/*}` several. Required.",
    )],
    unsupported: &[],
};

pub(in crate::envoy) static URI_TEMPLATE_REWRITE: Schema = Schema {
    name: "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig",
    title: "",
    fields: &[read(
        "path_template_rewrite",
        "",
        "What the path becomes, with the `{name}`s of the template. Required.",
    )],
    unsupported: &[],
};

/// The message of an extension that is of this type.
fn config<'a>(value: &Value<'a>, what: &str, schema: &'static Schema) -> Option<Any<'a>> {
    let extension = value.message(&TYPED_EXTENSION_CONFIG)?;
    extension.required_string("name");
    let any = extension.required("typed_config")?.any()?;
    if any.type_name != schema.name {
        any.unsupported(what, &[schema.name]);
        return None;
    }
    Some(any)
}

/// Reads `path_match_policy`.
pub(super) fn read_template(value: &Value<'_>) -> Option<PathTemplate> {
    let any = config(value, "path match policy", &URI_TEMPLATE_MATCH)?;
    let template = any.value.message(&URI_TEMPLATE_MATCH)?.required("path_template")?;
    let text = template.non_empty_string()?;
    PathTemplate::parse(&text)
        .map_err(|problem| template.error(format!("\"{text}\" is no template of a path: {problem}")))
        .ok()
}

/// Reads `path_rewrite_policy`.
pub(super) fn read_rewrite(value: &Value<'_>) -> Option<PathTemplateRewrite> {
    let any = config(value, "path rewrite policy", &URI_TEMPLATE_REWRITE)?;
    let rewrite = any.value.message(&URI_TEMPLATE_REWRITE)?.required("path_template_rewrite")?;
    let text = rewrite.non_empty_string()?;
    PathTemplateRewrite::parse(&text)
        .map_err(|problem| rewrite.error(format!("\"{text}\" cannot be made of a template: {problem}")))
        .ok()
}

/// A rewrite needs the template whose parts it names.
pub(super) fn check_rewrite(action: &Value<'_>, path: &PathMatch, rewrite: Option<&PathRewrite>) {
    let Some(PathRewrite::Template(rewrite)) = rewrite else { return };
    let PathMatch::Template(template) = path else {
        action.error_with_help(
            "\"path_rewrite_policy\" needs a path_match_policy with a template",
            "match the route with UriTemplateMatchConfig",
        );
        return;
    };
    if let Some(name) = rewrite.unknown_variable(template) {
        action.error(format!("\"path_rewrite_policy\" names \"{name}\", which the template does not have"));
    }
}
