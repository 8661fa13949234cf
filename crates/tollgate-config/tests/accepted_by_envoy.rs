//! What is accepted here is accepted by Envoy: the files that hold every field that works are validated by it, and so are
//! the inputs of the golden tests.

#[path = "support/template.rs"]
mod template;

use std::{env, fs, io, path::Path, path::PathBuf, process::Command};

use tollgate_config::{Files, Options, Source, load_with};

const FILES: [(&str, &str); 9] = [
    ("everything.yaml", include_str!("../src/envoy/tests/everything.yaml")),
    ("everything_filters.yaml", include_str!("../src/envoy/tests/everything_filters.yaml")),
    ("everything_beside.yaml", include_str!("../src/envoy/tests/everything_beside.yaml")),
    ("ai_router.yaml", include_str!("families/ai_router.yaml")),
    ("api_platform.yaml", include_str!("families/api_platform.yaml")),
    ("endpoint_picker.yaml", include_str!("families/endpoint_picker.yaml")),
    ("guardrail.yaml", include_str!("families/guardrail.yaml")),
    ("waf.yaml", include_str!("families/waf.yaml")),
    ("old_spellings.yaml", include_str!("../src/envoy/tests/old_spellings.yaml")),
];

/// Resources that configurations have in files of their own.
const OF_FILES: [(&str, &str); 5] = [
    ("cds.yaml", include_str!("../src/envoy/tests/files/cds.yaml")),
    ("eds.yaml", include_str!("../src/envoy/tests/files/eds.yaml")),
    ("lds.yaml", include_str!("../src/envoy/tests/files/lds.yaml")),
    ("rds.yaml", include_str!("../src/envoy/tests/files/rds.yaml")),
    ("sds.yaml", include_str!("../src/envoy/tests/files/sds.yaml")),
];

/// A filter that only Istio's build of Envoy has.
const OF_ISTIO: &str = r#"    filters:
    - name: exchange
      typed_config:
        "@type": type.googleapis.com/udpa.type.v1.TypedStruct
        type_url: type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange
        value: {protocol: istio-peer-exchange}
"#;

/// A directory that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = env::temp_dir().join(format!("tollgate-config-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory of our own");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
#[ignore = "needs Envoy: the variable ENVOY has to name its binary"]
fn every_field_that_works_works_in_envoy() {
    let envoy = env::var_os("ENVOY").expect("ENVOY names the binary of Envoy");
    let directory = Scratch::new();
    let certificate = rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap();
    let key = certificate.signing_key.serialize_pem();
    let write = |name: &str, text: &str| fs::write(directory.0.join(name), text).unwrap();
    write("certificate.pem", &certificate.cert.pem());
    write("ca.pem", &certificate.cert.pem());
    write("key.pem", &key);
    write("text.txt", "of a file");
    for (name, text) in OF_FILES {
        write(name, text);
    }
    let mut refused = Vec::new();
    let mut validate = |name: &str, text: &str| {
        write(name, text);
        let output = Command::new(&envoy)
            .args(["--mode", "validate", "--use-dynamic-base-id", "-l", "error", "-c", name])
            .current_dir(&directory.0)
            .env("PRIVATE_KEY", &key)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            refused.push(format!("{name}: {said}"));
        }
    };
    for (name, text) in FILES {
        // Envoy wants a key, which has no effect here.
        let text = text.replace("runtime_filter: {percent", "runtime_filter: {runtime_key: log, percent");
        validate(name, &text.replace(OF_ISTIO, ""));
    }
    let goldens = concat!(env!("CARGO_MANIFEST_DIR"), "/src/envoy/tests/goldens");
    let base = fs::read_to_string(format!("{goldens}/base.yaml")).unwrap();
    let mut accepted = 0;
    for entry in fs::read_dir(format!("{goldens}/inputs")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("version_3alpha") {
            // EN-40: Envoy has dropped those types.
            continue;
        }
        let text = template::fill(&base, &fs::read_to_string(&path).unwrap());
        let source = Source { path: "gateway.yaml".to_owned(), text: text.clone() };
        if load_with(&[source], &InDirectory(&directory.0), &Options::default()).snapshot.is_some() {
            validate(path.file_name().unwrap().to_str().unwrap(), &text);
            accepted += 1;
        }
    }
    assert!(accepted > 20, "{accepted} inputs are accepted");
    assert_eq!(refused, Vec::<String>::new());
}

/// Files of a directory.
struct InDirectory<'d>(&'d Path);

impl Files for InDirectory<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(path))
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
