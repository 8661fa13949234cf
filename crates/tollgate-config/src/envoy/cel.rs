//! CEL expressions.

use tollgate_cel::{Expression, Options, Tree};

use crate::schema::{Message, Schema, Value, harmless, read, refused};

pub(super) static CEL_EXPRESSION_CONFIG: Schema = Schema {
    name: "envoy.config.core.v3.CelExpressionConfig",
    title: "",
    fields: &[
        read("enable_string_conversion", "false", "There is `string(x)`."),
        read("enable_string_concat", "false", "`+` joins strings and bytes."),
        read(
            "enable_string_functions",
            "false",
            "There are lowerAscii, upperAscii, split, join, replace, trim, substring, charAt, indexOf, lastIndexOf and reverse.",
        ),
    ],
    unsupported: &[],
};

pub(super) static EXPR: Schema = Schema {
    name: "google.api.expr.v1alpha1.Expr",
    title: "",
    fields: &[
        harmless("id", "nobody refers to it"),
        read("const_expr", "", "A constant. One of the fields is required."),
        read("ident_expr", "", "A name."),
        read("select_expr", "", "A member."),
        read("call_expr", "", "A function or an operator."),
        read("list_expr", "", "A list."),
        read("struct_expr", "", "A map."),
        refused("comprehension_expr", "there are no comprehensions, neither in Envoy"),
    ],
    unsupported: &[],
};

pub(super) static CONSTANT: Schema = Schema {
    name: "google.api.expr.v1alpha1.Constant",
    title: "",
    fields: &[
        read("bool_value", "", "A boolean. One of the fields is required."),
        read("int64_value", "", "A whole number."),
        read("uint64_value", "", "A whole number without a sign."),
        read("double_value", "", "A number."),
        read("string_value", "", "A string."),
        read("bytes_value", "", "Bytes, base64."),
        refused("null_value", "use has() to ask whether something is there"),
        refused("duration_value", "call duration()"),
        refused("timestamp_value", "call timestamp()"),
    ],
    unsupported: &[],
};

pub(super) static IDENT: Schema = Schema {
    name: "google.api.expr.v1alpha1.Expr.Ident",
    title: "",
    fields: &[read("name", "", "The name. Required.")],
    unsupported: &[],
};

pub(super) static SELECT: Schema = Schema {
    name: "google.api.expr.v1alpha1.Expr.Select",
    title: "",
    fields: &[
        read("operand", "", "What is looked into. Required."),
        read("field", "", "The member. Required."),
        read("test_only", "false", "Whether it is there: `has(operand.field)`."),
    ],
    unsupported: &[],
};

pub(super) static CALL: Schema = Schema {
    name: "google.api.expr.v1alpha1.Expr.Call",
    title: "",
    fields: &[
        read("target", "", "What stands before the point."),
        read("function", "", "The function; `_==_` and the like are operators. Required."),
        read("args", "[]", "Arguments."),
    ],
    unsupported: &[],
};

pub(super) static CREATE_LIST: Schema = Schema {
    name: "google.api.expr.v1alpha1.Expr.CreateList",
    title: "",
    fields: &[
        read("elements", "[]", "Elements."),
        refused("optional_indices", "there are no optional values"),
    ],
    unsupported: &[],
};

pub(super) static CREATE_STRUCT: Schema = Schema {
    name: "google.api.expr.v1alpha1.Expr.CreateStruct",
    title: "",
    fields: &[refused("message_name", "messages cannot be made here"), read("entries", "[]", "Entries.")],
    unsupported: &[],
};

