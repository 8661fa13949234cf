//! Paths and authorities made uniform, where the configuration asks for it.

#[cfg(test)]
mod tests;

/// Removes dot segments, decodes unreserved characters, encodes what a path cannot hold and turns backslashes into
/// slashes (RFC 3986, 6.2.2). Dot segments lose their parameters first, unless `keep_parameters`. The query stays as it
/// is. `None` if the path cannot be normalized: it has a NUL, or does not begin with a slash.
pub(super) fn normalize(path: &str, keep_parameters: bool) -> Option<String> {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut normalized = String::with_capacity(path.len() + query.len());
    let segments = path.strip_prefix('/')?.split('/');
    let plain = segments.map(|segment| if keep_parameters { segment } else { without_parameters(segment) });
    let mut segments = plain.flat_map(|segment| segment.split('\\')).peekable();
    while let Some(segment) = segments.next() {
        match dots(segment) {
            Some(Dots::Same) => {}
            Some(Dots::Parent) => normalized.truncate(normalized.rfind('/').unwrap_or(0)),
            None => {
                normalized.push('/');
                push_segment(segment, &mut normalized)?;
                continue;
            }
        }
        if segments.peek().is_none() {
            // A dot segment at the end leaves its slash.
            normalized.push('/');
        }
    }
    normalized.push_str(query);
    Some(normalized)
}

/// Decodes escaped slashes and backslashes of the path; the query stays as it is. `None` when there are none.
pub(super) fn unescape_slashes(path: &str) -> Option<String> {
    let (before_query, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut unescaped = String::with_capacity(path.len());
    let mut rest = before_query;
    while let Some(at) = rest.find('%') {
        let (plain, escape) = rest.split_at(at);
        unescaped.push_str(plain);
        let (decoded, length) = match escape.get(..3) {
            Some("%2f" | "%2F") => ('/', 3),
            Some("%5c" | "%5C") => ('\\', 3),
            _ => ('%', 1),
        };
        unescaped.push(decoded);
        rest = &escape[length..];
    }
    unescaped.push_str(rest);
    (unescaped.len() < before_query.len()).then(|| unescaped + query)
}

enum Dots {
    Same,
    Parent,
}

/// What counts of a segment between two slashes. Parameters behind dots (`..;a`) go up to the next slash, backslashes
/// and all, as in Envoy; dots that are encoded or follow a backslash keep theirs.
fn without_parameters(segment: &str) -> &str {
    match segment.split_once(';') {
        Some((dots @ ("." | ".."), _)) => dots,
        _ => segment,
    }
}

/// Whether a segment is `.` or `..`. The dots may be encoded.
fn dots(segment: &str) -> Option<Dots> {
    let mut rest = segment;
    let mut count = 0;
    while !rest.is_empty() {
        rest = rest
            .strip_prefix('.')
            .or_else(|| rest.strip_prefix("%2e"))
            .or_else(|| rest.strip_prefix("%2E"))?;
        count += 1;
    }
    match count {
        1 => Some(Dots::Same),
        2 => Some(Dots::Parent),
        _ => None,
    }
}

/// Appends a segment; `None` if it has an encoded NUL. A percent sign without two digits stays.
fn push_segment(segment: &str, normalized: &mut String) -> Option<()> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = segment;
    while let Some(first) = rest.chars().next() {
        let (piece, after) = rest.split_at(first.len_utf8());
        let escaped =
            after.get(..2).filter(|_| first == '%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, escaped) {
            (_, Some(0)) => return None,
            (_, Some(byte)) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                normalized.push(char::from(byte));
                rest = &after[2..];
                continue;
            }
            ('"' | '<' | '>' | '^' | '`' | '{' | '|' | '}', _) => {
                let byte = piece.as_bytes()[0];
                normalized.push('%');
                normalized.push(char::from(HEX[usize::from(byte >> 4)]));
                normalized.push(char::from(HEX[usize::from(byte & 15)]));
            }
            _ => normalized.push_str(piece),
        }
        rest = after;
    }
    Some(())
}

/// Replaces runs of slashes in the path by one. A path of slashes only becomes `//`, as in Envoy.
pub(super) fn merge_slashes(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    if !path.contains("//") {
        return [path, query].concat();
    }
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let end = if path.ends_with('/') { "/" } else { "" };
    format!("/{}{end}{query}", segments.join("/"))
}

/// Splits the port off an authority.
pub(super) fn split_port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = authority.rsplit_once(':')?;
    if host.contains(':') && !host.ends_with(']') {
        return None;
    }
    Some((host, port.parse().ok()?))
}
