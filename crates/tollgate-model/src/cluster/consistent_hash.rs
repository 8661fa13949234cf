//! Endpoints that are chosen by a hash of the request.

use serde::Serialize;

/// Endpoints have places on a ring of numbers; a request goes to the first place from its own number on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RingHash {
    /// Places at least, 1 or more. Default 1024.
    pub minimum_ring_size: u64,
    /// Places at most, at least as many. Default 8 Mi.
    pub maximum_ring_size: u64,
    /// Default xxHash.
    pub hash_function: HashFunction,
    /// What endpoints are known by.
    pub key: HashKey,
    /// No endpoint has more than so many hundredths of its share of the requests in progress; others take what is more. 100
    /// or more. Default `None`: the hash alone decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance_factor: Option<u32>,
}

impl RingHash {
    /// The most places that Envoy takes.
    pub const MOST: u64 = 8 * 1024 * 1024;
}

impl Default for RingHash {
    fn default() -> Self {
        Self {
            minimum_ring_size: 1024,
            maximum_ring_size: Self::MOST,
            hash_function: HashFunction::XxHash,
            key: HashKey::Address,
            balance_factor: None,
        }
    }
}

/// Where the places of a ring are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HashFunction {
    /// xxHash, 64 bits.
    XxHash,
    /// MurmurHash2, 64 bits, as the C++ library of GNU has it.
    MurmurHash2,
}

/// Endpoints have places in a table; a request goes to the place that is its number modulo the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Maglev {
    /// Places: a prime number. Default 65537.
    pub table_size: u32,
    /// What endpoints are known by.
    pub key: HashKey,
    /// No endpoint has more than so many hundredths of its share of the requests in progress; others take what is more. 100
    /// or more. Default `None`: the hash alone decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance_factor: Option<u32>,
}

impl Maglev {
    /// The most places that Envoy takes.
    pub const MOST: u32 = 5_000_011;
}

impl Default for Maglev {
    fn default() -> Self {
        Self { table_size: 65537, key: HashKey::Address, balance_factor: None }
    }
}

/// What of an endpoint is hashed, unless its metadata have a `hash_key` in the namespace `envoy.lb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HashKey {
    /// Its address and port.
    Address,
    /// Its host name.
    Hostname,
}
