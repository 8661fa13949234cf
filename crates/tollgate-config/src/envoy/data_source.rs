//! `DataSource`: content given in place or by reference.

use std::path::Path;

use tollgate_model::tls::TextSource;

use crate::schema::{Schema, Value, harmless, read};

pub(super) static DATA_SOURCE: Schema = Schema {
    name: "envoy.config.core.v3.DataSource",
    title: "",
    fields: &[
        read("filename", "", "A file, read again when it changes. One of the four is required."),
        read("inline_bytes", "", "Base64."),
        read("inline_string", "", "A text."),
        read("environment_variable", "", "The value of a variable, which has to be set."),
        harmless("watched_directory", "files are watched wherever they are"),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 1] = [&DATA_SOURCE];

/// Reads a `DataSource` and what it refers to.
pub(super) fn read_data_source(value: &Value<'_>) -> Option<Vec<u8>> {
    read_text(value).map(|(content, _)| content)
}

/// The same, and where the content was found.
pub(super) fn read_text(value: &Value<'_>) -> Option<(Vec<u8>, TextSource)> {
    let message = value.message(&DATA_SOURCE)?;
    let (kind, source) =
        message.required_one_of(&["filename", "inline_bytes", "inline_string", "environment_variable"])?;
    match kind {
        "filename" => {
            let name = source.non_empty_string()?;
            match source.context.files.read(Path::new(&name)) {
                Ok(content) => Some((content, TextSource::File(name.into()))),
                Err(error) => {
                    source.error(format!("the file \"{name}\" cannot be read: {error}"));
                    None
                }
            }
        }
        "inline_bytes" => source.bytes().map(inline),
        "inline_string" => source.string().map(String::into_bytes).map(inline),
        _ => {
            let name = source.non_empty_string()?;
            let content = source.context.files.environment_variable(&name);
            if content.is_none() {
                source.error(format!("the environment variable \"{name}\" is not set"));
            }
            Some((content?.into_bytes(), TextSource::Environment(name)))
        }
    }
}

fn inline(content: Vec<u8>) -> (Vec<u8>, TextSource) {
    let source = TextSource::Inline(content.as_slice().into());
    (content, source)
}
