//! Any bytes as a bootstrap in protobuf's wire format: never a panic, never long, and what is read of them is a configuration as
//! good as one in a file.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "support/load.rs"]
mod load;

fuzz_target!(|bytes: &[u8]| {
    match tollgate_config::text_of_bootstrap(bytes) {
        // A few bytes can stand for many values.
        Ok(text) if text.len() <= 1 << 18 => load::load(&text),
        Ok(_) => {}
        Err(reason) => assert!(!reason.is_empty()),
    }
});
