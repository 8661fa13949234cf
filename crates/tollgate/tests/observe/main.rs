//! What a gateway says about what goes wrong, in its log and in its metrics.

use tollgate_testing as support;

mod connections;
mod counted;
mod logged;
mod peers;
mod said;
mod world;
