//! Bytes of a client of HTTP/1.1, cut anywhere, and what of them an upstream would see.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The first byte says how many of the following ones say where the connection is cut.
fuzz_target!(|input: &[u8]| {
    let Some((count, rest)) = input.split_first() else { return };
    let (cuts, bytes) = rest.split_at(rest.len().min(usize::from(count % 8)));
    tollgate_proxy::fuzzing_http1::request(bytes, cuts);
});
