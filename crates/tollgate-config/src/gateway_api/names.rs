//! Names that Gateway API validates (1.3).

use std::collections::HashSet;

use http::HeaderName;

use crate::schema::{Message, Schema, Value};

/// A host name, which may begin with `*.`.
pub(super) fn hostname(value: &Value<'_>) -> Option<String> {
    let name = value.non_empty_string()?;
    check(value, name.strip_prefix("*.").unwrap_or(&name))?;
    Some(name.to_ascii_lowercase())
}

/// A host name without a star.
pub(super) fn precise_hostname(value: &Value<'_>) -> Option<String> {
    let name = value.non_empty_string()?;
    check(value, &name)?;
    Some(name.to_ascii_lowercase())
}

fn check(value: &Value<'_>, name: &str) -> Option<()> {
    let label = |label: &str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        letters && !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    };
    let problem = if name.parse::<std::net::IpAddr>().is_ok() {
        "an IP address is no host name"
    } else if name.len() > 253 || !name.split('.').all(label) {
        "not a host name: labels of letters, digits and '-', joined by '.', without a port"
    } else {
        return Some(());
    };
    value.error(problem);
    None
}

/// The name of a header field that rules may match or change.
pub(super) fn header_name(message: &Message<'_>) -> Option<HeaderName> {
    read_header_name(&message.required("name")?)
}

/// A header name as a value of its own.
pub(super) fn read_header_name(value: &Value<'_>) -> Option<HeaderName> {
    let text = value.non_empty_string()?;
    let name = HeaderName::from_bytes(text.as_bytes()).ok().filter(|_| text.len() <= 256);
    if name.is_none() {
        value.error(format!("\"{text}\" is not a header name"));
    }
    name
}

/// An optional text; an empty one counts as absent.
pub(super) fn optional(message: &Message<'_>, name: &'static str) -> Option<String> {
    Some(message.string(name)).filter(|text| !text.is_empty())
}

/// A list that may have so many entries and no more.
pub(super) fn bounded<'a>(message: &Message<'a>, name: &'static str, most: usize) -> Vec<Value<'a>> {
    let Some(value) = message.get(name) else { return Vec::new() };
    let entries = value.list();
    if entries.len() > most {
        value.error(format!("must have at most {most} entries, found {}", entries.len()));
    }
    entries
}

/// The entries of a list that have to have different values of `name`, in a message of this form.
pub(super) fn unique_names(values: &[Value<'_>], schema: &'static Schema) {
    let mut seen = HashSet::new();
    for value in values {
        let name = value.message(schema).map(|message| message.string("name")).unwrap_or_default();
        if !name.is_empty() && !seen.insert(name.clone()) {
            value.error(format!("the name \"{name}\" is given twice"));
        }
    }
}

/// An optional text by a pattern of Kubernetes; what does not follow it is reported.
pub(super) fn checked(
    message: &Message<'_>,
    name: &'static str,
    follows: fn(&str) -> bool,
    form: &str,
) -> Option<String> {
    let value = message.get(name)?;
    let text = value.string().filter(|text| !text.is_empty())?;
    if !follows(&text) {
        value.error(format!("\"{text}\" is not {form}"));
    }
    Some(text)
}

/// Labels of lower-case letters, digits and `-`, joined by `.`: groups and names of sections.
pub(super) fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(inside) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// A kind: letters, digits and `-`, with a letter first.
pub(super) fn is_kind(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    text.len() <= 63
        && text.bytes().all(inside)
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && !text.ends_with('-')
}

#[cfg(test)]
pub(super) mod tests {
    use crate::{
        Files, Options,
        diagnostic::Report,
        schema::{Context, Notation, Value},
        yaml,
    };

    struct NoFiles;

    impl Files for NoFiles {
        fn read(&self, _: &std::path::Path) -> std::io::Result<Vec<u8>> {
            Err(std::io::ErrorKind::NotFound.into())
        }

        fn environment_variable(&self, _: &str) -> Option<String> {
            None
        }

        fn system_roots(&self) -> Vec<rustls::pki_types::CertificateDer<'static>> {
            Vec::new()
        }

        fn has_address(&self, _: std::net::IpAddr) -> bool {
            true
        }
    }

    /// Reads a text as a value of a Kubernetes object, and what is said about it.
    pub(in crate::gateway_api) fn reading<T>(
        text: &str,
        read: impl FnOnce(&Value<'_>) -> T,
    ) -> (T, Vec<String>) {
        let report = Report::new("test.yaml");
        let documents = yaml::parse(text, &report);
        let options = Options::default();
        let context =
            Context { report: &report, files: &NoFiles, options: &options, notation: Notation::Kubernetes };
        let found = read(&Value::root(context, &documents[0]));
        (
            found,
            report
                .finish()
                .into_iter()
                .map(|said| format!("{}: {}", said.place.path(), said.message))
                .collect(),
        )
    }

    #[test]
    fn host_names_are_neither_addresses_nor_have_they_ports() {
        for good in ["example.com", "*.example.com", "a", "A-1.b"] {
            assert!(reading(&format!("'{good}'"), super::hostname).0.is_some(), "{good}");
        }
        for wrong in ["1.2.3.4", "a:80", "*", "a..b", "-a", "a.*.b", "a_b", ""] {
            let (found, said) = reading(&format!("'{wrong}'"), super::hostname);
            assert!(found.is_none() && said.len() == 1, "{wrong}");
        }
        assert!(reading("'*.example.com'", super::precise_hostname).0.is_none());
    }

    #[test]
    fn sections_and_kinds_have_forms() {
        for (text, subdomain, kind) in [
            ("http", true, true),
            ("a.b-c", true, false),
            ("Backend", false, true),
            ("a_b", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("1a", true, false),
            ("a..b", false, false),
        ] {
            assert_eq!((super::is_subdomain(text), super::is_kind(text)), (subdomain, kind), "{text}");
        }
    }
}
