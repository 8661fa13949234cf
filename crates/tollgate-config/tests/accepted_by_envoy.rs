//! What is accepted here is accepted by Envoy: the files that hold every field that works are validated by it.

use std::{env, fs, path::PathBuf, process::Command};

const FILES: [(&str, &str); 2] = [
    ("everything.yaml", include_str!("../src/envoy/tests/everything.yaml")),
    ("old_spellings.yaml", include_str!("../src/envoy/tests/old_spellings.yaml")),
];

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
    for (name, text) in FILES {
        write(name, text);
        let output = Command::new(&envoy)
            .args(["--mode", "validate", "--use-dynamic-base-id", "-l", "error", "-c", name])
            .current_dir(&directory.0)
            .env("PRIVATE_KEY", &key)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
    }
}
