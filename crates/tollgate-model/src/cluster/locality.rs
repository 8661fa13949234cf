//! Where endpoints are.

use serde::Serialize;

/// Where endpoints are, and which share of the requests they have together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Locality {
    /// Region, may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// Zone, may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub zone: String,
    /// What the zone is divided into, may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub_zone: String,
    /// Its share, against those of the other localities of its priority; `None`: nobody says it, and where shares count it has
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

impl Locality {
    /// Whether it is the same place, whatever its share.
    #[must_use]
    pub fn is_at(&self, other: &Self) -> bool {
        (&self.region, &self.zone, &self.sub_zone) == (&other.region, &other.zone, &other.sub_zone)
    }
}
