//! ReferenceGrant (9.8).

use crate::schema::{Schema, Value, read};

/// Opens objects of its own namespace to references from others.
#[derive(Debug)]
pub(crate) struct ReferenceGrant {
    /// Who may refer.
    pub(crate) from: Vec<GrantFrom>,
    /// To what.
    pub(crate) to: Vec<GrantTo>,
}

/// Who may refer.
#[derive(Debug)]
pub(crate) struct GrantFrom {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
}

/// What may be referred to.
#[derive(Debug)]
pub(crate) struct GrantTo {
    pub(crate) group: String,
    pub(crate) kind: String,
    /// `None` = all objects of the kind.
    pub(crate) name: Option<String>,
}

static SPEC: Schema = Schema {
    name: "ReferenceGrantSpec",
    title: "",
    fields: &[
        read("from", "", "Who may refer, 1 to 16. Required."),
        read("to", "", "To what, 1 to 16. Required."),
    ],
    unsupported: &[],
};

static FROM: Schema = Schema {
    name: "ReferenceGrantFrom",
    title: "",
    fields: &[
        read("group", "", "API group of the referrer; empty = core. Required."),
        read("kind", "", "Kind of the referrer. Required."),
        read("namespace", "", "Namespace of the referrer. Required."),
    ],
    unsupported: &[],
};

static TO: Schema = Schema {
    name: "ReferenceGrantTo",
    title: "",
    fields: &[
        read("group", "", "API group of the target; empty = core. Required."),
        read("kind", "", "Kind of the target. Required."),
        read("name", "every object of the kind", "Name of the target."),
    ],
    unsupported: &[],
};

pub(super) fn read_reference_grant(value: &Value<'_>) -> Option<ReferenceGrant> {
    let spec = value.message(&SPEC)?;
    let entries = |name| {
        let value = spec.required(name)?;
        let entries = value.list();
        if !(1..=16).contains(&entries.len()) {
            value.error(format!("must have 1 to 16 entries, found {}", entries.len()));
        }
        Some(entries)
    };
    let (from, to) = (entries("from")?, entries("to")?);
    let from = from.iter().filter_map(|entry| {
        let message = entry.message(&FROM)?;
        Some(GrantFrom {
            group: message.required("group")?.string()?,
            kind: message.required_string("kind"),
            namespace: message.required_string("namespace"),
        })
    });
    let to = to.iter().filter_map(|entry| {
        let message = entry.message(&TO)?;
        Some(GrantTo {
            group: message.required("group")?.string()?,
            kind: message.required_string("kind"),
            name: Some(message.string("name")).filter(|name| !name.is_empty()),
        })
    });
    Some(ReferenceGrant { from: from.collect(), to: to.collect() })
}
