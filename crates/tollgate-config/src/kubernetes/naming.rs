//! Which kind a document is meant to be.
//!
//! A policy whose kind, group or version is misspelt must not be left out as if it were nothing: what it would protect would be
//! open. It is taken for the kind that was meant, with an error, so that what it refers to is not served.

use super::{Catalogue, Kind};
use crate::suggestion::{did_you_mean, nearest};

/// `apiVersion` and `kind` of a document.
#[derive(Debug)]
pub(super) struct Type {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
}

impl Type {
    /// Of these two members; `api_version` is empty when it is not given.
    pub(super) fn new(api_version: &str, kind: String) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.to_owned(), version: version.to_owned(), kind }
    }
}

/// What a document is.
pub(super) enum Named {
    /// A kind that is read; with what is wrong about its name.
    Known(&'static Kind, Option<Mistake>),
    /// A kind of Kubernetes itself that is not read.
    BuiltIn,
    /// A kind of one of our groups that is not read, by nobody's mistake.
    NotImplemented,
    /// A kind of one of our groups that does not exist.
    Unknown(Mistake),
    /// A kind of another group.
    Foreign,
}

/// What is wrong with the name of a kind.
#[derive(Debug)]
pub(super) struct Mistake {
    /// The member that is wrong.
    pub(super) member: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// API groups of Kubernetes itself: their kinds are no mistake in a file of ours (CF-11).
const BUILT_IN_GROUPS: [&str; 16] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

impl Named {
    /// What a document of this type is.
    pub(super) fn of(found: &Type, catalogue: &Catalogue) -> Self {
        let kinds = || catalogue.kinds();
        let Type { group, version, kind } = found;
        if group.is_empty() && version.is_empty() {
            return Self::without_api_version(kind, catalogue);
        }
        let ours = !is_built_in(group) && kinds().any(|known| known.group == group);
        if let Some(exact) = kinds().find(|known| known.group == group && known.kind == kind) {
            let known = exact.versions.contains(&version.as_str());
            return Self::Known(exact, (!known).then(|| unknown_version(exact, version)));
        }
        if is_built_in(group) {
            return Self::BuiltIn;
        }
        if catalogue.is_not_implemented(group, kind) {
            return Self::NotImplemented;
        }
        if ours {
            return Self::unknown_kind(group, kind, catalogue);
        }
        // Another group, or one of ours misspelt.
        let groups = kinds().map(|known| known.group).filter(|known| !known.is_empty());
        let Some(near) = nearest(group, groups) else { return Self::Foreign };
        let message = format!("{kind} of the group {group} is not known");
        let help = Some(format!("did you mean the group {near}?"));
        let mistake = Mistake { member: "apiVersion", message, help };
        match kinds().find(|known| known.group == near && known.kind == kind) {
            Some(known) => Self::Known(known, Some(mistake)),
            None => Self::Unknown(mistake),
        }
    }

    fn unknown_kind(group: &str, kind: &str, catalogue: &Catalogue) -> Self {
        let of_group = || catalogue.kinds().filter(|known| known.group == group);
        let near = nearest(kind, of_group().map(|known| known.kind));
        let message = format!("there is no kind {kind} in {group}");
        let help = match near {
            Some(near) => did_you_mean(near),
            None => {
                let names: Vec<&str> = of_group().map(|known| known.kind).collect();
                format!("kinds that are read: {}", names.join(", "))
            }
        };
        let mistake = Mistake { member: "kind", message, help: Some(help) };
        match near.and_then(|near| of_group().find(|known| known.kind == near)) {
            Some(known) => Self::Known(known, Some(mistake)),
            None => Self::Unknown(mistake),
        }
    }

