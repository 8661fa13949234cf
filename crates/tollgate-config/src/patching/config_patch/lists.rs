//! Changes of lists.

use super::PatchOperation;
use crate::yaml::Node;

/// Changes a list. `is_meant` = which element is named; without one, insertions are at the ends. Returns whether anything came
/// of it.
pub(super) fn edit(
    list: &mut Vec<Node>,
    operation: PatchOperation,
    value: Option<&Node>,
    is_meant: Option<&dyn Fn(&Node) -> bool>,
) -> bool {
    use PatchOperation::{Add, InsertAfter, InsertBefore, InsertFirst, Remove, Replace};
    let found = is_meant.map(|is_meant| list.iter().position(is_meant));
    let index = match (operation, found) {
        (Add, _) | (InsertAfter, None) => list.len(),
        (InsertFirst, _) | (InsertBefore, None) => 0,
        (InsertBefore, Some(Some(index))) => index,
        (InsertAfter, Some(Some(index))) => index + 1,
        (Replace, Some(Some(index))) => {
            if let Some(value) = value {
                list[index] = value.clone();
            }
            return true;
        }
        (Remove, Some(Some(_))) => {
            if let Some(is_meant) = is_meant {
                list.retain(|node| !is_meant(node));
            }
            return true;
        }
        _ => return false,
    };
    if let Some(value) = value {
        list.insert(index, value.clone());
    }
    true
}
