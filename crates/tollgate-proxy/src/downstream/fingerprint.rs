//! What tells the TLS libraries of clients apart: JA3 and JA4 of a ClientHello, and the session id of a ServerHello.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use md5::{Digest, Md5};

/// Type of a TLS record that carries a handshake.
const HANDSHAKE: u8 = 0x16;
/// Types of handshake messages.
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// Extensions that fingerprints look into.
const SERVER_NAME: u16 = 0;
const SUPPORTED_GROUPS: u16 = 10;
const POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
const APPLICATION_PROTOCOLS: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// The numbers of a ClientHello, without those that clients make up to keep servers tolerant (RFC 8701).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientHello {
    version: u16,
    suites: Vec<u16>,
    /// In their order, with their content.
    extensions: Vec<(u16, Vec<u8>)>,
}

impl ClientHello {
    /// Reads the first message of a client from the bytes of its records; `None` if it is no whole ClientHello.
    pub(super) fn parse(records: &[u8]) -> Option<Self> {
        let message = handshake_bytes(records);
        let mut reader = Reader(&message);
        if reader.u8()? != CLIENT_HELLO {
            return None;
        }
        let length = usize::from(reader.u8()?) << 16 | usize::from(reader.u16()?);
        let mut reader = Reader(reader.take(length)?);
        let version = reader.u16()?;
        reader.take(32)?;
        reader.short_block()?;
        let suites = numbers(reader.block()?);
        reader.short_block()?;
        let mut extensions = Vec::new();
        // A hello may end here.
        if !reader.0.is_empty() {
            let mut all = Reader(reader.block()?);
            while !all.0.is_empty() {
                let kind = all.u16()?;
                let content = all.block()?;
                if !is_made_up(kind) {
                    extensions.push((kind, content.to_vec()));
                }
            }
        }
        Some(Self { version, suites, extensions })
    }

    fn extension(&self, kind: u16) -> Option<&[u8]> {
        self.extensions.iter().find(|(other, _)| *other == kind).map(|(_, content)| content.as_slice())
    }

    /// The numbers in an extension that is a list of them.
    fn numbers_of(&self, kind: u16) -> Vec<u16> {
        let content = self.extension(kind).and_then(|content| Reader(content).block());
        content.map(numbers).unwrap_or_default()
    }

    /// The MD5 of version, suites, extensions, groups and point formats.
    pub(super) fn ja3(&self) -> String {
        let formats = self.extension(POINT_FORMATS).and_then(|content| Reader(content).short_block());
        let formats = formats.unwrap_or_default();
        let text = format!(
            "{},{},{},{},{}",
            self.version,
            decimal(self.suites.iter().copied()),
            decimal(self.extensions.iter().map(|(kind, _)| *kind)),
            decimal(self.numbers_of(SUPPORTED_GROUPS)),
            decimal(formats.iter().map(|format| u16::from(*format))),
        );
        hexadecimal(&Md5::digest(text.as_bytes()))
    }

    /// What can be said in ten letters, then hashes of the sorted suites and extensions.
    pub(super) fn ja4(&self) -> String {
        let versions = self.extension(SUPPORTED_VERSIONS).and_then(|content| Reader(content).short_block());
        let highest =
            versions.and_then(|versions| numbers(versions).into_iter().max()).unwrap_or(self.version);
        let version = match highest {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            0x0300 => "s3",
            0x0002 => "s2",
            _ => "00",
        };
        let name = if self.extension(SERVER_NAME).is_some() { 'd' } else { 'i' };
        let mut suites = self.suites.clone();
        suites.sort_unstable();
        let kinds = self.extensions.iter().map(|(kind, _)| *kind);
        let mut others: Vec<u16> =
            kinds.filter(|kind| !matches!(*kind, SERVER_NAME | APPLICATION_PROTOCOLS)).collect();
        others.sort_unstable();
        let mut extensions = four_digits(&others);
        let algorithms = self.numbers_of(SIGNATURE_ALGORITHMS);
        if !algorithms.is_empty() {
            extensions = format!("{extensions}_{}", four_digits(&algorithms));
        }
        format!(
            "t{version}{name}{:02}{:02}{}_{}_{}",
            self.suites.len().min(99),
            self.extensions.len().min(99),
            self.protocol_letters(),
            short_hash(&four_digits(&suites)),
            short_hash(&extensions),
        )
    }

    /// The first and the last letter of the first protocol that is offered.
    fn protocol_letters(&self) -> String {
        let protocols = self.extension(APPLICATION_PROTOCOLS).and_then(|content| Reader(content).block());
        let first = protocols.and_then(|protocols| Reader(protocols).short_block());
        match first {
            Some([first, .., last]) => {
                if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
                    [char::from(*first), char::from(*last)].iter().collect()
                } else {
                    format!("{:x}{:x}", first >> 4, last & 15)
                }
            }
            Some([only]) if only.is_ascii_alphanumeric() => [char::from(*only); 2].iter().collect(),
            Some([only]) => format!("{only:02x}"),
            Some([]) | None => "00".to_owned(),
        }
    }
}

