//! The filter `buffer`.

use tollgate_ir::{FilterConfig, Override};
use tollgate_model::filter::{Buffer, FilterSettings};

use super::kinds::{Kind, PerRoute};
use crate::{
    envoy::Scope,
    schema::{Schema, Value, read},
};

pub(in crate::envoy) static BUFFER: Schema = Schema {
    name: "envoy.extensions.filters.http.buffer.v3.Buffer",
    title: "",
    fields: &[read(
        "max_request_bytes",
        "",
        "Largest body that is collected; a larger one is refused (413). Required.",
    )],
    unsupported: &[],
};

pub(in crate::envoy) static BUFFER_PER_ROUTE: Schema = Schema {
    name: "envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
    title: "",
    fields: &[
        read("disabled", "", "true turns the filter off. This or buffer is required."),
        read("buffer", "", "Another limit here."),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 2] = [&BUFFER, &BUFFER_PER_ROUTE];

pub(super) const KIND: Kind = Kind {
    settings: &BUFFER,
    read: |value, _: &Scope| read_buffer(value).map(FilterConfig::Settings),
    per_route: Some(PerRoute { settings: &BUFFER_PER_ROUTE, read: read_per_route }),
    upstream: true,
};

fn read_buffer(value: &Value<'_>) -> Option<FilterSettings> {
    let most = value.message(&BUFFER)?.required("max_request_bytes")?.integer(1..=i64::from(u32::MAX))?;
    Some(FilterSettings::Buffer(Buffer { max_request_bytes: usize::try_from(most).ok()? }))
}

fn read_per_route(value: &Value<'_>, _scope: &Scope) -> Option<Override> {
    let message = value.message(&BUFFER_PER_ROUTE)?;
    let (kind, said) = message.required_one_of(&["disabled", "buffer"])?;
    if kind == "buffer" {
        return read_buffer(&said).map(Override::Settings);
    }
    if !said.boolean()? {
        said.error_with_help("must be true", "buffer sets another limit");
    }
    Some(Override::Disabled)
}
