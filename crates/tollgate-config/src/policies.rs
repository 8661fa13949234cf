//! Policies that are attached to objects, whatever system they belong to.
//!
//! ```text
//! Targets (as written) --World: what there is--> Target: an object, or a section of it
//! Target, by precedence --Attachments--> the policies at each of the levels of a rule
//!                       \--Relations---> which policies override which others, or are merged with them
//! ```
//!
//! A system reads its policies and says what they mean; which of them is about a rule is found here, once for all systems. It
//! hands its policies over in the order of their precedence, so that the first one at a target is the one that counts.

mod ancestors;
mod attachments;
mod level;
mod relations;
mod targets;
#[cfg(test)]
mod tests;
mod world;

pub(crate) use self::{
    ancestors::Ancestors,
    attachments::{AttachedTarget, Attachments, Chosen, NotAttached, PolicyIndex},
    level::{Level, levels, levels_of_listener, levels_under},
    relations::{Overriding, Relation, Relations},
    targets::{SelectedNamespaces, Target, TargetRef, TargetSelector, TargetView, Targets},
    world::World,
};
