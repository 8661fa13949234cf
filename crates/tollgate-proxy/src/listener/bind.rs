//! Binding every socket of a configuration.

use std::{io, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path};

use socket2::{Domain, SockAddr, Socket, Type};
use tollgate_model::listener::BindAddress;

/// Connections the kernel completes before they are accepted.
const BACKLOG: i32 = 4096;

/// One address with its sockets, one for each worker.
#[derive(Debug)]
pub(crate) struct BoundAddress {
    /// Where it is bound; the port is the kernel's choice if 0 was configured.
    pub(crate) address: BindAddress,
    /// Bound, not yet listening.
    sockets: Vec<Socket>,
}

/// Binds one socket for each worker; on TCP each has its own queue (SO_REUSEPORT), on a Unix socket all share one.
///
/// Nobody else may listen there, but for `ours`: whether sockets of this process may stand in the way, which do not if
/// they are for another address of the same port.
pub(crate) fn bind(address: &BindAddress, workers: usize, ours: bool) -> io::Result<BoundAddress> {
    let (address, sockets) = match address {
        BindAddress::Socket(address) => {
            // Sockets that are to share an address say so before they are bound. One that does not yet cannot be bound
            // where another process listens; with the option it could, and both would get half of the connections.
            let first = match bind_tcp(*address, false) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && ours => bind_tcp(*address, true)?,
                outcome => outcome?,
            };
            first.set_reuse_port(true)?;
            let bound = first.local_addr()?.as_socket().unwrap_or(*address);
            let mut sockets = vec![first];
            while sockets.len() < workers {
                sockets.push(bind_tcp(bound, true)?);
            }
            (BindAddress::Socket(bound), sockets)
        }
        BindAddress::Pipe { path, mode } => {
            let first = bind_unix(path, *mode)?;
            let mut sockets = Vec::with_capacity(workers);
            for _ in 1..workers {
                sockets.push(first.try_clone()?);
            }
            sockets.push(first);
            (address.clone(), sockets)
        }
    };
    Ok(BoundAddress { address, sockets })
}

impl BoundAddress {
    /// Lets the kernel complete connections, and gives the sockets, one for each worker.
    pub(crate) fn listen(self) -> io::Result<Vec<Socket>> {
        for socket in &self.sockets {
            socket.listen(BACKLOG)?;
        }
        Ok(self.sockets)
    }
}

fn bind_tcp(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // `::` means IPv6 alone unless `ipv4_compat` is asked for.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn bind_unix(path: &Path, mode: Option<u32>) -> io::Result<Socket> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    if path.exists() {
        // A socket file outlives its process. It is removed if nobody listens on it any more.
        let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        match probe.connect(&address) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    socket.bind(&address)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> BindAddress {
        BindAddress::Socket("127.0.0.1:0".parse().unwrap())
    }

    /// A process that listens already is not joined.
    #[test]
    fn an_address_belongs_to_one_process() {
        let first = bind(&any(), 3, false).unwrap();
        let address = first.address.clone();
        let listening = first.listen().unwrap();
        assert_eq!(bind(&address, 2, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let BindAddress::Socket(socket) = &address else { panic!("a TCP address") };
        let every = BindAddress::Socket(SocketAddr::new("0.0.0.0".parse().unwrap(), socket.port()));
        assert_eq!(bind(&every, 2, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // A later configuration of the same process may have another address at the port.
        bind(&every, 2, true).unwrap().listen().unwrap();
        drop(listening);
        bind(&address, 2, false).unwrap();
    }
}
