//! CEL expressions.

use serde_json::Value as Json;
use tollgate_cel::{Expression, Options, Tree};

use super::out::Out;
use crate::{
    envoy::cel::{
        CALL, CEL_EXPRESSION_CONFIG, CONSTANT, CREATE_LIST, CREATE_STRUCT, ENTRY, EXPR, IDENT, SELECT,
    },
    schema::base64,
};

pub(super) fn cel_options(options: Options) -> Json {
    let mut out = Out::new(&CEL_EXPRESSION_CONFIG);
    out.unless("enable_string_conversion", options.string_conversion, false);
    out.unless("enable_string_concat", options.string_concat, false);
    out.unless("enable_string_functions", options.string_functions, false);
    out.done()
}

/// Writes an expression as a tree.
pub(super) fn expression_tree(expression: &Expression) -> Json {
    // What was read once can be read again.
    Tree::parse(expression.source()).map_or(Json::Null, |tree| written(&tree))
}

fn written(tree: &Tree) -> Json {
    let mut out = Out::new(&EXPR);
    let constant = |name: &'static str, value: Json, out: &mut Out| {
        let mut constant = Out::new(&CONSTANT);
        constant.set(name, value);
        out.set("const_expr", constant.done());
    };
    match tree {
        Tree::Bool(value) => constant("bool_value", Json::from(*value), &mut out),
        Tree::Int(number) => constant("int64_value", Json::from(number.to_string()), &mut out),
        Tree::Uint(number) => constant("uint64_value", Json::from(number.to_string()), &mut out),
        Tree::Double(number) => constant("double_value", Json::from(*number), &mut out),
        Tree::String(text) => constant("string_value", Json::from(text.as_str()), &mut out),
        Tree::Bytes(bytes) => constant("bytes_value", Json::from(base64::encode(bytes)), &mut out),
        Tree::Null => return Json::Null,
        Tree::Name(name) => {
            let mut ident = Out::new(&IDENT);
            ident.set("name", name.as_str());
            out.set("ident_expr", ident.done());
        }
        Tree::Select { of, field, test_only } => {
            let mut select = Out::new(&SELECT);
            select.set("operand", written(of));
            select.set("field", field.as_str());
            select.unless("test_only", *test_only, false);
            out.set("select_expr", select.done());
        }
        Tree::Call { target, function, arguments } => {
            let mut call = Out::new(&CALL);
            call.some("target", target.as_ref().map(|target| written(target)));
            call.set("function", function.as_str());
            call.list("args", arguments.iter().map(written).collect());
            out.set("call_expr", call.done());
        }
        Tree::List(elements) => {
            let mut list = Out::new(&CREATE_LIST);
            list.list("elements", elements.iter().map(written).collect());
            out.set("list_expr", list.done());
        }
        Tree::Map(entries) => {
            let entry = |(key, value): &(Tree, Tree)| {
                let mut entry = Out::new(&ENTRY);
                entry.set("map_key", written(key));
                entry.set("value", written(value));
                entry.done()
            };
            let mut map = Out::new(&CREATE_STRUCT);
            map.list("entries", entries.iter().map(entry).collect());
            out.set("struct_expr", map.done());
        }
    }
    out.done()
}
