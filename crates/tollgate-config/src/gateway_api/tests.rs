//! Every field that is listed is read.

use std::path::Path;

use crate::{Source, load, schema::coverage};

/// The inputs whose results are kept beside them.
#[test]
fn the_inputs_have_every_field() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway_api");
    for entry in std::fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let source = Source::read(&path).expect("the file");
            assert!(load(&[source]).snapshot.is_some(), "{}", path.display());
        }
    }
    // Objects of Kubernetes itself have tests of their own.
    let core = [
        "ConfigMap",
        "Endpoint",
        "EndpointAddress",
        "EndpointSlice",
        "EndpointSubset",
        "Endpoints",
        "Namespace",
        "Object",
        "ObjectMeta",
        "Secret",
        "ServicePort",
        "ServiceSpec",
    ];
    let own = |field: &String| !core.contains(&field.split('.').next().unwrap_or_default());
    let unread: Vec<String> = coverage::unread().into_iter().filter(own).collect();
    assert!(unread.is_empty(), "{unread:?}");
}
