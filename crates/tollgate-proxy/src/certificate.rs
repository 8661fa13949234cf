//! What an X.509 certificate says about itself: subject, alternative names, digest.
//!
//! Only certificates that TLS has accepted (or that are our own) come here. Whatever cannot be read has no value.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const EXPLICIT_VERSION: u8 = 0xa0;
const EXPLICIT_EXTENSIONS: u8 = 0xa3;
/// `GeneralName.dNSName` and `GeneralName.uniformResourceIdentifier`.
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
/// `id-ce-subjectAltName`, 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Attribute types with a short name (RFC 4514 and those OpenSSL adds).
const ATTRIBUTE_NAMES: [(&[u8], &str); 10] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

/// The subject as RFC 2253 writes it: most specific part first, `CN=client,O=Example`.
pub(crate) fn subject(certificate: &[u8]) -> Option<String> {
    let mut relative_names = Vec::new();
    let mut sequence = subject_and_extensions(certificate)?.0;
    while !sequence.is_empty() {
        let mut set = take(&mut sequence, SET)?;
        let mut text = String::new();
        while !set.is_empty() {
            let mut attribute = take(&mut set, SEQUENCE)?;
            let identifier = take(&mut attribute, OBJECT_IDENTIFIER)?;
            let (_, value) = element(&mut attribute)?;
            if !text.is_empty() {
                text.push('+');
            }
            match ATTRIBUTE_NAMES.iter().find(|(known, _)| *known == identifier) {
                Some((_, name)) => text.push_str(name),
                None => push_dotted(&mut text, identifier),
            }
            text.push('=');
            push_escaped(&mut text, &String::from_utf8_lossy(value));
        }
        relative_names.push(text);
    }
    relative_names.reverse();
    Some(relative_names.join(","))
}

/// The first DNS name among the alternative names.
pub(crate) fn first_dns_name(certificate: &[u8]) -> Option<String> {
    dns_names(certificate).into_iter().next()
}

/// The first URI among the alternative names.
pub(crate) fn first_uri(certificate: &[u8]) -> Option<String> {
    uris(certificate).into_iter().next()
}

/// The DNS names among the alternative names.
pub(crate) fn dns_names(certificate: &[u8]) -> Vec<String> {
    alternative_names(certificate, DNS_NAME).unwrap_or_default()
}

/// The URIs among the alternative names.
pub(crate) fn uris(certificate: &[u8]) -> Vec<String> {
    alternative_names(certificate, URI).unwrap_or_default()
}

/// The SHA-256 digest, in lower-case hexadecimal.
pub(crate) fn sha256(certificate: &[u8]) -> Option<String> {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13()?;
    let digest = suite.common.hash_provider.hash(certificate);
    let mut text = String::with_capacity(64);
    for byte in digest.as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

fn alternative_names(certificate: &[u8], kind: u8) -> Option<Vec<String>> {
    let mut extensions = subject_and_extensions(certificate)?.1?;
    while !extensions.is_empty() {
        let mut extension = take(&mut extensions, SEQUENCE)?;
        if take(&mut extension, OBJECT_IDENTIFIER)? != SUBJECT_ALT_NAME {
            continue;
        }
        if extension.first() == Some(&BOOLEAN) {
            take(&mut extension, BOOLEAN)?;
        }
        let mut names = take(&mut extension, OCTET_STRING)?;
        let mut names = take(&mut names, SEQUENCE)?;
        let mut found = Vec::new();
        while !names.is_empty() {
            let (tag, name) = element(&mut names)?;
            if tag == kind {
                found.push(String::from_utf8_lossy(name).into_owned());
            }
        }
        return Some(found);
    }
    None
}

/// The contents of `subject` and of `extensions`.
fn subject_and_extensions(mut certificate: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let mut certificate = take(&mut certificate, SEQUENCE)?;
    let mut signed = take(&mut certificate, SEQUENCE)?;
    if signed.first() == Some(&EXPLICIT_VERSION) {
        take(&mut signed, EXPLICIT_VERSION)?;
    }
    // serialNumber, signature, issuer, validity
    for _ in 0..4 {
        element(&mut signed)?;
    }
    let subject = take(&mut signed, SEQUENCE)?;
    while !signed.is_empty() {
        let (tag, mut content) = element(&mut signed)?;
        if tag == EXPLICIT_EXTENSIONS {
            return Some((subject, take(&mut content, SEQUENCE)));
        }
    }
    Some((subject, None))
}

/// Takes one element with this tag off and gives its content.
fn take<'a>(input: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, content) = element(input)?;
    (found == tag).then_some(content)
}

/// Takes one element off and gives its tag and content.
fn element<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) =
            rest.split_at_checked(usize::from(first & 0x7f)).filter(|(digits, _)| digits.len() <= 4)?;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *input = rest;
    Some((tag, content))
}

/// Writes an object identifier as numbers with dots.
fn push_dotted(text: &mut String, identifier: &[u8]) {
    let mut number = 0_u64;
    let mut first = true;
    for byte in identifier {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = if first {
            let root = (number / 40).min(2);
            write!(text, "{root}.{}", number - root * 40)
        } else {
            write!(text, ".{number}")
        };
        first = false;
        number = 0;
    }
}

/// RFC 2253, section 2.4.
fn push_escaped(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (index, character) in value.chars().enumerate() {
        let escaped = match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            '#' => index == 0,
            ' ' => index == 0 || index == last,
            _ => false,
        };
        if escaped {
            text.push('\\');
        }
        text.push(character);
    }
}
