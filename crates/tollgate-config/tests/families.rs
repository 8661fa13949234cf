//! Configurations as people have them around processors, one of each family: what they hold is taken, with few words.

use std::{collections::BTreeMap, io, net::IpAddr, path::Path};

use rustls::pki_types::CertificateDer;
use tollgate_config::{Files, Options, Severity, Source, load_with};

const FAMILIES: [(&str, &str); 5] = [
    ("ai_router", include_str!("families/ai_router.yaml")),
    ("api_platform", include_str!("families/api_platform.yaml")),
    ("endpoint_picker", include_str!("families/endpoint_picker.yaml")),
    ("guardrail", include_str!("families/guardrail.yaml")),
    ("waf", include_str!("families/waf.yaml")),
];

/// No other files, and every address is one of this machine.
struct Alone;

impl Files for Alone {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Err(io::Error::other(format!("{} is asked for", path.display())))
    }

    fn environment_variable(&self, _: &str) -> Option<String> {
        None
    }

    fn system_roots(&self) -> Vec<CertificateDer<'static>> {
        Vec::new()
    }

    fn has_address(&self, _: IpAddr) -> bool {
        true
    }
}

#[test]
fn every_family_is_taken_as_it_is() {
    let mut said = BTreeMap::new();
    for (name, text) in FAMILIES {
        let source = Source { path: format!("{name}.yaml"), text: text.to_owned() };
        let outcome = load_with(&[source], &Alone, &Options::default());
        let words: Vec<String> = outcome
            .diagnostics
            .iter()
            .map(|one| {
                let kind = match one.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                    Severity::Info => "note",
                };
                format!("{kind}: {}", one.message)
            })
            .collect();
        assert!(outcome.snapshot.is_some(), "{name}: {words:#?}");
        said.insert(name, words);
    }
    let not_verified = "warning: the server's certificate is not verified";
    let no_runtime = "warning: \"runtime_key\" is not implemented";
    let expected: BTreeMap<&str, Vec<String>> = [
        ("ai_router", vec![]),
        ("api_platform", vec![not_verified, "note: \"stats_config\" has no effect"]),
        ("endpoint_picker", vec!["warning: \"access_log\" is not implemented", not_verified]),
        ("guardrail", vec![no_runtime]),
        (
            "waf",
            vec![
                no_runtime,
                "note: \"drain_type\" has no effect",
                "note: \"ignore_health_on_host_removal\" has no effect",
            ],
        ),
    ]
    .into_iter()
    .map(|(name, words)| {
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        words.sort();
        (name, words)
    })
    .collect();
    said.values_mut().for_each(|words| words.sort());
    assert_eq!(said, expected);
}
