//! The PROXY protocol: who a connection is from, told by the proxy in front.
//!
//! Both versions are read. What stands behind the addresses of the second one is passed over.

#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::AsyncRead;
use tollgate_model::listener::ProxyProtocol;

use crate::io::read_buffer::ReadBuffer;

const V1: &[u8] = b"PROXY ";
/// Longest line of the first version, its end included.
const V1_LONGEST: usize = 107;
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_HEAD: usize = 16;

/// Who talks to whom, as the proxy in front says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
}

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
enum Begin {
    /// More has to be read.
    Unknown,
    /// No PROXY protocol.
    Without,
    /// A header of so many bytes; `None` = the connection is who it is.
    Header(usize, Option<Named>),
    /// Nothing that may be there.
    Wrong(&'static str),
}

/// Why nothing is known of a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyProtocolError {
    #[error("{0}")]
    Wrong(&'static str),
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// Reads what a connection begins with, and leaves what follows in `first`.
///
/// # Errors
/// What is no PROXY protocol although it has to be, a version that is not allowed, a connection that ends.
pub(super) async fn read<S: AsyncRead + Unpin>(
    socket: &mut S,
    first: &mut ReadBuffer,
    settings: ProxyProtocol,
) -> Result<Option<Named>, ProxyProtocolError> {
    loop {
        match begin(&first.bytes, settings) {
            Begin::Header(length, named) => {
                let _ = first.bytes.split_to(length);
                return Ok(named);
            }
            Begin::Without => return Ok(None),
            Begin::Wrong(reason) => return Err(ProxyProtocolError::Wrong(reason)),
            Begin::Unknown => {
                if poll_fn(|cx| first.poll_fill(socket, cx)).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
            }
        }
    }
}

/// What these first bytes of a connection are.
fn begin(bytes: &[u8], settings: ProxyProtocol) -> Begin {
    let could_be = |signature: &[u8]| {
        let known = bytes.len().min(signature.len());
        bytes[..known] == signature[..known]
    };
    if could_be(V2) {
        return if bytes.len() < V2.len() { Begin::Unknown } else { begin_v2(bytes, settings) };
    }
    if could_be(V1) {
        return if bytes.len() < V1.len() { Begin::Unknown } else { begin_v1(bytes, settings) };
    }
    if settings.allow_without {
        Begin::Without
    } else {
        Begin::Wrong("it does not begin with the PROXY protocol")
    }
}

fn begin_v1(bytes: &[u8], settings: ProxyProtocol) -> Begin {
    if settings.disallow_v1 {
        return Begin::Wrong("the first version of the PROXY protocol is not allowed");
    }
    let line = &bytes[..bytes.len().min(V1_LONGEST)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < V1_LONGEST { Begin::Unknown } else { Begin::Wrong("its line has no end") };
    };
    let length = end + 2;
    let Ok(text) = std::str::from_utf8(&line[V1.len()..end]) else {
        return Begin::Wrong("its line is not text");
    };
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Begin::Header(length, None);
    }
    match named_v1(text) {
        Some(named) => Begin::Header(length, Some(named)),
        None => Begin::Wrong("its line names no addresses"),
    }
}

fn named_v1(text: &str) -> Option<Named> {
    let mut words = text.split(' ');
    let family = words.next()?;
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse().ok().map(IpAddr::V4),
            "TCP6" => word.parse().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (remote, local) = (address()?, address()?);
    let mut port = || -> Option<u16> { words.next()?.parse().ok() };
    let (remote, local) = (SocketAddr::new(remote, port()?), SocketAddr::new(local, port()?));
    words.next().is_none().then_some(Named { remote, local })
}

fn begin_v2(bytes: &[u8], settings: ProxyProtocol) -> Begin {
    if settings.disallow_v2 {
        return Begin::Wrong("the second version of the PROXY protocol is not allowed");
    }
    let Some((head, rest)) = bytes.split_first_chunk::<V2_HEAD>() else { return Begin::Unknown };
    let [.., version_and_command, family, high, low] = *head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let command = match version_and_command {
        0x20 => None,
        0x21 => Some(()),
        _ => return Begin::Wrong("its version or command is not known"),
    };
    let needed = match family >> 4 {
        1 => 12,
        2 => 36,
        _ if command.is_none() => 0,
        _ => return Begin::Wrong("its family of addresses is not known"),
    };
    if command.is_some() && length < needed {
        return Begin::Wrong("its addresses are too short");
    }
    if rest.len() < length {
        return Begin::Unknown;
    }
    let named = command.and_then(|()| named_v2(family >> 4, rest));
    Begin::Header(V2_HEAD + length, named)
}

fn named_v2(family: u8, addresses: &[u8]) -> Option<Named> {
    let (remote, rest) = take_address(family, addresses)?;
    let (local, rest) = take_address(family, rest)?;
    let (remote_port, rest) = rest.split_first_chunk()?;
    let (local_port, _) = rest.split_first_chunk()?;
    Some(Named {
        remote: SocketAddr::new(remote, u16::from_be_bytes(*remote_port)),
        local: SocketAddr::new(local, u16::from_be_bytes(*local_port)),
    })
}

fn take_address(family: u8, bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    if family == 1 {
        let (address, rest) = bytes.split_first_chunk::<4>()?;
        Some((Ipv4Addr::from(*address).into(), rest))
    } else {
        let (address, rest) = bytes.split_first_chunk::<16>()?;
        Some((Ipv6Addr::from(*address).into(), rest))
    }
}
