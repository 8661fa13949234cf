//! Section 6 once more, slow and obvious: a message is a list of names and values, pseudo-headers among them.

use super::super::{MutationRules, Operation, Policy, RefusedReason};
use crate::messages;

/// Name and value.
pub(super) type Entry = (String, Vec<u8>);

/// Which message the list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Response,
    Trailers,
}

/// What became of a mutation: how many operations were ignored, and why it was refused if it was.
pub(super) fn apply(
    mutation: &messages::HeaderMutation,
    kind: Kind,
    message: &mut Vec<Entry>,
    policy: &Policy<'_>,
) -> (u32, Option<RefusedReason>) {
    if mutation.remove_headers.len() > policy.max_count || mutation.set_headers.len() > policy.max_count {
        return (0, Some(RefusedReason::OperationCountExceedsLimit));
    }
    let mut ignored = 0;
    for name in &mutation.remove_headers {
        if name.is_empty() {
            continue;
        }
        if !is_name(name) {
            return (ignored, Some(RefusedReason::RemoveContainsInvalidCharacter));
        }
        let name = name.to_lowercase();
        if allows(policy.rules, Operation::Remove, &name, policy) {
            message.retain(|(other, _)| *other != name);
        } else if policy.rules.disallow_is_error {
            return (ignored, Some(RefusedReason::RemoveHeadersFailed));
        } else {
            ignored += 1;
        }
    }
    for option in &mutation.set_headers {
        let Some(header) = &option.header else { continue };
        let mut name = header.key.to_lowercase();
        if name == "content-length" && policy.content_length_removed {
            continue;
        }
        let value = if header.raw_value.is_empty() {
            header.value.clone().into_bytes()
        } else {
            header.raw_value.to_vec()
        };
        let valid_value = value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 127));
        if !valid_value || !(name.is_empty() || is_name(&header.key)) {
            return (ignored, Some(RefusedReason::SetContainsInvalidCharacter));
        }
        let append = option.append == Some(messages::BoolValue { value: true });
        let mut allowed = !name.is_empty();
        if kind == Kind::Request && name == "host" {
            // The rules see `host`, the message has `:authority`.
            allowed &=
                allows(policy.rules, Operation::Set, "host", policy) && valid_for(":authority", &value);
            name = ":authority".to_owned();
        } else if !(policy.replace_message && name == ":method") {
            let exists = message.iter().any(|(other, _)| *other == name);
            let operation = if append && exists { Operation::Append } else { Operation::Set };
            allowed &= allows(policy.rules, operation, &name, policy) && valid_for(&name, &value);
        }
        let second_length =
            append && name == "content-length" && message.iter().any(|(other, _)| *other == name);
        if allowed && (kind == Kind::Trailers || !second_length) {
            let mut changed = message.clone();
            put(&mut changed, kind, &name, value, append);
            if is_well_formed(kind, &changed, &name) {
                *message = changed;
                continue;
            }
        }
        if policy.rules.disallow_is_error {
            return (ignored, Some(RefusedReason::SetHeadersFailed));
        }
        ignored += 1;
    }
    let bytes: usize = message.iter().map(|(name, value)| name.len() + value.len()).sum();
    let too_large = message.len() > policy.max_count || bytes > policy.max_bytes;
    (ignored, too_large.then_some(RefusedReason::ResultExceedsLimit))
}

fn put(message: &mut Vec<Entry>, kind: Kind, name: &str, value: Vec<u8>, append: bool) {
    let known = match kind {
        Kind::Request => [":method", ":scheme", ":authority", ":path"].contains(&name),
        Kind::Response => name == ":status",
        Kind::Trailers => true,
    };
    if name.starts_with(':') && !known {
        return;
    }
    if !append {
        message.retain(|(other, _)| other != name);
        message.push((name.to_owned(), value));
        return;
    }
    let single = match name {
        "user-agent" => kind == Kind::Request,
        "content-length" | "transfer-encoding" => kind != Kind::Trailers,
        _ => name.starts_with(':'),
    };
    if !single || !message.iter().any(|(other, _)| other == name) {
        message.push((name.to_owned(), value));
        return;
    }
    let values: Vec<&[u8]> = message
        .iter()
        .filter(|(other, _)| other == name)
        .map(|(_, value)| value.as_slice())
        .chain([value.as_slice()])
        .filter(|value| !value.is_empty())
        .collect();
    let joined = values.join(b",".as_slice());
    let mut first = true;
    message.retain_mut(|(other, value)| {
        if other != name {
            return true;
        }
        value.clone_from(&joined);
        std::mem::take(&mut first)
    });
}

/// Decision 2, for the header that was just put.
fn is_well_formed(kind: Kind, message: &[Entry], name: &str) -> bool {
    let get = |name: &str| message.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_slice());
    let digits = |value: &[u8]| !value.is_empty() && value.len() < 19 && value.iter().all(u8::is_ascii_digit);
    match (kind, name) {
        (Kind::Trailers, _) => !name.starts_with(':'),
        (Kind::Request, ":path") => get(name).is_some_and(|path| !path.is_empty() && !path.contains(&b' ')),
        (Kind::Request, ":method") => {
            get(name).and_then(|method| std::str::from_utf8(method).ok()).is_some_and(is_name)
        }
        (Kind::Response, ":status") => {
            get(name).is_some_and(|status| digits(status) && status.len() == 3 && status[0] >= b'2')
        }
        (Kind::Request, "content-length" | "transfer-encoding")
            if get("content-length").is_some() && get("transfer-encoding").is_some() =>
        {
            false
        }
        (_, "content-length") => get(name).is_some_and(digits),
        _ => true,
    }
}

fn is_name(name: &str) -> bool {
    let token = name.strip_prefix(':').unwrap_or(name);
    !token.is_empty()
        && token.chars().all(|character| character.is_ascii_alphanumeric() || "-_".contains(character))
}

fn valid_for(name: &str, value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value).into_owned();
    match name {
        ":authority" | "host" => {
            text.chars().all(|character| character.is_ascii_alphanumeric() || ":.".contains(character))
        }
        ":scheme" => ["http", "https"].contains(&text.to_lowercase().as_str()),
        ":status" => text.parse::<i32>().is_ok_and(|status| status >= 200),
        _ => true,
    }
}

/// M-15.
fn allows(rules: &MutationRules, operation: Operation, name: &str, policy: &Policy<'_>) -> bool {
    let steps: [(bool, bool); 7] = [
        (operation == Operation::Remove && (name == "host" || name.starts_with(':')), false),
        (rules.disallow_expression.as_ref().is_some_and(|regex| regex.is_match(name.as_bytes())), false),
        (rules.allow_expression.as_ref().is_some_and(|regex| regex.is_match(name.as_bytes())), true),
        (rules.disallow_all, false),
        (!rules.allow_all_routing && ["host", ":authority", ":method", ":scheme"].contains(&name), false),
        (name.starts_with(':') && (operation == Operation::Append || rules.disallow_system), false),
        (!rules.allow_envoy && name.starts_with(policy.header_prefix), false),
    ];
    steps.iter().find(|(hit, _)| *hit).is_none_or(|(_, allowed)| *allowed)
}
