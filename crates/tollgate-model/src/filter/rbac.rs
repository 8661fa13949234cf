//! The `rbac` filter: policies say which requests pass.

use std::ops::Range;

use ipnet::IpNet;
use serde::Serialize;
use tollgate_cel::Expression;

use crate::matching::{HeaderMatcher, Matcher, MetadataMatcher, StringMatcher};

/// Settings of the filter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rbac {
    /// What is enforced; `None` = everything passes.
    pub rules: Option<RbacRules>,
    /// What is counted and noted only.
    pub shadow_rules: Option<RbacRules>,
    /// Count by policy, too. Default false.
    pub track_per_rule_stats: bool,
}

/// Rules with the name they are counted by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RbacRules {
    /// Stands before the names of counters and of dynamic metadata; empty = nothing.
    pub stat_prefix: String,
    /// Who decides.
    pub engine: RbacEngine,
}

/// What decides about a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum RbacEngine {
    /// The first policy that matches, and this action.
    Policies {
        /// What follows from a match, and the opposite from none.
        action: RbacAction,
        /// Names and policies, sorted by name.
        policies: Vec<(String, RbacPolicy)>,
    },
    /// A matcher; what it leads nowhere is denied.
    Matcher(Matcher<RbacVerdict>),
}

/// What a match means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RbacAction {
    /// The request passes, and no other does.
    Allow,
    /// The request is refused, and no other is.
    Deny,
    /// Every request passes; dynamic metadata tells whether it matched.
    Log,
}

/// An action of a matcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RbacVerdict {
    /// Stands for the name of a policy.
    pub name: String,
    /// What follows.
    pub action: RbacAction,
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RbacPolicy {
    /// One of these holds: what is done.
    pub permissions: Vec<RbacCondition>,
    /// One of these holds: who does it.
    pub principals: Vec<RbacCondition>,
    /// This is true, too.
    pub condition: Option<Expression>,
}

/// A condition on what is done or who does it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum RbacCondition {
    /// Always.
    Any,
    /// All of these hold.
    And(Vec<Self>),
    /// One of these holds.
    Or(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// On a header.
    Header(HeaderMatcher),
    /// On the path without its query.
    UrlPath(StringMatcher),
    /// On metadata.
    Metadata {
        /// Whose.
        source: RbacMetadataSource,
        /// The condition.
        matcher: MetadataMatcher,
    },
    /// The address that the client connected to is in this range.
    DestinationIp(IpNet),
    /// The client connected to this port.
    DestinationPort(u16),
    /// The client connected to a port of this range.
    DestinationPorts(Range<u32>),
    /// On the name that the client asked for (SNI); empty without.
    RequestedServerName(StringMatcher),
    /// The peer of the connection is in this range.
    DirectRemoteIp(IpNet),
    /// The same under its old name.
    SourceIp(IpNet),
    /// The client, as `x-forwarded-for` is trusted, is in this range.
    RemoteIp(IpNet),
    /// The client speaks TLS, and one of the names of its certificate passes: a URI, a DNS name or the subject.
    Authenticated(Option<StringMatcher>),
}

/// Whose metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RbacMetadataSource {
    /// Dynamic metadata of the request.
    Dynamic,
    /// That of the route.
    Route,
}
