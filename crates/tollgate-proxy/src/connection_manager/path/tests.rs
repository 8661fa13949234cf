//! Expected values are what Envoy 1.40.0 made of the same paths.

use super::*;

#[test]
fn normalizes() {
    for (path, normal) in [
        ("/a/../b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a//b", "/a//b"),
        ("/a/b/..", "/a/"),
        ("/..", "/"),
        ("/../..", "/"),
        ("/a/../../b", "/b"),
        ("/a/.", "/a/"),
        ("/.", "/"),
        ("/a/", "/a/"),
        ("//a", "//a"),
        ("/a//../b", "/a/b"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/%2E/b", "/a/b"),
        ("/%2e", "/"),
        ("/a/%2E%2E", "/"),
        ("/a/...", "/a/..."),
        ("/a/..b", "/a/..b"),
        ("/a/.;x/b", "/a/b"),
        ("/a/..;/b", "/b"),
        ("/a;b/..;c", "/"),
        ("/a/%2e%2e;x/b", "/a/..;x/b"),
        ("/a/..%3bx/b", "/a/..%3bx/b"),
        ("/a;p=1/../b", "/b"),
        ("/a/..;x\\b/c", "/c"),
        ("/a/..;x\\", "/"),
        ("/a/..;x\\..\\b", "/"),
        ("/a/.;x\\b/c", "/a/c"),
        ("/a\\..;x/b", "/a/..;x/b"),
        ("/a\\..;x\\b", "/a/..;x/b"),
        ("/a/..\\;x/b", "/;x/b"),
        ("/a/..;x%2f../b", "/b"),
        ("/a/..;x?y=/..;z/", "/?y=/..;z/"),
        ("/%41%7e%2f%5c", "/A~%2f%5c"),
        ("/%2D%2E%5F", "/-._"),
        ("/a\\b", "/a/b"),
        ("/a\\..\\b", "/b"),
        ("/a%zz", "/a%zz"),
        ("/a%2", "/a%2"),
        ("/%", "/%"),
        ("/a%20b%0a%E9%c3%28%25%7F", "/a%20b%0a%E9%c3%28%25%7F"),
        ("/!$&'()*+,;=:@[a]-._~", "/!$&'()*+,;=:@[a]-._~"),
        ("/a|b", "/a%7Cb"),
        ("/a\"b<>^`{}", "/a%22b%3C%3E%5E%60%7B%7D"),
        ("/a?x=/../y", "/a?x=/../y"),
        ("/a?", "/a?"),
        ("/%41?%41%00", "/A?%41%00"),
    ] {
        assert_eq!(normalize(path, false).as_deref(), Some(normal), "{path}");
    }
    assert_eq!(normalize("/a%00b", false), None);
    assert_eq!(normalize("*", false), None);
}

#[test]
fn dot_segments_may_keep_their_parameters() {
    for (path, normal) in [
        ("/a/..;/b", "/a/..;/b"),
        ("/a/..;x", "/a/..;x"),
        ("/a/.;x\\b/c", "/a/.;x/b/c"),
        ("/a/..;x\\..\\b", "/a/b"),
        ("/a;x/../b", "/b"),
    ] {
        assert_eq!(normalize(path, true).as_deref(), Some(normal), "{path}");
    }
}

#[test]
fn merges() {
    for (path, merged) in [
        ("/a//b?x=//y", "/a/b?x=//y"),
        ("///a", "/a"),
        ("//", "//"),
        ("/", "/"),
        ("/a/../b//c", "/a/../b/c"),
        ("//a///b/", "/a/b/"),
    ] {
        assert_eq!(merge_slashes(path), merged, "{path}");
    }
}

#[test]
fn ports() {
    assert_eq!(split_port("a:80"), Some(("a", 80)));
    assert_eq!(split_port("[::1]:80"), Some(("[::1]", 80)));
    for without in ["[::1]", "a", "a:", "a:x", "::1"] {
        assert_eq!(split_port(without), None, "{without}");
    }
}

#[test]
fn escaped_slashes_are_decoded_before_the_query() {
    assert_eq!(unescape_slashes("/a%2Fb%5cc?d=%2f").as_deref(), Some("/a/b\\c?d=%2f"));
    assert_eq!(unescape_slashes("/a%2f").as_deref(), Some("/a/"));
    for untouched in ["/a", "/a%20b", "/a%", "/a%2", "/a?b=%2f"] {
        assert_eq!(unescape_slashes(untouched), None, "{untouched}");
    }
}
