//! What pools mean: for each input the processors of every route, the clusters, the statuses and what is said.

use crate::{Options, Source, files::FileSystem, golden::translate_with_base, load_with, schema::coverage};

/// Translates what a file adds to the base.
fn golden(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "tests/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, translate_with_base(include_str!("tests/base.yaml"), text));
    });
}

macro_rules! golden {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            golden(stringify!($name), include_str!(concat!("tests/inputs/", stringify!($name), ".yaml")));
        }
    )*};
}

golden! {
    pool,
    pool_of_the_old_group,
    pools_by_weight,
    pool_that_is_missing,
    picker_that_is_missing,
    picker_that_may_be_missing,
    picker_with_tls,
    mistakes,
}

#[test]
fn every_field_that_is_listed_is_read() {
    let inputs =
        [include_str!("tests/inputs/pool.yaml"), include_str!("tests/inputs/pool_of_the_old_group.yaml")];
    let text = format!("{}---\n{}", include_str!("tests/base.yaml"), inputs.join("---\n"));
    let source = Source { path: "everything.yaml".to_owned(), text };
    assert!(load_with(&[source], &FileSystem, &Options::default()).snapshot.is_some());
    let own = ["InferencePool", "EndpointPickerRef", "v1alpha2", "PodStatus", "PodCondition"];
    let own = |field: &String| own.iter().any(|name| field.starts_with(name));
    assert_eq!(coverage::unread().into_iter().filter(own).collect::<Vec<_>>(), [""; 0]);
}
