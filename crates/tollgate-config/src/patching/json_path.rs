//! JSONPath (RFC 9535): where in a tree something is.

use serde_json::Value;
use serde_json_path::JsonPath;

/// Where `expression` leads in a resource, as JSON Pointers. The `$` at its beginning may be left out.
///
/// # Errors
/// Why the expression cannot be read, or that it leads nowhere.
pub(super) fn pointers(resource: &Value, expression: &str) -> Result<Vec<String>, String> {
    let whole = match expression.as_bytes().first() {
        Some(b'$') => expression.to_owned(),
        Some(b'.' | b'[') => format!("${expression}"),
        _ => format!("$.{expression}"),
    };
    let path = JsonPath::parse(&whole)
        .map_err(|error| format!("the jsonPath \"{expression}\" is invalid: {error}"))?;
    let found: Vec<String> =
        path.query_located(resource).locations().map(|at| at.to_json_pointer()).collect();
    if found.is_empty() {
        return Err(format!("the jsonPath \"{expression}\" leads nowhere"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_what_is_meant_anywhere() {
        let resource =
            json!({"filters": [{"name": "a/b"}, {"name": "router", "typed_config": {}}], "name": "l"});
        let found = |expression| pointers(&resource, expression);
        assert_eq!(found("..filters[?(@.name=='router')]"), Ok(vec!["/filters/1".to_owned()]));
        assert_eq!(found("$.filters[0].name"), Ok(vec!["/filters/0/name".to_owned()]));
        assert_eq!(found("name"), Ok(vec!["/name".to_owned()]));
        assert_eq!(found("filters[*]"), Ok(vec!["/filters/0".to_owned(), "/filters/1".to_owned()]));
        assert!(found("..nothing").unwrap_err().contains("leads nowhere"));
        assert!(found("..[").unwrap_err().contains("is invalid"));
    }
}
