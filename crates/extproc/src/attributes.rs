//! Attributes sent to the processor (section 17).

/// The attribute expressions of one direction, parsed.
#[derive(Debug, Clone, Default)]
pub struct Attributes {}
impl Attributes {
    /// x
    pub fn is_empty(&self) -> bool {
        true
    }
}
