//! What is written for Envoy is accepted by Envoy: the inputs of all golden tests, of every dialect, become bootstraps that it
//! validates.

#[path = "support/template.rs"]
mod template;

use std::{env, fs, io, path::Path, path::PathBuf, process::Command};

use rustls::pki_types::CertificateDer;
use tollgate_config::{Files, Options, Source, Written, read_with, write_bootstrap};

/// Folders of inputs, and what is read before each of them.
const OBJECTS: [(&str, Option<&str>); 6] = [
    ("src/envoy_gateway/tests/inputs", Some("src/envoy_gateway/tests/base.yaml")),
    ("src/kgateway/tests/inputs", Some("src/kgateway/tests/base.yaml")),
    ("src/htnn/tests/inputs", Some("src/htnn/tests/base.yaml")),
    ("src/translation/tests/inputs", None),
    ("tests/gateway_api", None),
    ("tests/istio", None),
];

/// Resources that configurations have in files of their own.
const OF_FILES: [(&str, &str); 5] = [
    ("cds.yaml", include_str!("../src/envoy/tests/files/cds.yaml")),
    ("eds.yaml", include_str!("../src/envoy/tests/files/eds.yaml")),
    ("lds.yaml", include_str!("../src/envoy/tests/files/lds.yaml")),
    ("rds.yaml", include_str!("../src/envoy/tests/files/rds.yaml")),
    ("sds.yaml", include_str!("../src/envoy/tests/files/sds.yaml")),
];

/// The files that inputs name, in a directory that is removed in the end.
struct World {
    directory: PathBuf,
    certificate: String,
    key: String,
    root: CertificateDer<'static>,
}

impl World {
    fn new() -> Self {
        let directory = env::temp_dir().join(format!("tollgate-converted-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory of our own");
        let made = rcgen::generate_simple_self_signed(["web.example".to_owned()]).expect("a certificate");
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        for (name, text) in [
            ("certificate.pem", &*certificate),
            ("ca.pem", &certificate),
            ("key.pem", &key),
            ("text.txt", "of a file"),
        ]
        .into_iter()
        .chain(OF_FILES)
        {
            fs::write(directory.join(name), text).expect("a file");
        }
        Self { directory, certificate, key, root: made.cert.der().clone() }
    }

    /// The bootstrap that texts become, if they become anything.
    fn convert(&self, texts: &[String]) -> Option<Written> {
        let strict = texts.last().is_some_and(|text| text.starts_with("# strict"));
        let options = Options { strict, ..Options::default() };
        let sources = texts.iter().enumerate();
        let sources: Vec<Source> = sources
            .map(|(index, text)| Source { path: format!("{index}.yaml"), text: text.clone() })
            .collect();
        let resources = read_with(&sources, self, &options).resources?;
        Some(write_bootstrap(&resources))
    }

    /// What Envoy says against a bootstrap.
    fn validate(&self, envoy: &Path, name: &str, extension: &str, content: &[u8]) -> Option<String> {
        let file = format!("{}.{extension}", name.replace('/', "_"));
        fs::write(self.directory.join(&file), content).expect("a file");
        let output = Command::new(envoy)
            .args(["--mode", "validate", "--use-dynamic-base-id", "-l", "error", "-c", &file])
            .current_dir(&self.directory)
            .env("PRIVATE_KEY", &self.key)
            .output()
            .expect("Envoy runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (!output.status.success()).then_some(said)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Files for World {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(self.directory.join(path))
    }

    fn environment_variable(&self, name: &str) -> Option<String> {
        (name == "PRIVATE_KEY").then(|| self.key.clone())
    }

    fn system_roots(&self) -> Vec<CertificateDer<'static>> {
        vec![self.root.clone()]
    }

    fn has_address(&self, _: std::net::IpAddr) -> bool {
        true
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn yaml_files(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(name)).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

/// Every input that becomes something, and the bootstrap that it becomes.
fn converted(world: &World) -> Vec<(String, Written)> {
    let read = |path: &Path| {
        let quoted = |text: &str| format!("{text:?}");
        let text = fs::read_to_string(path).expect("a file");
        match path.starts_with(folder("tests")) {
            true => text
                .replace("CERTIFICATE", &quoted(&world.certificate))
                .replace("PRIVATE_KEY", &quoted(&world.key)),
            false => text,
        }
    };
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for (name, base) in OBJECTS {
        for path in yaml_files(name) {
            let texts = base.map(|base| read(&folder(base))).into_iter().chain([read(&path)]);
            all.push((path.display().to_string(), texts.collect()));
        }
    }
    let goldens = "src/envoy/tests/goldens";
    let base = read(&folder(goldens).join("base.yaml"));
    for path in yaml_files(&format!("{goldens}/inputs")) {
        all.push((path.display().to_string(), vec![template::fill(&base, &read(&path))]));
    }
    for name in ["everything.yaml", "old_spellings.yaml"] {
        all.push((name.to_owned(), vec![read(&folder("src/envoy/tests").join(name))]));
    }
    let root = folder("");
    all.into_iter()
        .filter_map(|(name, texts)| {
            let name = name.strip_prefix(&*root.display().to_string()).unwrap_or(&name).to_owned();
            Some((name, world.convert(&texts)?))
        })
        .collect()
}

#[test]
#[ignore = "needs Envoy: the variable ENVOY has to name its binary"]
fn what_is_converted_is_accepted_by_envoy() {
    let envoy = PathBuf::from(env::var_os("ENVOY").expect("ENVOY names the binary of Envoy"));
    let world = World::new();
    let all = converted(&world);
    assert!(all.len() > 300, "{} inputs become something", all.len());
    let mut refused = Vec::new();
    for (name, written) in &all {
        let text = serde_json::to_vec_pretty(&written.bootstrap).expect("text");
        let mut said = world.validate(&envoy, name, "yaml", &text);
        // Bytes say the same; some of everything is enough to see that they are protobuf.
        if said.is_none() && name.starts_with("src/envoy/") {
            said = world.validate(&envoy, name, "pb", &written.to_protobuf().expect("bytes"));
        }
        refused.extend(said.map(|said| format!("{name}: {said}")));
    }
    assert!(refused.is_empty(), "{} of {}:\n{}", refused.len(), all.len(), refused.join("\n"));
}
