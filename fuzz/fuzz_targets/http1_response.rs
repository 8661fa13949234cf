//! Bytes of an upstream that speaks HTTP/1.1, cut anywhere, and what of them a client would see.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The first byte says what was asked, and how many of the following ones say where the connection is cut.
fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let (cuts, bytes) = rest.split_at(rest.len().min(usize::from(first / 4 % 8)));
    tollgate_proxy::fuzzing_http1::response(bytes, cuts, *first);
});
