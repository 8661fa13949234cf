//! What of a request rate limits look at.

use serde::Serialize;

use crate::{
    format::Format,
    header::FieldName,
    matching::{HeaderMatcher, QueryParameterMatcher},
    metadata::MetadataKey,
};

/// Makes one descriptor of a request: its entries, in order. If one of them cannot be made there is no descriptor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RateLimitPolicy {
    /// The filters with this number use it. Default 0.
    pub stage: u32,
    /// The entries.
    pub actions: Vec<RateLimitAction>,
    /// The limit, instead of that of the service.
    pub limit: Option<LimitOverride>,
    /// How much of the limit a request takes. Default 1, which is the service's business. As in Envoy it counts only for
    /// policies of filters.
    pub hits_addend: Option<HitsAddend>,
    /// Made when the request and its response are over; nobody waits for the answer. Default false.
    pub apply_on_stream_done: bool,
}

/// An entry of a descriptor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum RateLimitAction {
    /// `source_cluster`: the cluster of this gateway.
    SourceCluster,
    /// `destination_cluster`: where the request goes.
    DestinationCluster,
    /// The value of a header.
    RequestHeader {
        /// The header.
        name: FieldName,
        /// Key of the entry.
        key: String,
        /// Without the header there is no entry (true), or no descriptor.
        skip_if_absent: bool,
    },
    /// The value of a query parameter.
    QueryParameter {
        /// The parameter.
        name: String,
        /// Key of the entry.
        key: String,
        /// Without the parameter there is no entry (true), or no descriptor.
        skip_if_absent: bool,
    },
    /// `remote_address`: the client's address.
    RemoteAddress,
    /// `masked_remote_address`: the network of the client's address.
    MaskedRemoteAddress {
        /// Bits of it that count. Default 32.
        ipv4_bits: u8,
        /// The same for IPv6. Default 128.
        ipv6_bits: u8,
    },
    /// A text.
    GenericKey(EntryValue),
    /// A text, if headers match.
    HeaderValueMatch {
        /// The entry.
        entry: EntryValue,
        /// Whether they have to match, or must not.
        expect_match: bool,
        /// All of these.
        headers: Vec<HeaderMatcher>,
    },
    /// A text, if query parameters match.
    QueryParameterValueMatch {
        /// The entry.
        entry: EntryValue,
        /// Whether they have to match, or must not.
        expect_match: bool,
        /// All of these.
        parameters: Vec<QueryParameterMatcher>,
    },
    /// A string of metadata.
    Metadata {
        /// Key of the entry.
        key: String,
        /// Where it is.
        metadata_key: MetadataKey,
        /// The value if there is no string.
        default: String,
        /// Static metadata of the route instead of dynamic metadata.
        of_route: bool,
        /// Without a value there is no entry (true), or no descriptor.
        skip_if_absent: bool,
    },
}

/// Key and value of an entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntryValue {
    /// The key.
    pub key: String,
    /// The value, as it is written: operators do not count.
    pub value: String,
}

/// A limit that a descriptor brings along.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum LimitOverride {
    /// Dynamic metadata: an object with `requests_per_unit` and `unit`.
    Metadata(MetadataKey),
    /// This one.
    Fixed(Limit),
}

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// So many requests.
    pub requests_per_unit: u32,
    /// In such a time.
    pub unit: LimitUnit,
}

/// A time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum LimitUnit {
    /// Nobody says.
    Unknown,
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl LimitUnit {
    /// All of them, with their names and numbers in Envoy.
    pub const ALL: [(&'static str, i32, Self); 7] = [
        ("UNKNOWN", 0, Self::Unknown),
        ("SECOND", 1, Self::Second),
        ("MINUTE", 2, Self::Minute),
        ("HOUR", 3, Self::Hour),
        ("DAY", 4, Self::Day),
        ("MONTH", 5, Self::Month),
        ("YEAR", 6, Self::Year),
    ];

    /// The one of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, ..)| *known == name).map(|(.., unit)| *unit)
    }

    /// Its number in Envoy.
    #[must_use]
    pub fn number(self) -> i32 {
        Self::ALL.iter().find(|(.., unit)| *unit == self).map_or(0, |(_, number, _)| *number)
    }
}

/// How much of a limit a request takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum HitsAddend {
    /// So much.
    Number {
        /// So much.
        number: u64,
        /// It is given back.
        is_negative: bool,
    },
    /// The number that this becomes; without a number there is no descriptor.
    Format {
        /// The text.
        format: Format,
        /// It is given back.
        is_negative: bool,
    },
}

/// What a route says about rate limits.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RateLimits {
    /// Its own.
    pub policies: Vec<RateLimitPolicy>,
    /// Those of the virtual host, too. Default false: only where the route has none.
    pub include_virtual_host: bool,
}

impl RateLimits {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty() && !self.include_virtual_host
    }
}