/// How many bytes a ServerHello needs to tell its session id: record and message headers, version, random, and the id.
pub(super) const SESSION_ID_END: usize = 5 + 4 + 2 + 32 + 1 + 32;

/// The session id of the ServerHello that `records` begin with, in hexadecimal; `None` if there is none.
pub(super) fn session_id(records: &[u8]) -> Option<String> {
    let mut reader = Reader(records);
    if reader.u8()? != HANDSHAKE {
        return None;
    }
    reader.take(4)?;
    if reader.u8()? != SERVER_HELLO {
        return None;
    }
    reader.take(3 + 2 + 32)?;
    let id = reader.short_block()?;
    (!id.is_empty()).then(|| hexadecimal(id))
}

/// What the handshake records at the beginning of `records` carry.
fn handshake_bytes(records: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    let mut reader = Reader(records);
    while reader.u8() == Some(HANDSHAKE) {
        // The version of the record layer says nothing.
        let Some(content) = reader.take(2).and_then(|_| reader.block()) else { break };
        message.extend_from_slice(content);
    }
    message
}

/// `0a0a`, `1a1a`, ... `fafa`.
const fn is_made_up(number: u16) -> bool {
    let [high, low] = number.to_be_bytes();
    high == low && low & 15 == 10
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    let pairs = bytes.as_chunks().0.iter();
    pairs.map(|pair| u16::from_be_bytes(*pair)).filter(|number| !is_made_up(*number)).collect()
}

fn decimal(numbers: impl IntoIterator<Item = u16>) -> String {
    numbers.into_iter().map(|number| number.to_string()).collect::<Vec<_>>().join("-")
}

fn four_digits(numbers: &[u16]) -> String {
    numbers.iter().map(|number| format!("{number:04x}")).collect::<Vec<_>>().join(",")
}

fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    hexadecimal(&digest(&SHA256, text.as_bytes()).as_ref()[..6])
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Bytes behind their length in two bytes.
    fn block(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// Bytes behind their length in one byte.
    fn short_block(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hello of curl with at most TLS 1.2.
    const CURL: &str = "16030100d7010000d303030ff9950d998cb089d8520808cf98c60c1d198bcf799d02b7d95ea548993d25a1000038c02cc030\
        009fcca9cca8ccaac02bc02f009ec024c028006bc023c0270067c00ac0140039c009c0130033009d009c003d003c0035002f\
        00ff010000720000000e000c0000096c6f63616c686f7374000b000403000102000a000c000a001d0017001e001900180010\
        000e000c02683208687474702f312e310016000000170000000d002a0028040305030603080708080809080a080b08040805\
        0806040105010601030303010302040205020602";

    fn bytes(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// What Envoy 1.40.0 showed for it.
    #[test]
    fn fingerprints_are_those_of_envoy() {
        let hello = ClientHello::parse(&bytes(CURL)).unwrap();
        assert_eq!(hello.ja3(), "87b9bfc7da97115ed2276737b09f8d74");
        assert_eq!(hello.ja4(), "t12d2807h2_d943125447b4_a44c6288192a");
    }

    #[test]
    fn a_hello_may_be_in_several_records() {
        let whole = bytes(CURL);
        let (first, second) = whole[5..].split_at(50);
        let record = |content: &[u8]| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[HANDSHAKE, 3, 1][..], &length, content].concat()
        };
        let split = [record(first), record(second)].concat();
        assert_eq!(ClientHello::parse(&split), ClientHello::parse(&whole));
    }

    #[test]
    fn half_a_hello_is_none() {
        let whole = bytes(CURL);
        for length in 0..whole.len() {
            assert_eq!(ClientHello::parse(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn numbers_that_are_made_up_do_not_count() {
        assert_eq!(numbers(&bytes("0a0a 1301 fafa 1302 0a1a")), [0x1301, 0x1302, 0x0a1a]);
    }

    #[test]
    fn a_server_hello_tells_its_session_id() {
        let head = format!("1603030050 0200004c 0303 {}", "11".repeat(32));
        assert_eq!(session_id(&bytes(&format!("{head} 04 01020aff c02f"))).as_deref(), Some("01020aff"));
        assert_eq!(session_id(&bytes(&format!("{head} 00 c02f"))), None);
        assert_eq!(session_id(&bytes(&head)), None);
        assert_eq!(session_id(&bytes(CURL)), None);
    }
}
