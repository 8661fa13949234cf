//! Where processors stand among filters: EG-34, and `filterOrder` (EG-35).

use std::collections::HashMap;

use crate::schema::{Schema, Value, read};

/// Moves all filters of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterMove {
    pub(crate) name: String,
    pub(crate) to: Relation,
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Relation {
    Before(String),
    After(String),
}

static FILTER_POSITION: Schema = Schema {
    name: "FilterPosition",
    title: "",
    fields: &[
        read("name", "", "Type of filter, such as `envoy.filters.http.ext_proc`. Required."),
        read("before", "", "Type that it comes before. This or after is required."),
        read("after", "", "Type that it comes after."),
    ],
    unsupported: &[],
};

/// The type that processors are.
pub(super) const EXT_PROC: &str = "envoy.filters.http.ext_proc";

/// The types that Envoy Gateway orders, the first and the last number of each.
const ORDER: [(&str, i64, i64); 26] = [
    ("envoy.filters.http.custom_response", 0, 0),
    ("envoy.filters.http.health_check", 1, 1),
    ("envoy.filters.http.fault", 2, 2),
    ("envoy.filters.http.cors", 3, 3),
    ("envoy.filters.http.csrf", 4, 4),
    ("envoy.filters.http.header_mutation", 5, 5),
    ("envoy.filters.http.ext_authz", 6, 6),
    ("envoy.filters.http.api_key_auth", 7, 7),
    ("envoy.filters.http.basic_auth", 8, 8),
    ("envoy.filters.http.oauth2", 9, 9),
    ("envoy.filters.http.jwt_authn", 10, 10),
    ("envoy.filters.http.stateful_session", 11, 11),
    ("envoy.filters.http.buffer", 12, 12),
    ("envoy.filters.http.lua", 13, 28),
    (EXT_PROC, 100, 115),
    ("envoy.filters.http.wasm", 200, 215),
    ("envoy.filters.http.dynamic_modules", 250, 265),
    ("envoy.filters.http.geoip", 300, 300),
    ("envoy.filters.http.rbac", 301, 301),
    ("envoy.filters.http.local_ratelimit", 302, 302),
    ("envoy.filters.http.ratelimit", 303, 303),
    ("envoy.filters.http.bandwidth_limit", 304, 304),
    ("envoy.filters.http.grpc_web", 305, 305),
    ("envoy.filters.http.grpc_stats", 306, 306),
    ("envoy.filters.http.credential_injector", 307, 307),
    ("envoy.filters.http.compressor", 308, 308),
];

/// Numbers are a thousand times those of the table, which leaves room between them for what is moved.
const SCALE: i64 = 1000;
/// Room that a type takes once it is moved.
const WIDTH: i64 = 20;

pub(super) fn read_filter_order(values: &[Value<'_>]) -> Vec<FilterMove> {
    values.iter().filter_map(read_move).collect()
}

fn read_move(value: &Value<'_>) -> Option<FilterMove> {
    let message = value.message(&FILTER_POSITION)?;
    let name = message.required_string("name");
    let text = |field| Some(message.string(field)).filter(|text: &String| !text.is_empty());
    let (before, after) = (text("before"), text("after"));
    let to = match (before, after) {
        (Some(before), None) => Relation::Before(before),
        (None, Some(after)) => Relation::After(after),
        (None, None) => {
            value.error("one of before or after must be specified");
            return None;
        }
        (Some(_), Some(_)) => {
            value.error("only one of before or after can be specified");
            return None;
        }
    };
    let (Relation::Before(other) | Relation::After(other)) = &to;
    if [name.as_str(), other].contains(&EXT_PROC)
        && [name.as_str(), other].contains(&"envoy.filters.http.cors")
    {
        value.warning(
            "CORS stays before every processor",
            "preflight requests are answered without one; other filters have no say in this gateway",
        );
    }
    Some(FilterMove { name, to })
}

/// The number of a processor: less is earlier on requests.
pub(super) fn position(index: usize, moves: &[FilterMove]) -> i64 {
    position_of(EXT_PROC, index, moves)
}

/// The same of a filter of a type that the table has.
pub(super) fn position_of(kind: &str, index: usize, moves: &[FilterMove]) -> i64 {
    let mut ranges: HashMap<&str, (i64, i64)> =
        ORDER.iter().map(|(name, first, last)| (*name, (first * SCALE, last * SCALE))).collect();
    let mut step = SCALE - WIDTH;
    for FilterMove { name, to } in moves {
        // A later move to the same place comes closer to it.
        step -= step / i64::try_from(moves.len() + 1).unwrap_or(i64::MAX);
        let width = ranges.get(&**name).map_or(0, |(first, last)| match last - first {
            moved if moved < SCALE => moved,
            untouched => untouched / SCALE,
        });
        let moved = match to {
            Relation::Before(other) => {
                ranges.get(&**other).map(|(first, _)| (first - step, first - step + width))
            }
            Relation::After(other) => {
                ranges.get(&**other).map(|(_, last)| (last + step, last + step + width))
            }
        };
        // What is not in a chain moves nothing.
        if let Some(moved) = moved {
            ranges.insert(name, moved);
        }
    }
    let (first, last) = ranges.get(kind).copied().unwrap_or_default();
    let index = i64::try_from(index).unwrap_or(i64::MAX);
    // Untouched ones are whole numbers apart; moved ones stand close together.
    if last - first >= SCALE { first + index * SCALE } else { first + index }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(moves: &[(&str, &str, &str)]) -> Vec<FilterMove> {
        let full = |name: &str| format!("envoy.filters.http.{name}");
        moves
            .iter()
            .map(|(name, relation, other)| FilterMove {
                name: full(name),
                to: match *relation {
                    "before" => Relation::Before(full(other)),
                    _ => Relation::After(full(other)),
                },
            })
            .collect()
    }

    #[test]
    fn processors_stand_where_the_table_says() {
        // EG-34
        assert_eq!(position(0, &[]), 100_000);
        assert_eq!(position(15, &[]), 115_000);
    }

    #[test]
    fn processors_are_moved_among_other_filters() {
        // EG-35
        let at = |index, list: &[(&str, &str, &str)]| position(index, &moves(list));
        assert!((2000..3000).contains(&at(0, &[("ext_proc", "before", "cors")])));
        assert!((2000..3000).contains(&at(15, &[("ext_proc", "before", "cors")])));
        assert!(at(0, &[("ext_proc", "before", "cors")]) < at(1, &[("ext_proc", "before", "cors")]));
        assert!((301_000..302_000).contains(&at(3, &[("ext_proc", "after", "rbac")])));
        let chain = [("rbac", "before", "cors"), ("ext_proc", "after", "rbac")];
        assert!((2000..3000).contains(&at(0, &chain)));
        assert_eq!(at(0, &[("ext_proc", "after", "nothing")]), 100_000);
    }
}
