//! Which headers the processor sees (section 5.1).

/// `HeaderForwardingRules`.
#[derive(Debug, Clone, Default)]
pub struct ForwardRules {}
impl ForwardRules {
    /// Whether a header of this lower-case name is sent to the processor.
    #[must_use]
    pub fn forwards(&self, _name: &str) -> bool {
        true
    }
}
