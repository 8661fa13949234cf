//! Which headers the processor sees (section 5.1).

/// `HeaderForwardingRules`.
#[derive(Debug, Clone, Default)]
pub struct ForwardRules {}
