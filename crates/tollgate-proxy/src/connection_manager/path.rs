//! Paths and authorities made uniform, where the configuration asks for it.

/// Removes dot segments, decodes unreserved characters and turns backslashes into slashes (RFC 3986, 6.2.2). The query
/// stays as it is. `None` if the path cannot be normalized.
pub(super) fn normalize(path: &str) -> Option<String> {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let decoded = decode_unreserved(path)?;
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = decoded.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = rest.next() {
        let last = rest.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            segment => {
                segments.push(segment);
                continue;
            }
        }
        if last {
            // A dot segment at the end leaves a slash.
            segments.push("");
        }
    }
    let mut normalized = format!("/{}", segments.join("/"));
    if let Some(query) = query {
        normalized.push('?');
        normalized.push_str(query);
    }
    Some(normalized)
}

/// Replaces runs of slashes in the path by one.
pub(super) fn merge_slashes(path: &str) -> String {
    let end = path.find('?').unwrap_or(path.len());
    let mut merged = String::with_capacity(path.len());
    for character in path[..end].chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    merged.push_str(&path[end..]);
    merged
}

/// Splits the port off an authority.
pub(super) fn split_port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = authority.rsplit_once(':')?;
    if host.contains(':') && !host.ends_with(']') {
        return None;
    }
    Some((host, port.parse().ok()?))
}

fn decode_unreserved(path: &str) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path.char_indices();
    while let Some((index, character)) = rest.next() {
        match character {
            '\\' => decoded.push('/'),
            '%' => {
                let digits = path.get(index + 1..index + 3)?;
                let byte = u8::from_str_radix(digits, 16).ok()?;
                if byte == 0 {
                    return None;
                }
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    decoded.push(char::from(byte));
                } else {
                    decoded.push('%');
                    decoded.push_str(digits);
                }
                rest.next();
                rest.next();
            }
            character => decoded.push(character),
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes() {
        for (path, normal) in [
            ("/a/./b/../c", Some("/a/c")),
            ("/a/..", Some("/")),
            ("/../../a", Some("/a")),
            ("/a/%2e%2E/b?x=../y", Some("/b?x=../y")),
            ("/a\\b", Some("/a/b")),
            ("/%61%2f", Some("/a%2f")),
            ("/a/", Some("/a/")),
            ("/%0", None),
            ("/%00", None),
            ("*", None),
        ] {
            assert_eq!(normalize(path).as_deref(), normal, "{path}");
        }
    }

    #[test]
    fn merges() {
        assert_eq!(merge_slashes("//a///b/?x=//y"), "/a/b/?x=//y");
    }

    #[test]
    fn ports() {
        assert_eq!(split_port("a:80"), Some(("a", 80)));
        assert_eq!(split_port("[::1]:80"), Some(("[::1]", 80)));
        assert_eq!(split_port("[::1]"), None);
        assert_eq!(split_port("a"), None);
    }
}
