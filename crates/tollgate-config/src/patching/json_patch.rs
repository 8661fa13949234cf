//! JSON Patch (RFC 6902) on trees, as control planes apply it: what a path needs is made when something is added, and what is
//! not there need not be removed.

use crate::yaml::{Content, Entry, Location, Node};

/// One change.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Puts the value there; in a list before what is there.
    Add(Node),
    /// Puts the value in the place of what is there.
    Replace(Node),
    /// Takes away what is there.
    Remove,
    /// Moves what is at this path.
    Move(String),
    /// Copies what is at this path.
    Copy(String),
    /// Fails unless the value is there.
    Test(Node),
}

/// Changes a tree at `path`, a JSON Pointer (RFC 6901).
///
/// # Errors
/// Why it cannot be done; the tree may then be changed in part.
pub(crate) fn apply(root: &mut Node, path: &str, operation: &Operation) -> Result<(), String> {
    match operation {
        Operation::Add(value) => add(root, path, value.clone()),
        Operation::Replace(value) => {
            *find_mut(root, path)? = value.clone();
            Ok(())
        }
        Operation::Remove => remove(root, path).map(drop),
        Operation::Move(from) => {
            let value = remove(root, from)?.ok_or_else(|| missing(from))?;
            add(root, path, value)
        }
        Operation::Copy(from) => {
            let value = find_mut(root, from)?.clone();
            add(root, path, value)
        }
        Operation::Test(value) => {
            let found = find_mut(root, path)?;
            let same = crate::schema::to_json(found) == crate::schema::to_json(value);
            same.then_some(()).ok_or_else(|| format!("what is at \"{path}\" is not the value of the test"))
        }
    }
}

fn missing(path: &str) -> String {
    format!("there is nothing at \"{path}\"")
}

/// The tokens of a pointer.
fn tokens(path: &str) -> Result<Vec<String>, String> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Err(format!("the path \"{path}\" does not begin with a slash"));
    };
    Ok(rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect())
}

/// Where a token leads in a list of so many elements; the end is where one can be added.
fn index(token: &str, length: usize) -> Option<usize> {
    match token {
        "-" => Some(length),
        _ if token.bytes().all(|byte| byte.is_ascii_digit()) => token.parse().ok(),
        _ => None,
    }
}

fn child_mut<'n>(node: &'n mut Node, token: &str) -> Option<&'n mut Node> {
    match &mut node.content {
        Content::Mapping(entries) => {
            entries.iter_mut().find(|entry| entry.key == token).map(|entry| &mut entry.value)
        }
        Content::Sequence(items) => {
            let index = index(token, items.len())?;
            items.get_mut(index)
        }
        _ => None,
    }
}

fn find_mut<'n>(root: &'n mut Node, path: &str) -> Result<&'n mut Node, String> {
    tokens(path)?.iter().try_fold(root, |node, token| child_mut(node, token)).ok_or_else(|| missing(path))
}

/// Goes to what holds the last token, and makes it where there is nothing.
fn parent_mut<'n>(root: &'n mut Node, path: &str, tokens: &[String]) -> Result<&'n mut Node, String> {
    let mut node = root;
    for (token, next) in tokens.iter().zip(&tokens[1..]) {
        if matches!(node.content, Content::Null) {
            node.content = Content::Mapping(Vec::new());
        }
        if child_mut(node, token).is_none() {
            let is_list = next == "-" || index(next, 0).is_some();
            let content = if is_list { Content::Sequence(Vec::new()) } else { Content::Mapping(Vec::new()) };
            put(node, token, Node { content, location: Location::default() }, path)?;
        }
        let token = if token == "-" { last(node) } else { token.clone() };
        node = child_mut(node, &token).ok_or_else(|| missing(path))?;
    }
    Ok(node)
}

/// The index of the last element of a list.
fn last(node: &Node) -> String {
    node.items().len().saturating_sub(1).to_string()
}

fn put(node: &mut Node, token: &str, value: Node, path: &str) -> Result<(), String> {
    match &mut node.content {
        Content::Mapping(entries) => {
            match entries.iter_mut().find(|entry| entry.key == token) {
                Some(entry) => entry.value = value,
                None => {
                    let key_location = value.location;
                    entries.push(Entry { key: token.to_owned(), key_location, value });
                }
            }
            Ok(())
        }
        Content::Sequence(items) => match index(token, items.len()) {
            Some(index) if index <= items.len() => {
                items.insert(index, value);
                Ok(())
            }
            _ => Err(format!("\"{path}\": the list has no place {token}")),
        },
        _ => Err(format!("\"{path}\" leads into a value that is neither a list nor an object")),
    }
}

