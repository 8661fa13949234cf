//! What the failures of a processor do (section 12 of the protocol rules).

use extproc::{BodySendMode, HeaderSendMode, Plan};
use serde_json::{Map, Value, json};

use super::settings::duration;

/// The kinds of failures, in the order in which they are reported. Some exist in some modes only.
pub(super) const FAILURES: [&str; 6] = [
    "unreachable_or_broken",
    "message_timeout",
    "wrong_answer",
    "refused_mutation",
    "after_body_was_taken",
    "after_response_began",
];

/// `open`, `closed`, or `observing`.
pub(super) fn mode(plan: &Plan) -> &'static str {
    match (plan.observability_mode, plan.failure_mode_allow) {
        (true, _) => "observing",
        (false, true) => "open",
        (false, false) => "closed",
    }
}

/// What each kind of failure does.
pub(super) fn describe(plan: &Plan) -> Value {
    let status = plan.status_on_error.as_u16();
    let closed = format!("{status} to the client");
    let open = "goes on without the processor";
    let by_policy = |allowed: bool| if allowed { open.to_owned() } else { closed.clone() };
    let broken = by_policy(plan.failure_mode_allow);
    let mut told = Map::new();
    let mut tell = |kind: &str, what: String| told.insert(kind.to_owned(), json!(what));
    if plan.observability_mode {
        // V-1, V-3, V-4
        let broken = match plan.failure_mode_allow {
            true => broken,
            false => format!("{broken}, if it breaks while the request is under way"),
        };
        tell("unreachable_or_broken", broken);
        for kind in ["message_timeout", "wrong_answer", "refused_mutation"] {
            tell(kind, "cannot happen: answers are not waited for, nor read".to_owned());
        }
        return Value::Object(told);
    }
    tell("unreachable_or_broken", broken);
    tell("message_timeout", timeout(plan, open));
    // F-14
    tell("wrong_answer", by_policy(plan.failure_mode_allow || !plan.fail_close_spurious_response));
    // M-9
    let even_so = if plan.failure_mode_allow { ", even so" } else { "" };
    tell("refused_mutation", format!("{closed}{even_so}"));
    let mode = plan.processing_mode;
    let bodies = [mode.request_body_mode, mode.response_body_mode];
    if bodies.contains(&BodySendMode::FullDuplexStreamed) && plan.failure_mode_allow {
        // F-6
        tell(
            "after_body_was_taken",
            format!("{closed}, even so: what the processor has of the body is gone"),
        );
    }
    let streams =
        matches!(mode.response_body_mode, BodySendMode::Streamed | BodySendMode::FullDuplexStreamed);
    let late = streams || mode.response_trailer_mode == HeaderSendMode::Send;
    if late && (!plan.failure_mode_allow || bodies.contains(&BodySendMode::FullDuplexStreamed)) {
        // F-4
        tell("after_response_began", "the response breaks off, where it would be an answer".to_owned());
    }
    Value::Object(told)
}

/// there is no limit for the pieces of a body in full duplex.
fn timeout(plan: &Plan, open: &str) -> String {
    let mode = plan.processing_mode;
    let duplex =
        [mode.request_body_mode, mode.response_body_mode].contains(&BodySendMode::FullDuplexStreamed);
    let does = if plan.failure_mode_allow { open } else { "504 to the client" };
    let mut told = format!("{does} if there is no answer within {}", duration(plan.message_timeout));
    if !plan.max_message_timeout.is_zero() {
        told += &format!(" (it may ask for up to {})", duration(plan.max_message_timeout));
    }
    if duplex {
        told += "; bodies in full duplex have no such limit";
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_by_their_kind() {
        let mut plan = Plan::new("ext");
        let closed = describe(&plan);
        assert_eq!(closed["unreachable_or_broken"], "500 to the client");
        assert_eq!(closed["message_timeout"], "504 to the client if there is no answer within 200ms");
        assert_eq!(closed["wrong_answer"], "500 to the client");
        // Nothing can fail after the response began, nor is a body taken away.
        assert_eq!(closed.as_object().map(Map::len), Some(4), "{closed:#}");
        // F-14
        plan.fail_close_spurious_response = false;
        assert_eq!(describe(&plan)["wrong_answer"], "goes on without the processor");
        plan.failure_mode_allow = true;
        let open = describe(&plan);
        assert_eq!(open["unreachable_or_broken"], "goes on without the processor");
        // M-9
        assert_eq!(open["refused_mutation"], "500 to the client, even so");
        assert_eq!(mode(&plan), "open");
        // F-4, F-6: in full duplex there is no way back.
        plan.processing_mode.response_body_mode = BodySendMode::FullDuplexStreamed;
        let duplex = describe(&plan);
        assert!(duplex["after_body_was_taken"].as_str().unwrap().starts_with("500"), "{duplex:#}");
        assert!(duplex["after_response_began"].as_str().unwrap().contains("breaks off"), "{duplex:#}");
        assert!(duplex["message_timeout"].as_str().unwrap().contains("full duplex"), "{duplex:#}");
        // V-1, V-3: answers are not waited for.
        plan.observability_mode = true;
        assert!(describe(&plan)["message_timeout"].as_str().unwrap().starts_with("cannot happen"));
        assert_eq!(mode(&plan), "observing");
    }
}
