//! Laws of writing, which the goldens of every dialect are held against.

use std::{io, path::Path};

use rustls::pki_types::CertificateDer;
use tollgate_ir::Resources;
use tollgate_model::tls::TrustAnchors;

use crate::{
    Files, Options, Severity, Source, Surroundings,
    diagnostic::Report,
    envoy::{self, SYSTEM_BUNDLE, pem},
    read_delivered, read_with, render,
    schema::wire::{decode, encode},
    write_bootstrap,
    yaml::{self, Content, Document, Node},
};

/// What is written is read as the same resources, as text and as bytes.
pub(crate) fn is_read_as_written(resources: &Resources, files: &dyn Files) {
    let files = WithBundle(files);
    let text = text(resources);
    are_equal(&read_again(&text, &files), resources, &text);
    are_equal(&read_from_bytes(&text, &files), resources, &text);
}

/// A bootstrap says the same when it is read from bytes.
pub(crate) fn is_read_alike_from_bytes(text: &str, resources: &Resources, files: &dyn Files) {
    are_equal(&read_from_bytes(text, files), resources, text);
}

/// The clusters and listeners of a bootstrap that is accepted are accepted by themselves, too.
pub(crate) fn resources_are_accepted_by_themselves(text: &str, files: &dyn Files) {
    let document = yaml::parse(text, &Report::new("text")).remove(0);
    let types =
        [("clusters", "envoy.config.cluster.v3.Cluster"), ("listeners", "envoy.config.listener.v3.Listener")];
    let resources = members(&document, "static_resources");
    for (list, type_name) in types {
        for resource in resources.iter().flat_map(|resources| members(resources, list)) {
            let Content::Sequence(items) = &resource.content else { continue };
            for item in items {
                let bytes = encode(type_name, item).unwrap();
                let delivered = read_delivered(
                    type_name,
                    "name",
                    &bytes,
                    &Surroundings::default(),
                    files,
                    &Options::default(),
                );
                assert_eq!(delivered.refusal(), None, "{type_name} in {text}");
            }
        }
    }
}

fn members<'n>(node: &'n Node, name: &str) -> Vec<&'n Node> {
    let Content::Mapping(entries) = &node.content else { return Vec::new() };
    entries.iter().filter(|entry| entry.key == name).map(|entry| &entry.value).collect()
}

fn are_equal(again: &Resources, resources: &Resources, text: &str) {
    if again != resources {
        let (one, other) = (format!("{again:#?}"), format!("{resources:#?}"));
        let different = one.lines().zip(other.lines()).filter(|(one, other)| one != other);
        // Places and moments do not count.
        let counts =
            |line: &str| !["line:", "file:", "tv_sec:", "tv_nsec:"].iter().any(|part| line.contains(part));
        let different: Vec<_> = different.filter(|(one, _)| counts(one)).take(10).collect();
        panic!("{different:#?}\nin {text}");
    }
}

/// The resources of a bootstrap that is made bytes of, and a tree of these.
fn read_from_bytes(text: &str, files: &dyn Files) -> Resources {
    const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";
    let report = Report::new("bytes");
    let written = yaml::parse(text, &report);
    let bytes = encode(BOOTSTRAP, &written[0]).unwrap_or_else(|problem| panic!("{problem:?}\nin {text}"));
    let node = decode(BOOTSTRAP, &bytes, &report);
    let mut said = Vec::new();
    let resources = node.map(|node| {
        let document = Document { file: "bytes".into(), node };
        let (envoy::Bootstrap { resources, .. }, of_reading) =
            envoy::load(&document, files, &Options::default());
        said.extend(of_reading);
        resources
    });
    said.extend(report.finish());
    said.retain(|one| one.severity == Severity::Error);
    assert!(said.is_empty(), "{said:#?}\nin {text}");
    resources.unwrap()
}

/// What is written is written in the same way when it is read again: the first writing left nothing out that it did not
/// have to.
pub(crate) fn is_written_once_and_for_all(resources: &Resources, files: &dyn Files) {
    let written = text(resources);
    let again = read_again(&written, &WithBundle(files));
    assert_eq!(text(&again), written);
}

fn text(resources: &Resources) -> String {
    serde_json::to_string_pretty(&write_bootstrap(resources).bootstrap).unwrap()
}

fn read_again(text: &str, files: &dyn Files) -> Resources {
    let sources = [Source { path: "written.json".to_owned(), text: text.to_owned() }];
    let reading = read_with(&sources, files, &Options::default());
    let said = || {
        let said: Vec<String> = reading.diagnostics.iter().map(|one| render(one, &sources)).collect();
        said.join("\n")
    };
    reading.resources.clone().unwrap_or_else(|| panic!("{}", said()))
}

/// Files with the certificates of the system where they usually are.
struct WithBundle<'f>(&'f dyn Files);

impl Files for WithBundle<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path != Path::new(SYSTEM_BUNDLE) {
            return self.0.read(path);
        }
        let trusted = TrustAnchors::from_usable(self.0.system_roots()).map_err(io::Error::other)?;
        let texts = trusted.certificates().iter().map(|certificate| pem(certificate.as_ref()));
        Ok(texts.collect::<String>().into_bytes())
    }

    fn environment_variable(&self, name: &str) -> Option<String> {
        self.0.environment_variable(name)
    }

    fn system_roots(&self) -> Vec<CertificateDer<'static>> {
        self.0.system_roots()
    }

    fn has_address(&self, address: std::net::IpAddr) -> bool {
        self.0.has_address(address)
    }
}