fn add(root: &mut Node, path: &str, value: Node) -> Result<(), String> {
    let tokens = tokens(path)?;
    let Some(last) = tokens.last() else {
        *root = value;
        return Ok(());
    };
    let parent = parent_mut(root, path, &tokens)?;
    if matches!(parent.content, Content::Null) {
        parent.content = Content::Mapping(Vec::new());
    }
    put(parent, last, value, path)
}

fn remove(root: &mut Node, path: &str) -> Result<Option<Node>, String> {
    let tokens = tokens(path)?;
    let Some((last, parents)) = tokens.split_last() else {
        return Err("the whole resource cannot be removed".to_owned());
    };
    let Some(parent) = parents.iter().try_fold(root, |node, token| child_mut(node, token)) else {
        return Ok(None);
    };
    Ok(match &mut parent.content {
        Content::Mapping(entries) => {
            let at = entries.iter().position(|entry| entry.key == *last);
            at.map(|at| entries.remove(at).value)
        }
        Content::Sequence(items) => {
            let at = index(last, items.len()).filter(|at| *at < items.len());
            at.map(|at| items.remove(at))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::schema::{from_json, to_json};

    fn patched(tree: &Value, path: &str, operation: &Operation) -> Result<Value, String> {
        let mut node = from_json(tree);
        apply(&mut node, path, operation)?;
        Ok(to_json(&node))
    }

    fn value(value: &Value) -> Node {
        from_json(value)
    }

    #[test]
    fn adds_to_objects_and_lists() {
        let add = |tree, path| patched(&tree, path, &Operation::Add(value(&json!(1)))).unwrap();
        assert_eq!(add(json!({}), "/a"), json!({"a": 1}));
        assert_eq!(add(json!({"a": 0}), "/a"), json!({"a": 1}));
        assert_eq!(add(json!({"a": [0, 2]}), "/a/1"), json!({"a": [0, 1, 2]}));
        assert_eq!(add(json!({"a": [0]}), "/a/-"), json!({"a": [0, 1]}));
        assert_eq!(add(json!({"a/b": {"c~d": 0}}), "/a~1b/c~0d"), json!({"a/b": {"c~d": 1}}));
        assert_eq!(add(json!({"a": 0}), ""), json!(1));
    }

    #[test]
    fn makes_what_a_path_needs() {
        let add = |tree, path| patched(&tree, path, &Operation::Add(value(&json!(1))));
        assert_eq!(add(json!({}), "/a/b/c"), Ok(json!({"a": {"b": {"c": 1}}})));
        assert_eq!(add(json!({}), "/a/-/b"), Ok(json!({"a": [{"b": 1}]})));
        assert_eq!(add(json!({"a": null}), "/a/b"), Ok(json!({"a": {"b": 1}})));
        assert!(add(json!({"a": []}), "/a/7").unwrap_err().contains("no place 7"));
        assert!(add(json!({"a": 3}), "/a/b").unwrap_err().contains("neither a list nor an object"));
        assert!(add(json!({}), "a").unwrap_err().contains("does not begin with a slash"));
    }

    #[test]
    fn replaces_what_is_there_alone() {
        let replace = |path| patched(&json!({"a": [0]}), path, &Operation::Replace(value(&json!(1))));
        assert_eq!(replace("/a/0"), Ok(json!({"a": [1]})));
        assert!(replace("/b").is_err());
        assert!(replace("/a/1").is_err());
    }

    #[test]
    fn removes_what_is_there_and_nothing_else() {
        let remove = |path| patched(&json!({"a": [0, 1], "b": 2}), path, &Operation::Remove);
        assert_eq!(remove("/a/0"), Ok(json!({"a": [1], "b": 2})));
        assert_eq!(remove("/b"), Ok(json!({"a": [0, 1]})));
        assert_eq!(remove("/nothing/here"), Ok(json!({"a": [0, 1], "b": 2})));
        assert!(remove("").is_err());
    }

    #[test]
    fn moves_copies_and_tests() {
        let tree = json!({"a": {"b": 1}, "c": []});
        let change = |path, operation| patched(&tree, path, &operation);
        let from = || "/a/b".to_owned();
        assert_eq!(change("/c/-", Operation::Move(from())), Ok(json!({"a": {}, "c": [1]})));
        assert_eq!(change("/c/-", Operation::Copy(from())), Ok(json!({"a": {"b": 1}, "c": [1]})));
        assert_eq!(change("/a", Operation::Test(value(&json!({"b": 1})))), Ok(tree.clone()));
        assert!(change("/a", Operation::Test(value(&json!(1)))).is_err());
        assert!(change("/c", Operation::Move("/x".to_owned())).is_err());
    }
}