    /// A kind that only one group has says which `apiVersion` was meant.
    fn without_api_version(kind: &str, catalogue: &Catalogue) -> Self {
        let ours = || catalogue.kinds().filter(|known| !is_built_in(known.group));
        let near = nearest(kind, ours().map(|known| known.kind)).unwrap_or(kind);
        let mut of_kind = ours().filter(|known| known.kind == near);
        let mistake = |help| Mistake { member: "", message: "\"apiVersion\" is missing".to_owned(), help };
        match (of_kind.next(), of_kind.next()) {
            (Some(known), None) => {
                let version = known.versions.first().copied().unwrap_or_default();
                let help = format!("write apiVersion: {}/{version}", known.group);
                Self::Known(known, Some(mistake(Some(help))))
            }
            _ => Self::Unknown(mistake(None)),
        }
    }
}

/// Whether a group is one of Kubernetes itself, and not one that gateways are configured with.
fn is_built_in(group: &str) -> bool {
    BUILT_IN_GROUPS.contains(&group)
}

fn unknown_version(kind: &Kind, version: &str) -> Mistake {
    Mistake {
        member: "apiVersion",
        message: format!("{} has no version \"{version}\" here", kind.kind),
        help: Some(format!("versions that are read: {}", kind.versions.join(", "))),
    }
}

impl Kind {
    /// Whether it is a kind of Kubernetes itself.
    pub(super) fn is_core(&self) -> bool {
        is_built_in(self.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(api_version: &str, kind: &str) -> String {
        match Named::of(&Type::new(api_version, kind.to_owned()), crate::systems::all().catalogue()) {
            Named::Known(known, None) => format!("{}/{}", known.group, known.kind),
            Named::Known(known, Some(mistake)) => {
                let help = mistake.help.unwrap_or_default();
                format!("{}/{}: {} [{help}]", known.group, known.kind, mistake.message)
            }
            Named::BuiltIn => "built in".to_owned(),
            Named::NotImplemented => "not implemented".to_owned(),
            Named::Unknown(mistake) => format!("unknown: {}", mistake.message),
            Named::Foreign => "foreign".to_owned(),
        }
    }

    #[test]
    fn kinds_are_found_by_what_was_meant() {
        let eg = "gateway.envoyproxy.io/EnvoyExtensionPolicy";
        assert_eq!(named("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy"), eg);
        assert_eq!(
            named("gateway.envoyproxy.io/v1alpha1", "EnvoyExtentionPolicy"),
            format!(
                "{eg}: there is no kind EnvoyExtentionPolicy in gateway.envoyproxy.io \
                     [did you mean \"EnvoyExtensionPolicy\"?]"
            ),
        );
        assert_eq!(
            named("gateway.envoyproxy.io/v1beta1", "EnvoyExtensionPolicy"),
            format!(
                "{eg}: EnvoyExtensionPolicy has no version \"v1beta1\" here [versions that are read: v1alpha1]"
            ),
        );
        assert_eq!(
            named("", "EnvoyExtensionPolicy"),
            format!("{eg}: \"apiVersion\" is missing [write apiVersion: gateway.envoyproxy.io/v1alpha1]"),
        );
        assert_eq!(
            named("gateway.envoyproxy.com/v1alpha1", "EnvoyExtensionPolicy"),
            format!(
                "{eg}: EnvoyExtensionPolicy of the group gateway.envoyproxy.com is not known \
                     [did you mean the group gateway.envoyproxy.io?]"
            ),
        );
    }

    #[test]
    fn other_kinds_are_told_apart() {
        assert_eq!(named("v1", "Node"), "built in");
        assert_eq!(named("apps/v1", "Deployment"), "built in");
        assert_eq!(named("networking.istio.io/v1", "DestinationRule"), "not implemented");
        assert_eq!(named("cert-manager.io/v1", "Certificate"), "foreign");
        let unknown = "unknown: there is no kind Sprocket in networking.istio.io";
        assert_eq!(named("networking.istio.io/v1", "Sprocket"), unknown);
        // Two groups have a Gateway.
        assert_eq!(named("", "Gateway"), "unknown: \"apiVersion\" is missing");
    }
}
