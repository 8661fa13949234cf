//! Dynamic metadata that travels with an exchange (section 14).

use extproc::{MetadataNamespaces, MetadataOptions};

use crate::protobuf::{Schema, Value, read};

pub(super) static METADATA_OPTIONS: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_proc.v3.MetadataOptions",
    title: "",
    fields: &[
        read("forwarding_namespaces", "{}", "Namespaces sent to the processor."),
        read("receiving_namespaces", "{}", "Namespaces accepted from the processor."),
        read(
            "cluster_metadata_forwarding_namespaces",
            "{}",
            "Namespaces of the chosen cluster's metadata sent to the processor.",
        ),
    ],
    unsupported: &[],
};

pub(super) static METADATA_NAMESPACES: Schema = Schema {
    name: "envoy.extensions.filters.http.ext_proc.v3.MetadataOptions.MetadataNamespaces",
    title: "",
    fields: &[
        read("untyped", "[]", "Namespaces of `filter_metadata`."),
        read("typed", "[]", "Namespaces of `typed_filter_metadata`."),
    ],
    unsupported: &[],
};

/// `MetadataOptions` as written: what is absent keeps what a less specific level says.
#[derive(Clone, Default)]
pub(in crate::envoy) struct MetadataOverrides {
    forwarding: Option<MetadataNamespaces>,
    receiving: Option<MetadataNamespaces>,
    cluster_forwarding: Option<MetadataNamespaces>,
}

impl MetadataOverrides {
    pub(super) fn into_options(self) -> MetadataOptions {
        let mut options = MetadataOptions::default();
        self.apply(&mut options);
        options
    }

    /// What two levels say together, `more` being the more specific one.
    pub(in crate::envoy) fn fold(self, more: Self) -> Self {
        Self {
            forwarding: more.forwarding.or(self.forwarding),
            receiving: more.receiving.or(self.receiving),
            cluster_forwarding: more.cluster_forwarding.or(self.cluster_forwarding),
        }
    }

    /// Replaces the lists that are given.
    pub(in crate::envoy) fn apply(self, options: &mut MetadataOptions) {
        let replace = |list: &mut MetadataNamespaces, with| {
            if let Some(with) = with {
                *list = with;
            }
        };
        replace(&mut options.forwarding_namespaces, self.forwarding);
        replace(&mut options.receiving_namespaces, self.receiving);
        replace(&mut options.cluster_metadata_forwarding_namespaces, self.cluster_forwarding);
    }
}

/// Reads `MetadataOptions`.
pub(in crate::envoy) fn read_metadata_options(value: &Value<'_>) -> Option<MetadataOverrides> {
    let message = value.message(&METADATA_OPTIONS)?;
    let namespaces = |name| {
        let namespaces = message.message(name, &METADATA_NAMESPACES)?;
        Some(MetadataNamespaces {
            untyped: namespaces.strings("untyped"),
            typed: namespaces.strings("typed"),
        })
    };
    Some(MetadataOverrides {
        forwarding: namespaces("forwarding_namespaces"),
        receiving: namespaces("receiving_namespaces"),
        cluster_forwarding: namespaces("cluster_metadata_forwarding_namespaces"),
    })
}
