//! Header mutations.

use http::{HeaderName, HeaderValue};

use super::{Findings, Rule};
use crate::{
    Direction, Plan,
    messages::{self, HeaderMutation},
    mutation::Operation,
};

/// Reads a mutation. With `replaces`, the message is replaced, and the method may be set.
pub(super) fn mutation(
    mutation: &HeaderMutation,
    direction: Direction,
    plan: &Plan,
    replaces: bool,
    found: &mut Findings,
) {
    for name in &mutation.remove_headers {
        check(name, Operation::Remove, direction, plan, replaces, found);
    }
    for option in &mutation.set_headers {
        let Some(header) = &option.header else { continue };
        value(header, found);
        let append = option.append.as_ref().is_some_and(|append| append.value);
        let operation = if append { Operation::Append } else { Operation::Set };
        check(&header.key, operation, direction, plan, replaces, found);
    }
}

/// Where the value of a header is, and whether it is one.
pub(super) fn value(header: &messages::HeaderValue, found: &mut Findings) {
    if !header.value.is_empty() {
        found.add(Rule::ValueMember, format!("{:?} has its value in value", header.key));
    }
    let bytes = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
    if HeaderValue::from_bytes(bytes).is_err() {
        found.add(Rule::InvalidHeader, format!("the value of {:?} is none", header.key));
    }
}

fn check(
    name: &str,
    operation: Operation,
    direction: Direction,
    plan: &Plan,
    replaces: bool,
    found: &mut Findings,
) {
    let lower = name.to_ascii_lowercase();
    if HeaderName::from_bytes(lower.trim_start_matches(':').as_bytes()).is_err() {
        found.add(Rule::InvalidHeader, format!("{name:?} is no name of a header"));
        return;
    }
    let pseudo = match direction {
        Direction::Request => [":method", ":scheme", ":authority", ":path"].as_slice(),
        Direction::Response => [":status"].as_slice(),
    };
    if lower.starts_with(':') && !pseudo.contains(&lower.as_str()) {
        found.add(Rule::RefusedHeader, format!("{name:?} does not belong to this message"));
        return;
    }
    let allowed = (replaces && lower == ":method")
        || plan.mutation_rules.allows(operation, &lower, &plan.header_prefix);
    if !allowed {
        let deed = match operation {
            Operation::Set => "set",
            Operation::Append => "appended to",
            Operation::Remove => "removed",
        };
        found.add(Rule::RefusedHeader, format!("{name:?} may not be {deed}"));
    }
}
