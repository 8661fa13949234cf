//! What dialects say about the rules of a listener.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use http::StatusCode;

use super::Builder;
use crate::{
    Explanation, Origin, ProcessorOrigin, ReplacedBecause, RouteOrigin, RuleOrigin,
    kubernetes::{ObjectRef, Place},
    routing::{ExtensionRef, Rule},
    translation::{
        Applied, AppliedFilter, AttachedRoute, Gateway, Listener, Position, Problem, Processor, Replacement,
        Site,
    },
};

/// A rule of a route under a listener, and what applies to it.
pub(super) struct RuleSite<'g> {
    pub(super) gateway: &'g Gateway,
    pub(super) listener: &'g Listener,
    pub(super) attached: &'g AttachedRoute,
    pub(super) rule_index: usize,
    /// The rule as dialects have changed it.
    pub(super) rule: Cow<'g, Rule>,
    /// Where the rule is written.
    pub(super) origin: Arc<tollgate_ir::Origin>,
    /// In the order of requests.
    pub(super) processors: Vec<Applied>,
    /// Filters of other kinds.
    pub(super) filters: Vec<AppliedFilter>,
    /// Of requests to a backend, instead of the others.
    pub(super) backends: BTreeMap<usize, Vec<Applied>>,
    pub(super) replaced: Option<Replacement>,
    /// Why a filter is nobody's business.
    pub(super) unresolved: Option<Problem>,
}

impl Builder<'_, '_> {
    /// Asks all dialects about a rule.
    pub(super) fn rule_site<'g>(
        &mut self,
        gateway: &'g Gateway,
        listener: &'g Listener,
        attached: &'g AttachedRoute,
        rule_index: usize,
    ) -> RuleSite<'g> {
        let written = Site::new(gateway, listener, attached, rule_index);
        let mut rule = Cow::Borrowed(written.rule);
        for dialect in &self.dialects {
            dialect.rule(&written, &mut rule);
        }
        let site = Site { rule: &rule, ..written };
        let mut found = RuleSite {
            gateway,
            listener,
            attached,
            rule_index,
            // Set when nobody looks at it any more.
            rule: Cow::Borrowed(written.rule),
            origin: site.rule().place.origin(Some(attached.route.object.object_name())),
            processors: Vec::new(),
            filters: Vec::new(),
            backends: BTreeMap::new(),
            replaced: None,
            unresolved: None,
        };
        found.replaced = attached.route.broken.as_ref().map(|problem| Replacement {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            body: "",
            reason: format!("{} is invalid: {problem}", attached.route.object),
            place: attached.route.meta.place.clone(),
        });
        let all: Vec<_> = self.dialects.iter_mut().map(|dialect| dialect.extend(&site)).collect();
        // Processors of a backend stand instead of those of the rule that the same dialect has.
        let indices: BTreeSet<usize> =
            all.iter().flat_map(|extensions| extensions.backends.keys().copied()).collect();
        for extensions in all {
            for index in &indices {
                let own = extensions.backends.get(index).unwrap_or(&extensions.processors);
                found.backends.entry(*index).or_default().extend(own.iter().cloned());
            }
            found.processors.extend(extensions.processors);
            found.filters.extend(extensions.filters);
            found.replaced = found.replaced.or(extensions.replaced);
        }
        sort(&mut found.processors);
        found.backends.values_mut().for_each(|processors| sort(processors));
        self.warn_of_mixture(&found);
        if let Some(extension) = self.unclaimed(&site.rule().extension_refs) {
            let replacement = not_supported(&extension);
            found.unresolved = Some(Problem::new("InvalidKind", replacement.reason.clone()));
            found.replaced.get_or_insert(replacement);
        }
        found.rule = rule;
        found
    }

    /// A filter that is nobody's business.
    pub(super) fn unclaimed(&self, extensions: &[ExtensionRef]) -> Option<ExtensionRef> {
        let claimed =
            |extension: &&ExtensionRef| self.dialects.iter().any(|dialect| dialect.claims(extension));
        let unclaimed = extensions.iter().find(|extension| !claimed(extension)).cloned();
        if let Some(extension) = &unclaimed {
            let message = format!(
                "filters of kind {} of group \"{}\" are not supported: 500 is answered instead",
                extension.kind, extension.group
            );
            self.translator.diagnostics.error(&extension.place, message, None);
        }
        unclaimed
    }

    /// CF-31
    fn warn_of_mixture(&self, site: &RuleSite<'_>) {
        let mut dialects: Vec<&str> = Vec::new();
        for applied in &site.processors {
            let dialect = applied.processor.system;
            if !dialects.contains(&dialect) {
                dialects.push(dialect);
            }
        }
        let [others @ .., last] = &dialects[..] else { return };
        if !others.is_empty() {
            let rule = &site.rule;
            let message =
                format!("processors of {} and {last} apply to this rule together", others.join(", "));
            let order: Vec<String> =
                site.processors.iter().map(|applied| applied.processor.object.to_string()).collect();
            let help = format!("on requests their order is {}", order.join(", "));
            self.translator.diagnostics.warning(&rule.place, message, Some(help));
        }
    }
}

fn sort(processors: &mut [Applied]) {
    processors.sort_by(|left, right| key(&left.processor).cmp(&key(&right.processor)));
}

/// Where a processor stands.
pub(super) fn key(processor: &Arc<Processor>) -> (Position, &str) {
    (processor.position, &processor.name)
}

/// What is answered for a filter that nobody provides (9.6).
pub(super) fn not_supported(extension: &ExtensionRef) -> Replacement {
    Replacement {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        body: "",
        reason: format!(
            "there is no filter {}/{} of group \"{}\"",
            extension.kind, extension.name, extension.group
        ),
        place: extension.place.clone(),
    }
}

impl RuleSite<'_> {
    /// Where the routes of a match come from.
    pub(super) fn explanation(&self, match_index: usize) -> Arc<Explanation> {
        let route = &self.attached.route;
        let rule = &self.rule;
        let weighed = rule.backends.iter().enumerate().filter(|(_, backend)| backend.weight > 0);
        let shares = weighed.enumerate().map(|(share, (backend, _))| (share, backend));
        let processors = |applied: &[Applied]| applied.iter().map(processor_origin).collect();
        Arc::new(Explanation {
            origin: RouteOrigin::Rule(RuleOrigin {
                object: origin(&route.object, &route.meta.place),
                listener: origin(&self.listener.owner, &self.listener.owner_meta.place),
                section_name: self.listener.name.clone(),
                index: self.rule_index,
                name: rule.name.clone(),
                match_index,
            }),
            place: rule.place.clone(),
            processors: processors(&self.processors),
            backends: shares
                .filter_map(|(share, backend)| Some((share, processors(self.backends.get(&backend)?))))
                .collect(),
            replaced: self.replaced.as_ref().map(|replaced| ReplacedBecause {
                reason: replaced.reason.clone(),
                place: replaced.place.clone(),
            }),
        })
    }
}

fn origin(object: &ObjectRef, place: &Place) -> Origin {
    Origin { name: object.to_string(), place: place.clone() }
}

fn processor_origin(applied: &Applied) -> Arc<ProcessorOrigin> {
    let Applied { processor, policy, policy_place, sources, .. } = applied;
    Arc::new(ProcessorOrigin {
        filter: processor.name.clone(),
        upstream: processor.position.is_upstream(),
        cluster: None,
        defined_by: origin(&processor.object, &processor.place),
        enabled_by: origin(policy, policy_place),
        sources: sources.clone(),
        overrides: BTreeMap::new(),
    })
}