pub(super) static ENTRY: Schema = Schema {
    name: "google.api.expr.v1alpha1.Expr.CreateStruct.Entry",
    title: "",
    fields: &[
        harmless("id", "nobody refers to it"),
        read("map_key", "", "The key. Required."),
        read("value", "", "The value. Required."),
        refused("field_key", "messages cannot be made here"),
        refused("optional_entry", "there are no optional values"),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 9] =
    [&CEL_EXPRESSION_CONFIG, &EXPR, &CONSTANT, &IDENT, &SELECT, &CALL, &CREATE_LIST, &CREATE_STRUCT, &ENTRY];

/// Deepest tree.
const DEEPEST: usize = 100;

/// Reads the `cel_config` of a message.
pub(super) fn read_cel_options(message: &Message<'_>) -> Options {
    let Some(config) = message.message("cel_config", &CEL_EXPRESSION_CONFIG) else {
        return Options::default();
    };
    Options {
        string_conversion: config.boolean("enable_string_conversion", false),
        string_concat: config.boolean("enable_string_concat", false),
        string_functions: config.boolean("enable_string_functions", false),
    }
}

/// Reads an expression.
pub(super) fn read_expression(value: &Value<'_>, options: Options) -> Option<Expression> {
    let text = value.string()?;
    match Expression::parse(&text, options) {
        Ok(expression) => Some(expression),
        Err(error) => {
            value.error_at(error.position, format!("no expression: {}", error.problem));
            None
        }
    }
}

/// Reads an expression that is a tree.
pub(super) fn read_expression_tree(value: &Value<'_>, options: Options) -> Option<Expression> {
    let text = read_tree(value, 0)?.to_string();
    match Expression::parse(&text, options) {
        Ok(expression) => Some(expression),
        Err(error) => {
            value.error(format!("no expression: {}, in {text}", error.problem));
            None
        }
    }
}

fn read_tree(value: &Value<'_>, depth: usize) -> Option<Tree> {
    if depth > DEEPEST {
        value.error(format!("nested more than {DEEPEST} deep"));
        return None;
    }
    let inner = |value: &Value<'_>| read_tree(value, depth + 1);
    let several = |values: Vec<Value<'_>>| values.iter().map(inner).collect::<Option<Vec<_>>>();
    let message = value.message(&EXPR)?;
    let kinds = &["const_expr", "ident_expr", "select_expr", "call_expr", "list_expr", "struct_expr"];
    let (kind, value) = message.required_one_of(kinds)?;
    Some(match kind {
        "const_expr" => read_constant(&value)?,
        "ident_expr" => Tree::Name(value.message(&IDENT)?.required("name")?.non_empty_string()?),
        "select_expr" => {
            let message = value.message(&SELECT)?;
            Tree::Select {
                of: Box::new(inner(&message.required("operand")?)?),
                field: message.required("field")?.non_empty_string()?,
                test_only: message.boolean("test_only", false),
            }
        }
        "call_expr" => {
            let message = value.message(&CALL)?;
            let target = match message.get("target") {
                Some(target) => Some(Box::new(inner(&target)?)),
                None => None,
            };
            let function = message.required("function")?.non_empty_string()?;
            Tree::Call { target, function, arguments: several(message.list("args"))? }
        }
        "list_expr" => Tree::List(several(value.message(&CREATE_LIST)?.list("elements"))?),
        _ => {
            let entry = |entry: &Value<'_>| {
                let message = entry.message(&ENTRY)?;
                Some((inner(&message.required("map_key")?)?, inner(&message.required("value")?)?))
            };
            Tree::Map(
                value.message(&CREATE_STRUCT)?.list("entries").iter().map(entry).collect::<Option<_>>()?,
            )
        }
    })
}

fn read_constant(value: &Value<'_>) -> Option<Tree> {
    let message = value.message(&CONSTANT)?;
    let kinds = &["bool_value", "int64_value", "uint64_value", "double_value", "string_value", "bytes_value"];
    let (kind, value) = message.required_one_of(kinds)?;
    Some(match kind {
        "bool_value" => Tree::Bool(value.boolean()?),
        "int64_value" => Tree::Int(value.integer(i64::MIN..=i64::MAX)?),
        "uint64_value" => Tree::Uint(u64::try_from(value.integer(0..=i64::MAX)?).ok()?),
        "double_value" => Tree::Double(value.number(f64::MIN..=f64::MAX)?),
        "string_value" => Tree::String(value.string()?),
        _ => Tree::Bytes(value.bytes()?),
    })
}
