//! Where a server listens.

use std::{convert::Infallible, fmt, net::SocketAddr, path::PathBuf, str::FromStr};

/// Where a server listens: `127.0.0.1:18080`, `[::1]:18080`, or `unix:/path/to/socket`, perhaps with the permissions and the
/// owner of the socket behind it: `unix:/path/to/socket?mode=0660&owner=1000:1000`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenAddress {
    /// A TCP address; with port 0 the kernel chooses one.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(UnixAddress),
}

/// A Unix socket. One that nobody serves any more is replaced; a file of another kind is not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct UnixAddress {
    /// Its path.
    pub path: PathBuf,
    /// Its permissions. Default: what the umask of the process leaves. Who connects needs the right to write.
    pub mode: Option<u32>,
    /// Numbers of its user and its group. Default: those of the process.
    pub owner: Option<(u32, Option<u32>)>,
}

/// The text is no [`ListenAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither ADDRESS:PORT (an IP address, such as 127.0.0.1:18080) nor unix:PATH[?mode=0660&owner=UID:GID]"
)]
pub struct ParseListenAddressError(String);

impl FromStr for ListenAddress {
    type Err = ParseListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = match text.strip_prefix("unix:") {
            Some(path) => unix(path).map(Self::Unix),
            None => text.parse().ok().map(Self::Tcp),
        };
        address.ok_or_else(|| ParseListenAddressError(text.to_owned()))
    }
}

fn unix(text: &str) -> Option<UnixAddress> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let mut address = UnixAddress { path: path.into(), mode: None, owner: None };
    for option in query.split('&').filter(|option| !option.is_empty()) {
        match option.split_once('=')? {
            ("mode", mode) => {
                address.mode = Some(u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777)?);
            }
            ("owner", owner) => {
                let (user, group) = owner.split_once(':').unzip();
                let group = group.map(str::parse).transpose().ok()?;
                address.owner = Some((user.unwrap_or(owner).parse().ok()?, group));
            }
            _ => return None,
        }
    }
    (!path.is_empty()).then_some(address)
}

impl TryFrom<&str> for ListenAddress {
    type Error = ParseListenAddressError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<&String> for ListenAddress {
    type Error = ParseListenAddressError;

    fn try_from(text: &String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<&Self> for ListenAddress {
    fn from(address: &Self) -> Self {
        address.clone()
    }
}

impl From<Infallible> for ParseListenAddressError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnixAddress { path, mode, owner } = match self {
            Self::Tcp(address) => return address.fmt(formatter),
            Self::Unix(address) => address,
        };
        write!(formatter, "unix:{}", path.display())?;
        let mut separator = '?';
        if let Some(mode) = mode {
            write!(formatter, "{separator}mode={mode:04o}")?;
            separator = '&';
        }
        match owner {
            None => Ok(()),
            Some((user, None)) => write!(formatter, "{separator}owner={user}"),
            Some((user, Some(group))) => write!(formatter, "{separator}owner={user}:{group}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_written() {
        for text in [
            "127.0.0.1:18080",
            "[::1]:9002",
            "unix:/run/processor.sock",
            "unix:relative.sock",
            "unix:/a?mode=0660",
            "unix:/a?owner=1000",
            "unix:/a?mode=0600&owner=1:2",
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_text() {
        for text in [
            "",
            "18080",
            "localhost:18080",
            "unix:",
            "/run/processor.sock",
            "127.0.0.1:65536",
            "unix:/a?mode=9",
            "unix:/a?mode=1777",
            "unix:/a?owner=root",
            "unix:/a?x=1",
            "unix:?mode=0600",
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }
}
