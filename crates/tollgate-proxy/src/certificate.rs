//! What an X.509 certificate says about itself: names, serial number, validity, digests.
//!
//! Only certificates that TLS has accepted (or that are our own) come here. Whatever cannot be read has no value.

#[cfg(test)]
mod tests;

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use crate::base64;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const EXPLICIT_VERSION: u8 = 0xa0;
const EXPLICIT_EXTENSIONS: u8 = 0xa3;
/// `GeneralName` of each kind.
const OTHER_NAME: u8 = 0xa0;
const EMAIL: u8 = 0x81;
const DNS_NAME: u8 = 0x82;
const URI: u8 = 0x86;
const IP_ADDRESS: u8 = 0x87;
/// The value of an `otherName`, and the kinds of strings it may be.
const EXPLICIT_VALUE: u8 = 0xa0;
const STRINGS: [u8; 5] = [0x0c, 0x12, 0x13, 0x16, 0x1a];
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

/// What a certificate says about itself, for those who look after certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Serial number, in lower-case hexadecimal.
    pub serial: String,
    /// Names of hosts that it is for.
    pub dns_names: Vec<String>,
    /// URIs that it is for.
    pub uris: Vec<String>,
    /// Addresses that it is for.
    pub ip_addresses: Vec<String>,
    /// When it begins to be valid.
    pub valid_from: SystemTime,
    /// When it ceases to be valid.
    pub valid_to: SystemTime,
}

impl CertificateFacts {
    /// Of a certificate in DER. `None` for what cannot be read.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (valid_from, valid_to) = validity(certificate)?;
        Some(Self {
            serial: serial(certificate)?,
            dns_names: dns_names(certificate),
            uris: uris(certificate),
            ip_addresses: ip_addresses(certificate),
            valid_from,
            valid_to,
        })
    }
}

/// The subject as RFC 2253 writes it: most specific part first, `CN=client,O=Example`.
pub(crate) fn subject(certificate: &[u8]) -> Option<String> {
    distinguished_name(fields(certificate)?.subject)
}

/// The issuer, written in the same way.
pub(crate) fn issuer(certificate: &[u8]) -> Option<String> {
    distinguished_name(fields(certificate)?.issuer)
}

/// Whether `issuer` has the name that `certificate` was signed under.
pub(crate) fn is_issued_by(certificate: &[u8], issuer: &[u8]) -> bool {
    let names = fields(certificate).zip(fields(issuer));
    names.is_some_and(|(certificate, issuer)| certificate.issuer == issuer.subject)
}

/// The serial number, in lower-case hexadecimal.
pub(crate) fn serial(certificate: &[u8]) -> Option<String> {
    let serial = fields(certificate)?.serial;
    // A leading zero only says that the number is not negative.
    let serial = if serial.len() > 1 { serial.strip_prefix(&[0]).unwrap_or(serial) } else { serial };
    Some(hexadecimal(serial))
}

/// When it begins and ceases to be valid.
pub(crate) fn validity(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let mut validity = fields(certificate)?.validity;
    let mut time = || {
        let (tag, content) = element(&mut validity)?;
        let seconds = tollgate_model::tls::seconds_of_time(tag, content)?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    };
    Some((time()?, time()?))
}

/// PEM with everything encoded that has a meaning in URLs.
pub(crate) fn url_encoded_pem(certificate: &[u8]) -> String {
    const COLUMNS: usize = 64;
    let encoded = base64::encode(certificate, true);
    let mut text = String::with_capacity(encoded.len() * 5 / 4 + 64);
    text.push_str("-----BEGIN%20CERTIFICATE-----%0A");
    for (index, letter) in encoded.chars().enumerate() {
        if index > 0 && index % COLUMNS == 0 {
            text.push_str("%0A");
        }
        match letter {
            '+' => text.push_str("%2B"),
            '/' => text.push_str("%2F"),
            '=' => text.push_str("%3D"),
            letter => text.push(letter),
        }
    }
    text.push_str("%0A-----END%20CERTIFICATE-----%0A");
    text
}

