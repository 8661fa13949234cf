//! What becomes of objects: each file of `gateway_api/`, and of `istio/` for Istio's own, with its snapshot in short, its statuses
//! and what is said about it.

mod support;

use std::path::Path;

#[test]
fn every_input_of_gateway_api_gives_what_was_seen() {
    golden("gateway_api", 40);
}

#[test]
fn every_input_of_istio_gives_what_was_seen() {
    golden("istio", 25);
}

/// All inputs of a folder, which has so many at least.
fn golden(name: &str, least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= least, "found {}", files.len());
    // On one line each, so that lines of diagnostics stay where they are.
    let made = rcgen::generate_simple_self_signed(vec!["web.example".to_owned()]).expect("a certificate");
    let quoted = |text: String| format!("{text:?}");
    let (certificate, key) = (quoted(made.cert.pem()), quoted(made.signing_key.serialize_pem()));
    for path in files {
        let input = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let text = std::fs::read_to_string(&path).expect("the file");
        let text = text.replace("CERTIFICATE", &certificate).replace("PRIVATE_KEY", &key);
        let seen = support::summary(&format!("{input}.yaml"), &text);
        insta::with_settings!({
            snapshot_path => name,
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(input, seen);
        });
    }
}
