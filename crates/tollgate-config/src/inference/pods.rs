//! Pods: their labels, where they are, and whether they are ready.

use std::net::IpAddr;

use crate::schema::{Message, Schema, bookkeeping, read};

/// Where a pod is.
#[derive(Debug)]
pub(crate) struct Pod {
    /// `None` = it has none yet.
    pub(super) address: Option<IpAddr>,
    pub(super) ready: bool,
}

pub(super) static POD: Schema = Schema {
    name: "Pod",
    title: "",
    fields: &[
        read("apiVersion", "", "`v1`."),
        read("kind", "", "`Pod`."),
        read("metadata", "", "Its name and labels."),
        bookkeeping("spec"),
        read("status", "", "Where it is."),
    ],
    unsupported: &[],
};

static STATUS: Schema = Schema {
    name: "PodStatus",
    title: "",
    fields: &[
        read("podIP", "", "Its address. Without one the pod is left out."),
        read(
            "conditions",
            "[]",
            "A pod whose condition Ready is not True is left out. Without the condition it is ready.",
        ),
        bookkeeping("phase"),
        bookkeeping("hostIP"),
        bookkeeping("hostIPs"),
        bookkeeping("podIPs"),
        bookkeeping("startTime"),
        bookkeeping("containerStatuses"),
        bookkeeping("initContainerStatuses"),
        bookkeeping("ephemeralContainerStatuses"),
        bookkeeping("qosClass"),
        bookkeeping("message"),
        bookkeeping("reason"),
        bookkeeping("nominatedNodeName"),
        bookkeeping("observedGeneration"),
        bookkeeping("resize"),
        bookkeeping("resourceClaimStatuses"),
        bookkeeping("extendedResourceClaimStatus"),
        bookkeeping("allocatedResources"),
        bookkeeping("resources"),
    ],
    unsupported: &[],
};

static CONDITION: Schema = Schema {
    name: "PodCondition",
    title: "",
    fields: &[
        read("type", "", "Ready is what counts."),
        read("status", "", "True, False or Unknown."),
        bookkeeping("reason"),
        bookkeeping("message"),
        bookkeeping("lastProbeTime"),
        bookkeeping("lastTransitionTime"),
        bookkeeping("observedGeneration"),
    ],
    unsupported: &[],
};

pub(super) fn read_pod(pod: &Message<'_>) -> Option<Pod> {
    let Some(status) = pod.message("status", &STATUS) else {
        return Some(Pod { address: None, ready: false });
    };
    let address = status.get("podIP").and_then(|address| {
        let text = address.non_empty_string()?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            address.error(format!("\"{text}\" is no IP address"));
        }
        parsed
    });
    let conditions = status.list("conditions");
    let mut ready = conditions.iter().filter_map(|condition| {
        let condition = condition.message(&CONDITION)?;
        let (kind, status) = (condition.string("type"), condition.string("status"));
        (kind == "Ready").then_some(status == "True")
    });
    let ready = ready.next_back().unwrap_or(true);
    Some(Pod { address, ready })
}
