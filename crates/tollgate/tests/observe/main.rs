//! What a gateway says about what goes wrong, in its log and in its metrics.

#[path = "../support/mod.rs"]
mod support;

mod connections;
mod counted;
mod logged;
mod peers;
mod said;
mod world;
