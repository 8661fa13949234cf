//! `host`, `:authority` and the authority of a target.

/// Whether an authority can mean one host only (RFC 3986 section 3.2): without user information, and with a port that is a
/// number, if any. What else there is some servers read as another host than the one that routes are found by. An empty
/// authority is one, too.
pub(crate) fn is_valid_authority(authority: &[u8]) -> bool {
    if !authority.iter().all(|byte| is_authority_byte(*byte)) {
        return false;
    }
    let (host, port) = match authority.iter().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(colon) if authority[colon] == b':' => (&authority[..colon], Some(&authority[colon + 1..])),
        _ => (authority, None),
    };
    is_valid_host(host) && port.is_none_or(is_valid_port)
}

/// The characters Envoy allows, without `@`.
fn is_authority_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&byte)
}

fn is_valid_host(host: &[u8]) -> bool {
    match host {
        [b'[', address @ .., b']'] => {
            // A zone (RFC 6874) is not for others to interpret.
            let end = address.iter().position(|byte| *byte == b'%').unwrap_or(address.len());
            std::str::from_utf8(&address[..end])
                .is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
        }
        _ => !host.iter().any(|byte| matches!(byte, b':' | b'[' | b']')),
    }
}

fn is_valid_port(port: &[u8]) -> bool {
    (1..=5).contains(&port.len())
        && port.iter().all(u8::is_ascii_digit)
        && std::str::from_utf8(port).is_ok_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_only() {
        for valid in [
            "",
            "a",
            "a.test.",
            "a_b",
            "a:0",
            "a:80",
            "a:00080",
            "a:65535",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:80",
            "[fe80::1%25eth0]",
            "a%41",
        ] {
            assert!(is_valid_authority(valid.as_bytes()), "{valid}");
        }
        for invalid in [
            "x@a", "@a", "a@", "x:y@a:80", "a:", "a:99999", "a:80:80", "a:+80", "a:8a", "a:-1", "::1",
            "[::1", "::1]", "[a]", "[]", "[::1]x", "[::1]:", "[::1]80", "a/b", "a b", "a?", "a#", "a\\b",
            "a:000080",
        ] {
            assert!(!is_valid_authority(invalid.as_bytes()), "{invalid}");
        }
    }
}
