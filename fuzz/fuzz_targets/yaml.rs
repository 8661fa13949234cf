//! Any text as a configuration: never a panic, and never long.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "support/load.rs"]
mod load;

fuzz_target!(|text: &str| load::load(text));
