//! The worked example of the dialect (5.10).

use super::*;

const TEXT: &str = include_str!("worked_example.yaml");

#[test]
fn it_becomes_a_snapshot() {
    insta::assert_snapshot!(json(TEXT));
}

#[test]
fn the_old_type_name_gives_one_diagnostic() {
    // EN-41
    insta::assert_snapshot!(diagnostics(TEXT));
}
