//! Laws of writing, which the goldens of every dialect are held against.

use std::{io, path::Path};

use rustls::pki_types::CertificateDer;
use tollgate_ir::Resources;
use tollgate_model::tls::TrustAnchors;

use crate::{
    Files, Options, Source,
    envoy::{SYSTEM_BUNDLE, pem},
    read_with, render, write_bootstrap,
};

/// What is written is read as the same resources.
pub(crate) fn is_read_as_written(resources: &Resources, files: &dyn Files) {
    let again = read_again(resources, files);
    if again != *resources {
        let (one, other) = (format!("{again:#?}"), format!("{resources:#?}"));
        let different = one.lines().zip(other.lines()).filter(|(one, other)| one != other);
        let different: Vec<_> = different.filter(|(one, _)| !one.contains("line:")).take(10).collect();
        panic!("{different:#?}\nin {}", text(resources));
    }
}

/// What is written is written in the same way when it is read again: the first writing left nothing out that it did not
/// have to.
pub(crate) fn is_written_once_and_for_all(resources: &Resources, files: &dyn Files) {
    let again = read_again(resources, files);
    assert_eq!(text(&again), text(resources));
}

fn text(resources: &Resources) -> String {
    serde_json::to_string_pretty(&write_bootstrap(resources).bootstrap).unwrap()
}

fn read_again(resources: &Resources, files: &dyn Files) -> Resources {
    let sources = [Source { path: "written.json".to_owned(), text: text(resources) }];
    let reading = read_with(&sources, &WithBundle(files), &Options::default());
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