fn distinguished_name(mut sequence: &[u8]) -> Option<String> {
    let mut relative_names = Vec::new();
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
    alternative_names(certificate, DNS_NAME, text)
}

/// The URIs among the alternative names.
pub(crate) fn uris(certificate: &[u8]) -> Vec<String> {
    alternative_names(certificate, URI, text)
}

/// The addresses of mail among the alternative names.
pub(crate) fn emails(certificate: &[u8]) -> Vec<String> {
    alternative_names(certificate, EMAIL, text)
}

/// The IP addresses among the alternative names.
pub(crate) fn ip_addresses(certificate: &[u8]) -> Vec<String> {
    alternative_names(certificate, IP_ADDRESS, |name| {
        let v4 = <[u8; 4]>::try_from(name).map(|bytes| Ipv4Addr::from(bytes).to_string());
        v4.or_else(|_| <[u8; 16]>::try_from(name).map(|bytes| Ipv6Addr::from(bytes).to_string())).ok()
    })
}

/// The `otherName`s among the alternative names that are strings.
pub(crate) fn other_names(certificate: &[u8]) -> Vec<String> {
    alternative_names(certificate, OTHER_NAME, |mut name| {
        take(&mut name, OBJECT_IDENTIFIER)?;
        let (tag, value) = element(&mut take(&mut name, EXPLICIT_VALUE)?)?;
        STRINGS.contains(&tag).then(|| text(value)).flatten()
    })
}

fn text(name: &[u8]) -> Option<String> {
    Some(String::from_utf8_lossy(name).into_owned())
}

/// The SHA-256 digest, in lower-case hexadecimal.
pub(crate) fn sha256(certificate: &[u8]) -> String {
    fingerprint(&SHA256, certificate)
}

/// The SHA-1 digest, in lower-case hexadecimal.
pub(crate) fn sha1(certificate: &[u8]) -> String {
    fingerprint(&SHA1_FOR_LEGACY_USE_ONLY, certificate)
}

fn fingerprint(algorithm: &'static Algorithm, certificate: &[u8]) -> String {
    hexadecimal(digest(algorithm, certificate).as_ref())
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Those names of the subject's alternative names that are of this kind and can be read.
fn alternative_names(certificate: &[u8], kind: u8, read: impl Fn(&[u8]) -> Option<String>) -> Vec<String> {
    let find = || {
        let mut extensions = fields(certificate)?.extensions?;
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
                    found.extend(read(name));
                }
            }
            return Some(found);
        }
        None
    };
    find().unwrap_or_default()
}

/// The contents of the fields of a certificate.
struct Fields<'a> {
    serial: &'a [u8],
    issuer: &'a [u8],
    validity: &'a [u8],
    subject: &'a [u8],
    extensions: Option<&'a [u8]>,
}

fn fields(mut certificate: &[u8]) -> Option<Fields<'_>> {
    let mut certificate = take(&mut certificate, SEQUENCE)?;
    let mut signed = take(&mut certificate, SEQUENCE)?;
    if signed.first() == Some(&EXPLICIT_VERSION) {
        take(&mut signed, EXPLICIT_VERSION)?;
    }
    let serial = take(&mut signed, INTEGER)?;
    // The algorithm of the signature.
    element(&mut signed)?;
    let issuer = take(&mut signed, SEQUENCE)?;
    let validity = take(&mut signed, SEQUENCE)?;
    let subject = take(&mut signed, SEQUENCE)?;
    let mut extensions = None;
    while extensions.is_none() && !signed.is_empty() {
        let (tag, mut content) = element(&mut signed)?;
        if tag == EXPLICIT_EXTENSIONS {
            extensions = take(&mut content, SEQUENCE);
        }
    }
    Some(Fields { serial, issuer, validity, subject, extensions })
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
