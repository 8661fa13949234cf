//! JSON Web Tokens and the key sets that they are verified with, without I/O.
//!
//! What is wrong with a token or a key set is a [`Fault`], with the text and the number that Envoy has for it.

mod fault;
mod jwks;
mod token;

pub use self::{fault::Fault, jwks::Jwks, token::Token};
