//! Objects whose content nobody looks at.

use crate::schema::{Schema, bookkeeping, read};

pub(super) static OBJECT: Schema = Schema {
    name: "KgatewayObject",
    title: "",
    fields: &[
        read("apiVersion", "", "API group and version. Required."),
        read("kind", "", "What it is. Required."),
        read("metadata", "", "Names it. Required."),
        bookkeeping("spec"),
        bookkeeping("status"),
    ],
    unsupported: &[],
};
