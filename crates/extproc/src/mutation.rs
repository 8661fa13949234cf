//! Header mutation (section 6).

/// `HeaderMutationRules`, compiled.
#[derive(Debug, Clone, Default)]
pub struct MutationRules {}
