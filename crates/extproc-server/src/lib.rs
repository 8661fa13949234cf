//! Write an ext_proc processor in Rust.
